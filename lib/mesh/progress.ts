/** Promises that wait for the outboxes: for room in one, or for all to be empty. */
import type { Clock } from '../env.js';
import { HopfairError, requireArgument } from '../errors.js';
import type { DrainOptions } from './types.js';

export class Progress {
  readonly #waiters = new Set<() => void>();

  /** Something was receipted, expired or given up, or the node closes. */
  tell(): void {
    if (this.#waiters.size === 0) return;
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const waiter of waiters) waiter();
  }

  /** Resolves at the next `tell`. Rejects with ABORTED. */
  next(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiters.delete(onProgress);
        reject(new HopfairError('ABORTED', 'the caller gave up waiting'));
      };
      const onProgress = (): void => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      if (signal?.aborted) onAbort();
      else {
        signal?.addEventListener('abort', onAbort, { once: true });
        this.#waiters.add(onProgress);
      }
    });
  }

  /** Resolves when the condition holds. Rejects with ABORTED, TIMEOUT, or INVALID_STATE once `isClosed` says so. */
  async until(
    condition: () => boolean,
    isClosed: () => boolean,
    clock: Clock,
    { timeoutMs, signal }: DrainOptions,
  ): Promise<void> {
    requireArgument(timeoutMs === undefined || timeoutMs >= 0, 'timeoutMs is not negative');
    let expired = false;
    const onTimeout = (): void => {
      expired = true;
      this.tell();
    };
    const stopTimer = timeoutMs === undefined ? undefined : clock.schedule(timeoutMs, onTimeout);
    try {
      for (;;) {
        // Closing clears the outboxes: they are empty then without having been receipted.
        if (isClosed()) throw new HopfairError('INVALID_STATE', 'the node was closed before it had drained');
        if (condition()) return;
        if (expired) throw new HopfairError('TIMEOUT', `not drained within ${timeoutMs} ms`, { retryable: true });
        await this.next(signal);
      }
    } finally {
      stopTimer?.();
    }
  }
}
