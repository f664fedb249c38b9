/** Messages of key refreshes that wait to leave, in pieces as large as records have room for. */
import { KIND, MORE_FOLLOWS, SECTION_HEADER_BYTES, writeSectionHeader } from './record.js';

const HEADER_BYTES = SECTION_HEADER_BYTES + 1;
/** A cut smaller than this waits for the next record. */
const MIN_PIECE_BYTES = 256;

export class RefreshOutbox {
  readonly #messages: { readonly number: number; rest: Uint8Array }[] = [];

  get isEmpty(): boolean {
    return this.#messages.length === 0;
  }

  push(number: number, bytes: Uint8Array): void {
    this.#messages.push({ number, rest: bytes });
  }

  /** Moves what fits into the parts of a record; returns the room that it used. */
  take(room: number, parts: Uint8Array[]): number {
    let left = room;
    for (let first = this.#messages[0]; first !== undefined; first = this.#messages[0]) {
      const { number, rest } = first;
      const length = Math.min(rest.length, left - HEADER_BYTES);
      const isWhole = length === rest.length;
      if (!isWhole && length < MIN_PIECE_BYTES) break;
      const header = new Uint8Array(HEADER_BYTES);
      writeSectionHeader(header, 0, KIND.refresh, length + 1);
      header[SECTION_HEADER_BYTES] = isWhole ? number : number | MORE_FOLLOWS;
      parts.push(header, rest.subarray(0, length));
      left -= HEADER_BYTES + length;
      if (isWhole) this.#messages.shift();
      else first.rest = rest.subarray(length);
    }
    return room - left;
  }

  clear(): void {
    this.#messages.length = 0;
  }
}
