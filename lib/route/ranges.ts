/**
 * Receipts of one path: which packet numbers came, as ranges from the highest down (the ACK ranges of RFC 9000 section
 * 19.3), and the replay window that makes each number count once. Both are bounded whatever a peer sends.
 */
import { LIMITS } from '../limits.js';

/** Inclusive. */
export interface PacketRange {
  readonly first: number;
  readonly last: number;
}

export const MAX_RECEIPT_RANGES = 32;

/** Packet numbers seen, newest ranges first; the oldest are forgotten beyond `MAX_RECEIPT_RANGES`. */
export class ReceiptRanges {
  #ranges: { first: number; last: number }[] = [];

  get ranges(): readonly PacketRange[] {
    return this.#ranges;
  }

  add(packet: number): void {
    const ranges = this.#ranges;
    let at = 0;
    for (let range = ranges[at]; range !== undefined && range.first > packet + 1; range = ranges[at]) at++;
    const range = ranges[at];
    if (range === undefined || range.last < packet - 1) {
      ranges.splice(at, 0, { first: packet, last: packet });
      if (ranges.length > MAX_RECEIPT_RANGES) ranges.length = MAX_RECEIPT_RANGES;
      return;
    }
    if (packet < range.first) range.first = packet;
    if (packet > range.last) range.last = packet;
    const newer = ranges[at - 1];
    if (newer !== undefined && newer.first <= range.last + 1) {
      newer.first = range.first;
      ranges.splice(at, 1);
    }
    const older = ranges[at + 1];
    if (older !== undefined && older.last >= range.first - 1) {
      range.first = older.first;
      ranges.splice(at + 1, 1);
    }
  }
}

/** Whether `packet` lies in one of the ranges, which are sorted from the highest down. */
export function inRanges(ranges: readonly PacketRange[], packet: number): boolean {
  for (const range of ranges) if (packet >= range.first) return packet <= range.last;
  return false;
}

const WORD = 32;

/** RFC 6479: a ring of bits over the last `LIMITS.replayWindow` packet numbers. */
export class ReplayWindow {
  readonly #size = LIMITS.replayWindow;
  /** One more word than the window, so that clearing ahead never touches numbers that still count. */
  readonly #words = new Uint32Array(this.#size / WORD + 1);
  #highest = -1;

  /** True when the number is new and not too old. Call it before the packet is opened. */
  fresh(packet: number): boolean {
    if (packet > this.#highest) return true;
    if (this.#highest - packet >= this.#size) return false;
    const word = this.#words[Math.floor(packet / WORD) % this.#words.length] ?? 0;
    return (word & (1 << (packet % WORD))) === 0;
  }

  /** Records the number, only after the packet authenticated. */
  accept(packet: number): void {
    const words = this.#words;
    const word = Math.floor(packet / WORD);
    if (packet > this.#highest) {
      const top = Math.floor(Math.max(this.#highest, 0) / WORD);
      const ahead = Math.min(word - top, words.length);
      for (let i = 1; i <= ahead; i++) words[(top + i) % words.length] = 0;
      this.#highest = packet;
    }
    const at = word % words.length;
    words[at] = (words[at] ?? 0) | (1 << (packet % WORD));
  }
}
