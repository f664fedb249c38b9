/** Messages that wait, side by side in a few chunks: what they cost is what a peer was charged for them. */
import { MESSAGE_HEADER_BYTES, readU24, writeSectionHeader } from './record.js';

const CHUNK_BYTES = 65_536;

interface Chunk {
  readonly bytes: Uint8Array;
  end: number;
}

/**
 * A queue without an object per message: a million empty messages are four megabytes here, as on the wire, and not the
 * hundred and fifty of an array of views. Chunks are never written again, so what was taken may be kept.
 */
export class MessageStore {
  #chunks: Chunk[] = [];
  #at = 0;
  #bytes = 0;

  /** Headers included. */
  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#bytes === 0;
  }

  push(message: Uint8Array, rank: number): void {
    const length = MESSAGE_HEADER_BYTES + message.length;
    let chunk = this.#chunks[this.#chunks.length - 1];
    if (chunk === undefined || chunk.end + length > chunk.bytes.length) {
      chunk = { bytes: new Uint8Array(Math.max(length, this.#chunks.length === 0 ? 1_024 : CHUNK_BYTES)), end: 0 };
      this.#chunks.push(chunk);
    }
    writeSectionHeader(chunk.bytes, chunk.end, rank, message.length);
    chunk.bytes.set(message, chunk.end + MESSAGE_HEADER_BYTES);
    chunk.end += length;
    this.#bytes += length;
  }

  /** Hands the oldest message to `deliver`; does nothing when there is none. */
  shift(deliver: (message: Uint8Array, rank: number) => void): void {
    const chunk = this.#chunks[0];
    if (chunk === undefined) return;
    const start = this.#at + MESSAGE_HEADER_BYTES;
    const end = start + readU24(chunk.bytes, this.#at + 1);
    const rank = chunk.bytes[this.#at] as number;
    this.#bytes -= end - this.#at;
    this.#at = end;
    if (end === chunk.end) {
      this.#chunks.shift();
      this.#at = 0;
    }
    deliver(chunk.bytes.subarray(start, end), rank);
  }

  clear(): void {
    this.#chunks = [];
    this.#at = 0;
    this.#bytes = 0;
  }
}
