/**
 * The plaintext of a record: sections, each behind one byte of kind and three of length, big-endian. Sections of a lane
 * carry the next bytes of its stream; all other kinds are control and are never charged against credit.
 */
import type { Priority } from './types.js';

/** By rank, the first to leave. */
export const PRIORITIES: readonly Priority[] = ['urgent', 'normal', 'bulk'];
export const LANES = 3;
export const URGENT = 0;
export const NORMAL = 1;
export const BULK = 2;
export const rankOf = (priority?: Priority): number => (priority === undefined ? NORMAL : PRIORITIES.indexOf(priority));

export function lengthOf(parts: readonly Uint8Array[]): number {
  let length = 0;
  for (let i = 0; i < parts.length; i++) length += (parts[i] as Uint8Array).length;
  return length;
}

/** Kinds below LANES are the lanes, numbered by rank. */
export const KIND = {
  /** u64 bytes received, u64 credit: absolute offsets over all lanes together. */
  ack: 8,
  /** Asks for an ack: flow control, round trip and sign of life in one. */
  ask: 9,
  /** The last section of its record: the records after it are sealed with the next key. */
  rekey: 10,
  /** u8 number of a message of a key refresh, with `MORE_FOLLOWS` on all pieces but its last; then the piece. */
  refresh: 12,
  /** As a rekey, but the next key is that of the refresh. */
  switch: 13,
  /** Nothing but length. */
  padding: 14,
  /** The authenticated end; one byte says why. Nothing follows it. */
  end: 11,
} as const;

export const MORE_FOLLOWS = 0x80;

export const SECTION_HEADER_BYTES = 4;
export const ACK_BYTES = 16;
export const TAG_BYTES = 16;
/** A cut of a lane smaller than this waits for more room, unless it is all that is left. */
export const MIN_CUT_BYTES = 4_096;
/** In the stream of a lane, each message stands behind its length. */
export const MESSAGE_HEADER_BYTES = 4;
/** Both ends grant each other this much before the first ack. */
export const INITIAL_CREDIT_BYTES = 131_072;

export function writeSectionHeader(target: Uint8Array, at: number, kind: number, length: number): void {
  target[at] = kind;
  target[at + 1] = length >>> 16;
  target[at + 2] = length >>> 8;
  target[at + 3] = length;
}

export function writeU32(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
}

export function readU24(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
}

export function readU32(bytes: Uint8Array, at: number): number {
  return (((bytes[at] as number) << 24) | readU24(bytes, at + 1)) >>> 0;
}

/** An integer below 2^53; more comes out inexact, and above everything that was sent. */
export function readU64(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at) * 0x1_0000_0000 + readU32(bytes, at + 4);
}

export function writeU64(target: Uint8Array, at: number, value: number): void {
  writeU32(target, at, Math.floor(value / 0x1_0000_0000));
  writeU32(target, at + 4, value >>> 0);
}
