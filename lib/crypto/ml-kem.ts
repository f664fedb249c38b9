/** ML-KEM-768 of @noble/post-quantum behind our interface; both backends use it. */
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js';
import type { Kem } from './interface.js';

export const mlKem768: Kem = {
  publicKeyLength: 1184,
  ciphertextLength: 1088,
  keyPair: seed => ml_kem768.keygen(seed),
  encapsulate(publicKey, seed) {
    const { cipherText, sharedSecret } = ml_kem768.encapsulate(publicKey, seed);
    return { ciphertext: cipherText, sharedSecret };
  },
  decapsulate: (ciphertext, secretKey) => ml_kem768.decapsulate(ciphertext, secretKey),
};
