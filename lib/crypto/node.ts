/**
 * The backend of Node: node:crypto, which is OpenSSL. Keys are imported once, as JWK or raw KeyObject and never as DER,
 * whose decoder costs more than a DH. The module is taken from the running process instead of by an import, so that a
 * bundle for browsers holds no reference to it.
 */
import type { KeyObject } from 'node:crypto';
import { HopfairError, requireArgument } from '../errors.js';
import { calibrateAeads } from './calibrate.js';
import { isAcceptablePublicKey } from './ed25519-key.js';
import type { Aead, AeadKey, AeadName, CryptoProvider, DhKeyPair, Hash, HashName, Signer } from './interface.js';
import { mlKem768 } from './ml-kem.js';
import { nodeMlKem768 } from './node-ml-kem.js';
import { onAllocatedOutside } from './scavenges.js';

type NodeCrypto = typeof import('node:crypto');

const TAG_LENGTH = 16;
const TAG_OPTION = { authTagLength: TAG_LENGTH };

/** The same memory as a plain Uint8Array: what a Buffer calls `slice` is not a copy, and callers rely on one. */
const plain = (buffer: Buffer): Uint8Array => new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);

const destroyed = (what: string): HopfairError => new HopfairError('INVALID_STATE', `the ${what} was destroyed`);

/** AES-GCM or ChaCha20-Poly1305. The key stays bytes: a KeyObject is no faster here, and could not be zeroed. */
class NodeAeadKey implements AeadKey {
  readonly #crypto: NodeCrypto;
  readonly #algorithm: 'chacha20-poly1305' | 'aes-256-gcm';
  #key: Uint8Array | undefined;

  constructor(crypto: NodeCrypto, name: AeadName, key: Uint8Array) {
    requireArgument(key.length === 32, 'a cipher key is 32 bytes');
    this.#crypto = crypto;
    this.#algorithm = name === 'ChaChaPoly' ? 'chacha20-poly1305' : 'aes-256-gcm';
    this.#key = new Uint8Array(key);
  }

  seal(nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Uint8Array {
    const cipher = this.#cipher(nonce, aad);
    const sealed = new Uint8Array(plaintext.length + TAG_LENGTH);
    sealed.set(cipher.update(plaintext));
    cipher.final();
    sealed.set(cipher.getAuthTag(), plaintext.length);
    return sealed;
  }

  sealParts(nonce: Uint8Array, aad: Uint8Array, parts: readonly Uint8Array[]): Uint8Array[] {
    const cipher = this.#cipher(nonce, aad);
    let length = 0;
    const sealed: Uint8Array[] = [];
    for (let i = 0; i < parts.length; i++) {
      const part = parts[i] as Uint8Array;
      length += part.length;
      sealed.push(plain(cipher.update(part)));
    }
    cipher.final();
    sealed.push(plain(cipher.getAuthTag()));
    onAllocatedOutside(length);
    return sealed;
  }

  open(nonce: Uint8Array, aad: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined {
    requireArgument(nonce.length === 12, 'the nonce is 12 bytes');
    const length = ciphertext.length - TAG_LENGTH;
    if (length < 0) return undefined;
    const decipher = this.#crypto.createDecipheriv(this.#algorithm as 'aes-256-gcm', this.#live(), nonce, TAG_OPTION);
    if (aad.length > 0) decipher.setAAD(aad);
    decipher.setAuthTag(ciphertext.subarray(length));
    onAllocatedOutside(length);
    const plaintext = decipher.update(ciphertext.subarray(0, length));
    try {
      decipher.final();
    } catch {
      return undefined; // the only thing left to fail is the tag
    }
    return plain(plaintext);
  }

  destroy(): void {
    this.#key?.fill(0);
    this.#key = undefined;
  }

  #live(): Uint8Array {
    if (this.#key === undefined) throw destroyed('cipher key');
    return this.#key;
  }

  #cipher(nonce: Uint8Array, aad: Uint8Array) {
    requireArgument(nonce.length === 12, 'the nonce is 12 bytes');
    const cipher = this.#crypto.createCipheriv(this.#algorithm as 'aes-256-gcm', this.#live(), nonce, TAG_OPTION);
    if (aad.length > 0) cipher.setAAD(aad);
    return cipher;
  }
}

function nodeHash(
  crypto: NodeCrypto,
  name: HashName,
  algorithm: string,
  hashLength: 32 | 64,
  blockLength: 64 | 128,
): Hash {
  return {
    name,
    hashLength,
    blockLength,
    digest(...parts) {
      const hash = crypto.createHash(algorithm);
      for (const part of parts) hash.update(part);
      return plain(hash.digest());
    },
    hmac(key, ...parts) {
      const hmac = crypto.createHmac(algorithm, key);
      for (const part of parts) hmac.update(part);
      return plain(hmac.digest());
    },
  };
}

type Curve = 'X25519' | 'Ed25519';

function privateKey(crypto: NodeCrypto, curve: Curve, secret: Uint8Array): KeyObject {
  requireArgument(secret.length === 32, `a secret of ${curve} is 32 bytes`);
  const d = Buffer.from(secret.buffer, secret.byteOffset, secret.length).toString('base64url');
  // `x` must be there but is not read: the public key is computed from `d`.
  return crypto.createPrivateKey({ key: { kty: 'OKP', crv: curve, d, x: '' }, format: 'jwk' });
}

function publicKey(crypto: NodeCrypto, curve: Curve, bytes: Uint8Array): KeyObject {
  const x = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url');
  return crypto.createPublicKey({ key: { kty: 'OKP', crv: curve, x }, format: 'jwk' });
}

function publicBytes(crypto: NodeCrypto, key: KeyObject): Uint8Array {
  const { x } = crypto.createPublicKey(key).export({ format: 'jwk' });
  return new Uint8Array(Buffer.from(x ?? '', 'base64url'));
}

/** How many Ed25519 keys are kept imported: committees and busy clients, not everybody who ever signed. */
const MAX_SIGNING_KEYS = 1_024;
/** X25519 keys: each handshake brings an ephemeral one, which it uses twice, and a static one that comes again. */
const MAX_DH_KEYS = 64;

/**
 * Public keys, imported once: an import costs a sixth of what is done with the key. The oldest goes first when they are
 * too many, so a stranger with many keys costs time, never memory.
 */
class PublicKeys {
  readonly #import: (bytes: Uint8Array) => KeyObject | undefined;
  readonly #max: number;
  readonly #kept = new Map<string, KeyObject | undefined>();

