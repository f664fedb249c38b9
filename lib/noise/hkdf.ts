/** HKDF in the form of Noise spec section 4.3: `ikm` is empty, 32 bytes, or a label of ours. */
import type { Hash } from '../crypto/interface.js';

const BYTE_1 = Uint8Array.of(1);
const BYTE_2 = Uint8Array.of(2);
const BYTE_3 = Uint8Array.of(3);

/** Two outputs of `hash.hashLength` bytes. */
export function hkdf2(hash: Hash, chainingKey: Uint8Array, ...ikm: readonly Uint8Array[]): [Uint8Array, Uint8Array] {
  const temp = hash.hmac(chainingKey, ...ikm);
  const first = hash.hmac(temp, BYTE_1);
  const second = hash.hmac(temp, first, BYTE_2);
  temp.fill(0);
  return [first, second];
}

/** Three outputs of `hash.hashLength` bytes. */
export function hkdf3(hash: Hash, chainingKey: Uint8Array, ikm: Uint8Array): [Uint8Array, Uint8Array, Uint8Array] {
  const temp = hash.hmac(chainingKey, ikm);
  const first = hash.hmac(temp, BYTE_1);
  const second = hash.hmac(temp, first, BYTE_2);
  const third = hash.hmac(temp, second, BYTE_3);
  temp.fill(0);
  return [first, second, third];
}
