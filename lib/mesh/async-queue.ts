import { Fifo } from './fifo.js';

/** A queue between synchronous callbacks and one asynchronous reader. Whoever pushes bounds it. */
export class AsyncQueue<T> {
  readonly #items = new Fifo<T>();
  #wake: (() => void) | undefined;
  #ended = false;

  get length(): number {
    return this.#items.length;
  }

  push(item: T): void {
    if (this.#ended) return;
    this.#items.push(item);
    this.#wake?.();
  }

  /** What was pushed can still be read. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** The next item; undefined after the end, or when the signal aborts. */
  async next(signal?: AbortSignal): Promise<T | undefined> {
    while (this.#items.length === 0) {
      if (this.#ended || signal?.aborted) return undefined;
      await new Promise<void>(resolve => {
        const wake = (): void => {
          signal?.removeEventListener('abort', wake);
          this.#wake = undefined;
          resolve();
        };
        this.#wake = wake;
        signal?.addEventListener('abort', wake, { once: true });
      });
    }
    return this.#items.shift();
  }
}