  constructor(max: number, importKey: (bytes: Uint8Array) => KeyObject | undefined) {
    this.#max = max;
    this.#import = importKey;
  }

  /** Undefined for bytes that no key is made of. */
  get(bytes: Uint8Array): KeyObject | undefined {
    if (bytes.length !== 32) return undefined;
    const name = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
    if (this.#kept.has(name)) return this.#kept.get(name);
    const key = this.#import(bytes);
    this.#kept.set(name, key);
    if (this.#kept.size > this.#max) {
      for (const oldest of this.#kept.keys()) {
        this.#kept.delete(oldest);
        break;
      }
    }
    return key;
  }
}

class NodeDhKeyPair implements DhKeyPair {
  readonly publicKey: Uint8Array;
  readonly #crypto: NodeCrypto;
  readonly #remoteKeys: PublicKeys;
  #key: KeyObject | undefined;

  constructor(crypto: NodeCrypto, remoteKeys: PublicKeys, secret: Uint8Array) {
    this.#crypto = crypto;
    this.#remoteKeys = remoteKeys;
    this.#key = privateKey(crypto, 'X25519', secret);
    this.publicKey = publicBytes(crypto, this.#key);
  }

  dh(remote: Uint8Array): Uint8Array {
    if (this.#key === undefined) throw destroyed('DH secret');
    try {
      const publicKey = this.#remoteKeys.get(remote);
      if (publicKey === undefined) throw new HopfairError('HANDSHAKE_FAILED', 'a public key is 32 bytes');
      return plain(this.#crypto.diffieHellman({ privateKey: this.#key, publicKey }));
    } catch (cause) {
      throw new HopfairError('HANDSHAKE_FAILED', 'the DH result is refused', { cause });
    }
  }

  destroy(): void {
    this.#key = undefined;
  }
}

class NodeSigner implements Signer {
  readonly publicKey: Uint8Array;
  readonly #crypto: NodeCrypto;
  #key: KeyObject | undefined;

  constructor(crypto: NodeCrypto, seed: Uint8Array) {
    this.#crypto = crypto;
    this.#key = privateKey(crypto, 'Ed25519', seed);
    this.publicKey = publicBytes(crypto, this.#key);
  }

  sign(message: Uint8Array): Uint8Array {
    if (this.#key === undefined) throw destroyed('signing key');
    return plain(this.#crypto.sign(null, message, this.#key));
  }

  destroy(): void {
    this.#key = undefined;
  }
}

function createProvider(crypto: NodeCrypto): CryptoProvider {
  const signingKeys = new PublicKeys(MAX_SIGNING_KEYS, bytes =>
    isAcceptablePublicKey(bytes) ? publicKey(crypto, 'Ed25519', bytes) : undefined,
  );
  const dhKeys = new PublicKeys(MAX_DH_KEYS, bytes => publicKey(crypto, 'X25519', bytes));
  let aeadOrder: readonly AeadName[] | undefined;
  const aead = (name: AeadName): Aead => ({ name, key: key => new NodeAeadKey(crypto, name, key) });
  const aeads: Readonly<Record<AeadName, Aead>> = { ChaChaPoly: aead('ChaChaPoly'), AESGCM: aead('AESGCM') };
  const hashes: Readonly<Record<HashName, Hash>> = {
    SHA256: nodeHash(crypto, 'SHA256', 'sha256', 32, 64),
    SHA512: nodeHash(crypto, 'SHA512', 'sha512', 64, 128),
    BLAKE2s: nodeHash(crypto, 'BLAKE2s', 'blake2s256', 32, 64),
    BLAKE2b: nodeHash(crypto, 'BLAKE2b', 'blake2b512', 64, 128),
  };
  const provider: CryptoProvider = {
    name: 'node',
    aead: name => aeads[name],
    aeadOrder() {
      aeadOrder ??= calibrateAeads(provider);
      return aeadOrder;
    },
    hash: name => hashes[name],
    dhKeyPair: secret => new NodeDhKeyPair(crypto, dhKeys, secret),
    signer: seed => new NodeSigner(crypto, seed),
    verify(key, message, signature) {
      const imported = signature.length === 64 ? signingKeys.get(key) : undefined;
      return imported !== undefined && crypto.verify(null, message, imported, signature);
    },
    mlKem768: nodeMlKem768(crypto) ?? mlKem768,
  };
  return provider;
}

let provider: CryptoProvider | undefined;

/** The node:crypto backend, or undefined where the platform has none. */
export function nodeCrypto(): CryptoProvider | undefined {
  if (provider === undefined) {
    // Without the scheme, so that not even the text of a bundle for browsers names a module that it cannot have.
    const crypto = globalThis.process?.getBuiltinModule?.('crypto');
    if (crypto !== undefined) provider = createProvider(crypto);
  }
  return provider;
}
