/** Verified flushes that wait for those before them, or for their key: bounded in publications and bytes. */
import { LIMITS } from '../limits.js';
import type { Flush } from '../wire/index.js';

export class EarlyFlushes {
  /** By the first publication of each that is still wanted. */
  readonly #flushes = new Map<number, Flush>();
  #publications = 0;
  #bytes = 0;

  hasRoomFor(flush: Flush): boolean {
    const { maxEarlyPublications, maxEarlyPublicationBytes } = LIMITS;
    return (
      this.#publications + flush.count <= maxEarlyPublications &&
      this.#bytes + flush.encoded.length <= maxEarlyPublicationBytes
    );
  }

  has(flush: Flush, next: number): boolean {
    return this.#flushes.has(Math.max(flush.first, next));
  }

  add(flush: Flush, next: number): void {
    this.#flushes.set(Math.max(flush.first, next), flush);
    this.#publications += flush.count;
    this.#bytes += flush.encoded.length;
  }

  get(next: number): Flush | undefined {
    return this.#flushes.get(next);
  }

  /** The last publication that is missing before the first flush that waits; undefined when none is. */
  hole(next: number): number | undefined {
    if (this.#flushes.size === 0 || this.#flushes.has(next)) return undefined;
    return Math.min(...this.#flushes.keys()) - 1;
  }

  delete(next: number): void {
    const flush = this.#flushes.get(next);
    if (flush === undefined) return;
    this.#flushes.delete(next);
    this.#publications -= flush.count;
    this.#bytes -= flush.encoded.length;
  }

  /** `next` was reached without delivering what was before it. */
  skipTo(next: number): void {
    for (const [key, flush] of [...this.#flushes]) {
      if (key >= next) continue;
      this.delete(key);
      if (flush.first + flush.count > next && !this.#flushes.has(next)) this.add(flush, next);
    }
  }

  clear(): void {
    this.#flushes.clear();
    this.#publications = 0;
    this.#bytes = 0;
  }
}
