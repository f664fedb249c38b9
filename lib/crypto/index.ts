/**
 * Cryptography: AEAD, hash, DH, signatures and KEM behind the interface of `interface.ts`, from node:crypto where it is
 * and from @noble everywhere else. Both give the same results for all inputs, hostile ones included: the tests hold one
 * against the other. No primitive is written here.
 * This room must never know a protocol, a peer or a policy, and it keeps no state but imported keys.
 */
import type { CryptoProvider } from './interface.js';
import { nobleCrypto } from './noble.js';
import { nodeCrypto } from './node.js';

export type { Aead, AeadKey, AeadName, CryptoProvider, DhKeyPair, Hash, HashName, Kem, Signer } from './interface.js';
export { nobleCrypto } from './noble.js';
export { nodeCrypto } from './node.js';
export { systemRandomBytes } from './random.js';

/** The fastest backend that this platform has. */
export function defaultCrypto(): CryptoProvider {
  return nodeCrypto() ?? nobleCrypto();
}
