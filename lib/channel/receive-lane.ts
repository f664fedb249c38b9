/** Cuts the stream of one lane back into messages. */
import { MESSAGE_HEADER_BYTES, readU32 } from './record.js';
import type { SectionSink } from './section-reader.js';

/**
 * A message that lies within one record is handed on as a view of it, uncopied. One that spans records is collected in
 * a buffer that grows with what has arrived.
 */
export class ReceiveLane {
  readonly #rank: number;
  readonly #maxBytes: number;
  readonly #sink: Pick<SectionSink, 'onMessage'>;
  /** Bytes of a header that have come when a record ends within it. */
  #headerFilled = 0;
  #length = 0;
  #partial: Uint8Array | undefined;
  #filled = 0;

  constructor(rank: number, maxBytes: number, sink: Pick<SectionSink, 'onMessage'>) {
    this.#rank = rank;
    this.#maxBytes = maxBytes;
    this.#sink = sink;
  }

  /** Takes `bytes[from, to)`. False when the peer announced a message above the limit: the stream is broken then. */
  push(bytes: Uint8Array, from: number, to: number): boolean {
    let at = from;
    while (at < to) {
      if (this.#partial !== undefined) {
        at = this.#fill(bytes, at, to);
        continue;
      }
      if (this.#headerFilled === 0 && to - at >= MESSAGE_HEADER_BYTES) {
        this.#length = readU32(bytes, at);
        at += MESSAGE_HEADER_BYTES;
      } else {
        if (this.#headerFilled === 0) this.#length = 0;
        this.#length = ((this.#length << 8) | (bytes[at++] as number)) >>> 0;
        if (++this.#headerFilled < MESSAGE_HEADER_BYTES) continue;
        this.#headerFilled = 0;
      }
      if (this.#length > this.#maxBytes) return false;
      if (to - at >= this.#length) {
        // Twice as fast as `subarray`, which asks for the species of the array first.
        this.#sink.onMessage(new Uint8Array(bytes.buffer, bytes.byteOffset + at, this.#length), this.#rank);
        at += this.#length;
      } else {
        this.#partial = new Uint8Array(Math.min(this.#length, Math.max(2 * (to - at), 4_096)));
        this.#filled = 0;
      }
    }
    return true;
  }

  #fill(bytes: Uint8Array, at: number, to: number): number {
    const end = Math.min(to, at + this.#length - this.#filled);
    const needed = this.#filled + end - at;
    let partial = this.#partial as Uint8Array;
    if (partial.length < needed) {
      partial = new Uint8Array(Math.min(this.#length, Math.max(needed, 2 * partial.length)));
      partial.set((this.#partial as Uint8Array).subarray(0, this.#filled));
      this.#partial = partial;
    }
    partial.set(bytes.subarray(at, end), this.#filled);
    this.#filled = needed;
    if (needed === this.#length) {
      this.#partial = undefined;
      this.#sink.onMessage(partial, this.#rank);
    }
    return end;
  }
}
