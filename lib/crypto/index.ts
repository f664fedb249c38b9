/**
 * Cryptography: AEAD, hash, DH, signatures and KEM behind the interface of `interface.ts`, from node:crypto where it is
 * and from @noble everywhere else. Both give the same results for all inputs, hostile ones included: the tests hold one
 * against the other. No primitive is written here.
 * This room must never know a protocol, a peer or a policy, and it keeps no state but imported keys.
 */
import type { CryptoProvider } from './interface.js';
import { mlKem768 } from './ml-kem.js';
import { nobleCrypto } from './noble.js';
import { nodeCrypto } from './node.js';

export { calibrateAeads } from './calibrate.js';
export type { Aead, AeadKey, AeadName, CryptoProvider, DhKeyPair, Hash, HashName, Kem, Signer } from './interface.js';
export { nobleCrypto } from './noble.js';
export { nodeCrypto } from './node.js';
export { systemRandomBytes } from './random.js';

/**
 * `defaultCrypto()` that gives the same bytes for the same random ones on every machine, for simulations: nothing depends
 * on how fast it is, and no randomness is drawn but what is given.
 */
export function reproducibleCrypto(): CryptoProvider {
  return { ...defaultCrypto(), aeadOrder: () => ['AESGCM', 'ChaChaPoly'], mlKem768 };
}

/** The fastest backend that this platform has. */
export function defaultCrypto(): CryptoProvider {
  return nodeCrypto() ?? nobleCrypto();
}
