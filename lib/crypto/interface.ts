/**
 * What the pure rooms know of cryptography: these interfaces, never a backend. Two backends stand behind them:
 * node:crypto (`node.ts`) and @noble (`noble.ts`), which is also the oracle of the first in the tests.
 * All functions are synchronous; what is kept are imported keys and the order of the AEADs. All-zero X25519 results throw HANDSHAKE_FAILED in both.
 */

export type AeadName = 'ChaChaPoly' | 'AESGCM';
export type HashName = 'SHA256' | 'SHA512' | 'BLAKE2s' | 'BLAKE2b';

/** A key prepared once and used for many messages; `destroy` zeroes what can be zeroed. */
export interface AeadKey {
  /** Returns ciphertext with the 16-byte tag at its end. `nonce` is 12 bytes. */
  seal(nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Uint8Array;
  /** Seals the concatenation of the parts without joining them first; returns parts to be sent in order, tag last. */
  sealParts(nonce: Uint8Array, aad: Uint8Array, parts: readonly Uint8Array[]): Uint8Array[];
  /** Returns the plaintext, or undefined when it does not authenticate. */
  open(nonce: Uint8Array, aad: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined;
  destroy(): void;
}

export interface Aead {
  readonly name: AeadName;
  /** `key` is 32 bytes; it is copied or imported, so the caller may zero it. */
  key(key: Uint8Array): AeadKey;
}

export interface Hash {
  readonly name: HashName;
  readonly hashLength: 32 | 64;
  readonly blockLength: 64 | 128;
  digest(...parts: readonly Uint8Array[]): Uint8Array;
  hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array;
}

/** An X25519 key pair imported once; the backend decides what it holds. */
export interface DhKeyPair {
  readonly publicKey: Uint8Array;
  /** DH with a 32-byte public key; throws HANDSHAKE_FAILED on an all-zero result (RFC 7748 section 6.1). */
  dh(publicKey: Uint8Array): Uint8Array;
  destroy(): void;
}

export interface Signer {
  /** 32-byte Ed25519 public key. */
  readonly publicKey: Uint8Array;
  /** 64-byte RFC 8032 signature. */
  sign(message: Uint8Array): Uint8Array;
  destroy(): void;
}

/** ML-KEM-768, FIPS 203. What a secret key consists of is the backend's own affair. */
export interface Kem {
  readonly publicKeyLength: 1184;
  readonly ciphertextLength: 1088;
  /** `seed` is 64 bytes, d || z. */
  keyPair(seed: Uint8Array): { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array };
  /** `seed` is 32 bytes, m. */
  encapsulate(
    publicKey: Uint8Array,
    seed: Uint8Array,
  ): { readonly ciphertext: Uint8Array; readonly sharedSecret: Uint8Array };
  /** Only where the platform has its own: the same with a seed that the platform draws, in a fraction of the time. */
  encapsulateRandomly?(publicKey: Uint8Array): { readonly ciphertext: Uint8Array; readonly sharedSecret: Uint8Array };
  decapsulate(ciphertext: Uint8Array, secretKey: Uint8Array): Uint8Array;
}

export interface CryptoProvider {
  readonly name: string;
  aead(name: AeadName): Aead;
  /** All AEADs, the best on this machine first. Where hardware decides, it is measured when it is first asked for. */
  aeadOrder(): readonly AeadName[];
  hash(name: HashName): Hash;
  /** `secret` is 32 bytes. */
  dhKeyPair(secret: Uint8Array): DhKeyPair;
  /** `seed` is the 32-byte Ed25519 secret seed of RFC 8032. */
  signer(seed: Uint8Array): Signer;
  /** Strict RFC 8032 verification: false for anything but a 64-byte canonical signature by this key. */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  readonly mlKem768: Kem;
}
