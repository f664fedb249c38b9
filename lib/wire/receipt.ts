/**
 * Which packets of one path came: the ACK ranges of RFC 9000 section 19.3, as numbers of variable length, since receipts
 * are most of what a session sends beside messages.
 */
import type { Reader, Writer } from '../bytes.js';
import { HopfairError } from '../errors.js';

/** Inclusive packet numbers. */
export interface Range {
  readonly first: number;
  readonly last: number;
}

export interface Receipt {
  /** Of the packets; the packet that carries the receipt may travel over any path. */
  readonly path: number;
  /** How long the receiver dwelt since the newest of them. */
  readonly delayMs: number;
  /** From the highest down, without overlap. */
  readonly ranges: readonly Range[];
}

const MAX_RANGES = 32;
const MAX_PATH = 15;
const DELAY_UNITS_PER_MS = 100;
export function writeReceipt(writer: Writer, { path, delayMs, ranges }: Receipt): void {
  writer.u8(path).u16(Math.min(Math.round(delayMs * DELAY_UNITS_PER_MS), 0xffff));
  writer.u8(ranges.length);
  let below = 0;
  for (const [i, { first, last }] of ranges.entries()) {
    // Between two ranges at least one number is missing.
    writer.varint(i === 0 ? last : below - last - 2).varint(last - first);
    below = first;
  }
}

/** About what a receipt takes in a packet, its kind included. */
export const receiptBytes = ({ ranges }: Receipt): number => 5 + ranges.length * 6;

/** Throws DECODE_FAILED. */
export function readReceipt(reader: Reader): Receipt {
  const path = reader.u8();
  const delayMs = reader.u16() / DELAY_UNITS_PER_MS;
  const count = reader.u8();
  if (path > MAX_PATH || count === 0 || count > MAX_RANGES) throw new HopfairError('DECODE_FAILED', 'bad receipt');
  const ranges: Range[] = [];
  let below = 0;
  for (let i = 0; i < count; i++) {
    const last = i === 0 ? reader.varint() : below - reader.varint() - 2;
    const first = last - reader.varint();
    if (first < 0) throw new HopfairError('DECODE_FAILED', 'a receipt for packets before the first');
    ranges.push({ first, last });
    below = first;
  }
  return { path, delayMs, ranges };
}
