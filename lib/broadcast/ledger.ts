/** The log as far as it is known here, and its readers: each gets every entry from its beginning on, once, in order. */
import { HopfairError } from '../errors.js';
import type { Batch, Entry } from '../order/types.js';
import type { EntriesOptions, LogPosition } from './types.js';

export class Ledger {
  /** Batches that are held, without a gap from the first on. */
  #batches: Batch[] = [];
  /** What stands before this index is not held any more, or was never asked for. */
  #firstIndex = 0;
  readonly #waiting = new Set<() => void>();
  #end: HopfairError | undefined;

  /** Where the next batch begins. */
  get next(): LogPosition {
    const last = this.#batches.at(-1);
    if (last === undefined) return { height: 0, index: this.#firstIndex };
    return { height: last.height + 1, index: last.firstIndex + last.entries.length };
  }

  append(batch: Batch): void {
    this.#batches.push(batch);
    this.#wake();
  }

  /** Forgets everything and begins anew at this index. Readers that are further on wait until it is reached again. */
  restart(firstIndex: number): void {
    this.#batches = [];
    this.#firstIndex = firstIndex;
    this.#wake();
  }

  /** True when a reader that begins at `index` misses nothing. */
  covers(index: number): boolean {
    return index >= this.#firstIndex;
  }

  /** Ends every reader, once it has read what is there, with this error; the first one stands. */
  close(error: HopfairError): void {
    this.#end ??= error;
    this.#wake();
  }

  async *entries({ from, signal }: EntriesOptions = {}): AsyncGenerator<Entry, void, undefined> {
    let next = from?.index ?? 0;
    for (;;) {
      throwIfAborted(signal);
      if (!this.covers(next)) throw gapError(next, this.#firstIndex);
      const batch = this.#batchAt(next);
      if (batch !== undefined) {
        for (const entry of batch.entries.slice(Math.max(0, next - batch.firstIndex))) {
          next = entry.index + 1;
          yield entry;
          throwIfAborted(signal);
        }
      } else if (this.#end !== undefined) {
        throw this.#end;
      } else await this.#change(signal);
    }
  }

  /** The batch that holds the entry of this index, when it is known. */
  #batchAt(index: number): Batch | undefined {
    let low = 0;
    let high = this.#batches.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const batch = this.#batches[middle];
      if (batch !== undefined && batch.firstIndex + batch.entries.length <= index) low = middle + 1;
      else high = middle;
    }
    return this.#batches[low];
  }

  #change(signal: AbortSignal | undefined): Promise<void> {
    return new Promise(resolve => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal?.addEventListener('abort', wake);
    });
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}

function gapError(wanted: number, firstIndex: number): HopfairError {
  const text = `entries ${wanted} to ${firstIndex - 1} of the log are no longer held by enough members`;
  return new HopfairError('LIMIT_EXCEEDED', `${text}; read on from index ${firstIndex}, with the state of a snapshot`);
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new HopfairError('ABORTED', 'reading was aborted', { cause: signal.reason });
}
