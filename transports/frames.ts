/** Cuts a byte stream into messages behind their 4-byte big-endian lengths. */

const HEADER_BYTES = 4;
/** A buffer is at most so many times as long as what has arrived for it. */
const MAX_AMPLIFICATION = 4;

/**
 * Messages that lie within one chunk are handed on as views of it. One that straddles chunks is collected in a buffer
 * that grows with what has arrived, never with what was claimed alone: whoever pins memory here has sent a quarter of it.
 */
export class FrameParser {
  /** The largest frame; it may change between frames. */
  maxBytes: number;
  readonly #onFrame: (frame: Uint8Array) => void;
  readonly #onOversize: (claimedBytes: number) => void;
  #partial: Uint8Array | undefined;
  #filled = 0;
  #stopped = false;

  constructor(maxBytes: number, onFrame: (frame: Uint8Array) => void, onOversize: (claimedBytes: number) => void) {
    this.maxBytes = maxBytes;
    this.#onFrame = onFrame;
    this.#onOversize = onOversize;
  }

  /** True between messages. */
  get idle(): boolean {
    return this.#partial === undefined;
  }

  push(chunk: Uint8Array): void {
    let at = this.#partial === undefined ? 0 : this.#continue(chunk);
    while (!this.#stopped && at < chunk.length) {
      if (chunk.length - at < HEADER_BYTES) break;
      const length = this.#lengthAt(chunk, at);
      const end = at + HEADER_BYTES + length;
      if (this.#stopped || end > chunk.length) break;
      this.#onFrame(chunk.subarray(at + HEADER_BYTES, end));
      at = end;
    }
    if (this.#stopped || at >= chunk.length) return;
    const hasLength = chunk.length - at >= HEADER_BYTES;
    this.#append(chunk, at, chunk.length, hasLength ? HEADER_BYTES + this.#lengthAt(chunk, at) : undefined);
  }

  /** Completes the partial message as far as the chunk reaches; returns where the next one begins. */
  #continue(chunk: Uint8Array): number {
    let at = 0;
    if (this.#filled < HEADER_BYTES) {
      at = Math.min(HEADER_BYTES - this.#filled, chunk.length);
      this.#append(chunk, 0, at);
      if (this.#filled < HEADER_BYTES) return at;
    }
    const total = HEADER_BYTES + this.#lengthAt(this.#partial as Uint8Array, 0);
    if (this.#stopped) return at;
    const end = Math.min(at + total - this.#filled, chunk.length);
    this.#append(chunk, at, end, total);
    if (this.#filled === total) {
      const frame = (this.#partial as Uint8Array).subarray(HEADER_BYTES, total);
      this.#partial = undefined;
      this.#filled = 0;
      this.#onFrame(frame);
    }
    return end;
  }

  /** `total` is the length of the whole frame, where its header has come. */
  #append(chunk: Uint8Array, from: number, to: number, total?: number): void {
    const needed = this.#filled + to - from;
    if (this.#partial === undefined || this.#partial.length < needed) {
      const max = total ?? HEADER_BYTES + this.maxBytes;
      // Mostly a large part has come already, and the rest is not worth a second buffer.
      const length = Math.min(
        max,
        total === undefined ? Math.max(needed, 2 * this.#filled) : needed * MAX_AMPLIFICATION,
      );
      // Not zeroed first: only what was filled is ever handed on.
      const grown = Buffer.allocUnsafeSlow(length);
      if (this.#partial !== undefined) grown.set(this.#partial.subarray(0, this.#filled));
      this.#partial = grown;
    }
    this.#partial.set(chunk.subarray(from, to), this.#filled);
    this.#filled = needed;
  }

  #lengthAt(bytes: Uint8Array, at: number): number {
    const length =
      (((bytes[at] as number) << 24) |
        ((bytes[at + 1] as number) << 16) |
        ((bytes[at + 2] as number) << 8) |
        (bytes[at + 3] as number)) >>>
      0;
    if (length > this.maxBytes) {
      this.#stopped = true;
      this.#partial = undefined;
      this.#onOversize(length);
    }
    return length;
  }
}
