/** Random bytes of the platform, in Node and browsers alike: what a real `Env` has for `rng.bytes`. */

/** `getRandomValues` takes no more at once. */
const QUOTA_BYTES = 65_536;

export function systemRandomBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += QUOTA_BYTES) {
    globalThis.crypto.getRandomValues(bytes.subarray(at, Math.min(at + QUOTA_BYTES, length)));
  }
  return bytes;
}
