/** What both ends of a test send: messages that each end can compute, so that each checks every byte. */
import type { Priority } from 'hopfair/channel';

/** From nothing to the largest message of a channel, around the borders of records and of pieces. */
export const SIZES: readonly number[] = [
  ...[0, 1, 17, 255, 256, 4_095, 4_096, 16_384, 65_519, 65_536, 65_600, 100_000, 300_000, 1_048_576],
];

export const PRIORITIES: readonly Priority[] = ['urgent', 'normal', 'bulk'];

/** A message of `size` bytes that differs from every other `tag`. */
export function patterned(size: number, tag: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at++) bytes[at] = (at * 31 + (at >> 8) * 7 + tag * 101) & 0xff;
  return bytes;
}

export function isPatterned(bytes: Uint8Array, size: number, tag: number): boolean {
  if (bytes.length !== size) return false;
  const wanted = patterned(size, tag);
  return bytes.every((byte, at) => byte === wanted[at]);
}
