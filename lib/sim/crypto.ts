/**
 * A fake cryptography, fast and deterministic, for simulations only: it keeps no secret from anyone, but it detects
 * what the real one detects. A flipped bit, a wrong key, nonce or associated data, a signature over other bytes or by
 * another key all fail. Every fifth simulation at least runs on the real one.
 */
import { compareBytes, concat, equalBytes, fromUtf8 } from '../bytes.js';
import type {
  Aead,
  AeadKey,
  AeadName,
  CryptoProvider,
  DhKeyPair,
  Hash,
  HashName,
  Kem,
  Signer,
} from '../crypto/interface.js';
import { HopfairError, requireArgument } from '../errors.js';

const TAG_BYTES = 16;
const KEY_BYTES = 32;

const rotate = (x: number, by: number): number => (x << by) | (x >>> (32 - by));

/** The finalizer of MurmurHash3: every input bit changes every output bit with probability near one half. */
function avalanche(x: number): number {
  let h = x;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** A 128-bit hash of the parts, each behind its length, in the manner of MurmurHash3 x86-128. */
class Mixer {
  #a = 0x239b961b;
  #b = 0x38b34ae5;
  #c = 0x2ab0e789;
  #d = 0xa1e38b93 | 0;

  word(word: number): this {
    const a = rotate(this.#a ^ Math.imul(word, 0x85ebca77), 15);
    this.#a = (Math.imul(a, 5) + this.#b) | 0;
    this.#b = (rotate(this.#b ^ this.#a, 13) + this.#c) | 0;
    this.#c = (Math.imul(rotate(this.#c ^ this.#b, 17), 9) + this.#d) | 0;
    this.#d = (rotate(this.#d ^ this.#c, 19) + this.#a) | 0;
    return this;
  }

  bytes(bytes: Uint8Array): this {
    this.word(bytes.length);
    let at = 0;
    for (; at + 4 <= bytes.length; at += 4) {
      const [b0, b1, b2, b3] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]] as [
        number,
        number,
        number,
        number,
      ];
      this.word(b0 | (b1 << 8) | (b2 << 16) | (b3 << 24));
    }
    for (; at < bytes.length; at++) this.word(bytes[at] as number);
    return this;
  }

  text(text: string): this {
    return this.bytes(fromUtf8(text));
  }

  /** As many bytes as wanted, all of them depending on all of the input. */
  finish(length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let i = 0; i < 4; i++) this.word(0);
    for (let at = 0, counter = 1; at < length; at += 4, counter++) {
      const lane = [this.#a, this.#b, this.#c, this.#d][counter & 3] as number;
      const word = avalanche(lane ^ Math.imul(counter, 0x9e3779b1)) ^ avalanche(this.#a + counter);
      for (let j = at; j < Math.min(at + 4, length); j++) out[j] = word >>> (8 * (j - at));
    }
    return out;
  }
}

const mix = (domain: string, length: number, ...parts: readonly Uint8Array[]): Uint8Array => {
  const mixer = new Mixer().text(domain);
  for (const part of parts) mixer.bytes(part);
  return mixer.finish(length);
};

function fakeKey(name: AeadName, key: Uint8Array): AeadKey {
  requireArgument(key.length === KEY_BYTES, 'an AEAD key has 32 bytes');
  const own = key.slice();
  const xor = (nonce: Uint8Array, bytes: Uint8Array): Uint8Array => {
    const stream = mix(`stream ${name}`, bytes.length, own, nonce);
    return stream.map((byte, i) => byte ^ (bytes[i] as number));
  };
  const tag = (nonce: Uint8Array, aad: Uint8Array, ciphertext: Uint8Array): Uint8Array =>
    mix(`tag ${name}`, TAG_BYTES, own, nonce, aad, ciphertext);
  const seal = (nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Uint8Array => {
    const ciphertext = xor(nonce, plaintext);
    return concat(ciphertext, tag(nonce, aad, ciphertext));
  };
  return {
    seal,
    sealParts: (nonce, aad, parts) => [seal(nonce, aad, concat(...parts))],
    open: (nonce, aad, sealed) => {
      if (sealed.length < TAG_BYTES) return undefined;
      const ciphertext = sealed.subarray(0, sealed.length - TAG_BYTES);
      const authentic = equalBytes(tag(nonce, aad, ciphertext), sealed.subarray(sealed.length - TAG_BYTES));
      return authentic ? xor(nonce, ciphertext) : undefined;
    },
    destroy: () => {
      own.fill(0);
    },
  };
}

function fakeHash(name: HashName): Hash {
  const wide = name === 'SHA512' || name === 'BLAKE2b';
  const hashLength = wide ? 64 : 32;
  // The input is joined first: digest(a, b) is the digest of a || b, as with any real hash.
  return {
    name,
    hashLength,
    blockLength: wide ? 128 : 64,
    digest: (...parts) => mix(name, hashLength, concat(...parts)),
    hmac: (key, ...parts) => mix(`hmac ${name}`, hashLength, key, concat(...parts)),
  };
}

function fakeDhKeyPair(secret: Uint8Array): DhKeyPair {
  const publicKey = mix('dh public', 32, secret);
  return {
    publicKey,
    dh: theirs => {
      if (theirs.every(byte => byte === 0)) throw new HopfairError('HANDSHAKE_FAILED', 'all-zero DH result');
      // Both ends mix the two public keys in one order; here the shared secret is no secret.
      const [low, high] = compareBytes(publicKey, theirs) < 0 ? [publicKey, theirs] : [theirs, publicKey];
      return mix('dh shared', 32, low, high);
    },
    destroy: () => undefined,
  };
}

function fakeSigner(seed: Uint8Array): Signer {
  const publicKey = mix('signer public', 32, seed);
  return { publicKey, sign: message => mix('signature', 64, publicKey, message), destroy: () => undefined };
}

const fakeKem: Kem = {
  publicKeyLength: 1184,
  ciphertextLength: 1088,
  keyPair: seed => {
    const publicKey = mix('kem public', 1184, seed);
    return { publicKey, secretKey: publicKey.slice() };
  },
  encapsulate: (publicKey, seed) => {
    const ciphertext = mix('kem ciphertext', 1088, seed);
    return { ciphertext, sharedSecret: mix('kem shared', 32, publicKey, ciphertext) };
  },
  decapsulate: (ciphertext, secretKey) => mix('kem shared', 32, secretKey, ciphertext),
};

const provider: CryptoProvider = {
  name: 'fake',
  aead: (name): Aead => ({ name, key: key => fakeKey(name, key) }),
  aeadOrder: () => ['ChaChaPoly', 'AESGCM'],
  hash: fakeHash,
  dhKeyPair: fakeDhKeyPair,
  signer: fakeSigner,
  verify: (publicKey, message, signature) => equalBytes(mix('signature', 64, publicKey, message), signature),
  mlKem768: fakeKem,
};

/** The fake provider, in the place of `nodeCrypto()`. */
export const fakeCrypto = (): CryptoProvider => provider;
