/** The backend of browsers, and the oracle of the other one in the tests: @noble, JavaScript alone. */
import { gcm } from '@noble/ciphers/aes.js';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import { blake2b, blake2s } from '@noble/hashes/blake2.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { concat, copyOf, equalBytes } from '../bytes.js';
import { HopfairError, requireArgument } from '../errors.js';
import { isAcceptablePublicKey } from './ed25519-key.js';
import type { Aead, AeadKey, AeadName, CryptoProvider, DhKeyPair, Hash, HashName, Signer } from './interface.js';
import { mlKem768 } from './ml-kem.js';

const TAG_LENGTH = 16;

const destroyed = (what: string): HopfairError => new HopfairError('INVALID_STATE', `the ${what} was destroyed`);

/** Secret bytes that are gone once destroyed. */
class SecretBytes {
  readonly #what: string;
  #bytes: Uint8Array | undefined;

  constructor(what: string, bytes: Uint8Array) {
    requireArgument(bytes.length === 32, `a ${what} is 32 bytes`);
    this.#what = what;
    this.#bytes = copyOf(bytes);
  }

  get bytes(): Uint8Array {
    if (this.#bytes === undefined) throw destroyed(this.#what);
    return this.#bytes;
  }

  destroy(): void {
    this.#bytes?.fill(0);
    this.#bytes = undefined;
  }
}

/** The parts are laid where the ciphertext will stand, and sealed there. */
function layOut(parts: readonly Uint8Array[], extra: number): Uint8Array {
  const output = new Uint8Array(parts.reduce((sum, part) => sum + part.length, extra));
  let at = 0;
  for (const part of parts) {
    output.set(part, at);
    at += part.length;
  }
  return output;
}

function tryOpen(decrypt: () => Uint8Array): Uint8Array | undefined {
  try {
    return decrypt();
  } catch {
    return undefined; // the tag does not match: all else was checked before
  }
}

function chaChaPolyKey(bytes: Uint8Array): AeadKey {
  const key = new SecretBytes('cipher key', bytes);
  const cipher = (nonce: Uint8Array, aad: Uint8Array) => {
    requireArgument(nonce.length === 12, 'the nonce is 12 bytes');
    return chacha20poly1305(key.bytes, nonce, aad);
  };
  return {
    seal: (nonce, aad, plaintext) => cipher(nonce, aad).encrypt(plaintext),
    sealParts(nonce, aad, parts) {
      const output = layOut(parts, TAG_LENGTH);
      return [cipher(nonce, aad).encrypt(output.subarray(0, -TAG_LENGTH), output)];
    },
    open(nonce, aad, ciphertext) {
      const opener = cipher(nonce, aad);
      return ciphertext.length < TAG_LENGTH ? undefined : tryOpen(() => opener.decrypt(ciphertext));
    },
    destroy: () => key.destroy(),
  };
}

function aesGcmKey(bytes: Uint8Array): AeadKey {
  const key = new SecretBytes('cipher key', bytes);
  const cipher = (nonce: Uint8Array, aad: Uint8Array) => {
    requireArgument(nonce.length === 12, 'the nonce is 12 bytes');
    return gcm(key.bytes, nonce, aad);
  };
  return {
    seal: (nonce, aad, plaintext) => cipher(nonce, aad).encrypt(plaintext),
    // This cipher takes one buffer and gives a new one: the joined copy is its own price, and is zeroed.
    sealParts(nonce, aad, parts) {
      const joined = layOut(parts, 0);
      const sealed = cipher(nonce, aad).encrypt(joined);
      joined.fill(0);
      return [sealed];
    },
    open(nonce, aad, ciphertext) {
      const opener = cipher(nonce, aad);
      return ciphertext.length < TAG_LENGTH ? undefined : tryOpen(() => opener.decrypt(ciphertext));
    },
    destroy: () => key.destroy(),
  };
}

const AEADS: Readonly<Record<AeadName, Aead>> = {
  ChaChaPoly: { name: 'ChaChaPoly', key: chaChaPolyKey },
  AESGCM: { name: 'AESGCM', key: aesGcmKey },
};

type NobleHash = typeof sha256 | typeof sha512 | typeof blake2s | typeof blake2b;

function nobleHash(name: HashName, hash: NobleHash, hashLength: 32 | 64, blockLength: 64 | 128): Hash {
  const feed = <T extends { update(bytes: Uint8Array): T }>(state: T, parts: readonly Uint8Array[]): T => {
    for (const part of parts) state.update(part);
    return state;
  };
  return {
    name,
    hashLength,
    blockLength,
    digest: (...parts) => feed(hash.create(), parts).digest(),
    hmac: (key, ...parts) => feed(hmac.create(hash, key), parts).digest(),
  };
}

const HASHES: Readonly<Record<HashName, Hash>> = {
  SHA256: nobleHash('SHA256', sha256, 32, 64),
  SHA512: nobleHash('SHA512', sha512, 64, 128),
  BLAKE2s: nobleHash('BLAKE2s', blake2s, 32, 64),
  BLAKE2b: nobleHash('BLAKE2b', blake2b, 64, 128),
};

function dhKeyPair(secret: Uint8Array): DhKeyPair {
  const key = new SecretBytes('DH secret', secret);
  return {
    publicKey: x25519.getPublicKey(key.bytes),
    dh(publicKey) {
      const { bytes } = key;
      try {
        return x25519.getSharedSecret(bytes, publicKey);
      } catch (cause) {
        throw new HopfairError('HANDSHAKE_FAILED', 'the DH result is refused', { cause });
      }
    },
    destroy: () => key.destroy(),
  };
}

function signer(seed: Uint8Array): Signer {
  const key = new SecretBytes('signing seed', seed);
  return {
    publicKey: ed25519.getPublicKey(key.bytes),
    sign: message => ed25519.sign(message, key.bytes),
    destroy: () => key.destroy(),
  };
}

const { Point } = ed25519;

function fromLittleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] ?? 0);
  return value;
}

/** @noble's own `verify` is cofactored even where strict; see ed25519-key.ts for why all backends use one equation. */
function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== 64 || !isAcceptablePublicKey(publicKey)) return false;
  const r = signature.subarray(0, 32);
  const s = fromLittleEndian(signature.subarray(32));
  if (s >= Point.Fn.ORDER) return false;
  const k = fromLittleEndian(sha512(concat(r, publicKey, message))) % Point.Fn.ORDER;
  try {
    const a = Point.fromBytes(publicKey);
    return equalBytes(Point.BASE.multiplyUnsafe(s).subtract(a.multiplyUnsafe(k)).toBytes(), r);
  } catch {
    return false; // the key is no point of the curve
  }
}

/** Nothing to measure: AES without hardware is table look-ups, whose time depends on the key. */
const AEAD_ORDER: readonly AeadName[] = ['ChaChaPoly', 'AESGCM'];

const provider: CryptoProvider = {
  name: 'noble',
  aead: name => AEADS[name],
  aeadOrder: () => AEAD_ORDER,
  hash: name => HASHES[name],
  dhKeyPair,
  signer,
  verify,
  mlKem768,
};

/** The @noble backend. Runs everywhere. */
export function nobleCrypto(): CryptoProvider {
  return provider;
}
