/**
 * ML-KEM-768 of node:crypto, from Node 24.7 on: a tenth of the time of JavaScript. A secret key is its seed d || z here,
 * from which the key is made anew when it is used, so that there are 64 bytes that can be zeroed.
 */
import type { KeyObject } from 'node:crypto';
import { concat, fromHex } from '../bytes.js';
import { requireArgument } from '../errors.js';
import type { Kem } from './interface.js';
import { mlKem768 } from './ml-kem.js';

/** What the types of the oldest supported Node do not have yet. */
type KemCrypto = typeof import('node:crypto') & {
  encapsulate(key: KeyObject): { readonly ciphertext: Uint8Array; readonly sharedKey: Uint8Array };
  decapsulate(key: KeyObject, ciphertext: Uint8Array): Uint8Array;
};

const { publicKeyLength, ciphertextLength } = mlKem768;
const SEED_LENGTH = 64;
/** DER around a seed (PKCS #8) and around a public key (SPKI) of 2.16.840.1.101.3.4.4.2; there is no JWK of it yet. */
const PRIVATE_PREFIX = fromHex('3054020100300b060960864801650304040204428040');
const PUBLIC_PREFIX = fromHex('308204b2300b0609608648016503040402038204a100');

/** The same memory as a plain Uint8Array, so that zeroing it zeroes the secret. */
const plain = (buffer: Uint8Array): Uint8Array => new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);

/** Undefined where this Node, or what it was built with, has no ML-KEM. */
export function nodeMlKem768(crypto: typeof import('node:crypto')): Kem | undefined {
  if (!('encapsulate' in crypto)) return undefined;
  const kem = createKem(crypto as KemCrypto);
  try {
    kem.keyPair(new Uint8Array(SEED_LENGTH));
    return kem;
  } catch {
    return undefined; // the function is there, the algorithm is not
  }
}

function createKem(crypto: KemCrypto): Kem {
  function privateKey(seed: Uint8Array): KeyObject {
    requireArgument(seed.length === SEED_LENGTH, 'a seed of ML-KEM is 64 bytes');
    const der = Buffer.from(concat(PRIVATE_PREFIX, seed));
    try {
      return crypto.createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    } finally {
      der.fill(0);
    }
  }
  return {
    publicKeyLength,
    ciphertextLength,
    keyPair(seed) {
      const spki = crypto.createPublicKey(privateKey(seed)).export({ format: 'der', type: 'spki' });
      return { publicKey: new Uint8Array(spki.subarray(PUBLIC_PREFIX.length)), secretKey: new Uint8Array(seed) };
    },
    // A given seed is for vectors and simulations; node:crypto takes none.
    encapsulate: (publicKey, seed) => mlKem768.encapsulate(publicKey, seed),
    encapsulateRandomly(publicKey) {
      requireArgument(publicKey.length === publicKeyLength, 'a public key of ML-KEM-768 is 1,184 bytes');
      const der = Buffer.from(concat(PUBLIC_PREFIX, publicKey));
      const { ciphertext, sharedKey } = crypto.encapsulate(
        crypto.createPublicKey({ key: der, format: 'der', type: 'spki' }),
      );
      return { ciphertext: new Uint8Array(ciphertext), sharedSecret: plain(sharedKey) };
    },
    decapsulate(ciphertext, secretKey) {
      requireArgument(ciphertext.length === ciphertextLength, 'a ciphertext of ML-KEM-768 is 1,088 bytes');
      return plain(crypto.decapsulate(privateKey(secretKey), ciphertext));
    },
  };
}
