/** Callers that wait for room in the queue of a channel. */
import { HopfairError } from '../errors.js';

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: HopfairError) => void;
}

export class RoomWaiters {
  #waiters = new Set<Waiter>();

  /** Completes with `release`; rejects with CHANNEL_CLOSED at `end` and with ABORTED when the signal says so. */
  wait(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        this.#waiters.delete(waiter);
        signal?.removeEventListener('abort', onAbort);
      };
      const onAbort = (): void => {
        settle();
        reject(new HopfairError('ABORTED', 'the caller no longer waits for room', { cause: signal?.reason }));
      };
      const waiter: Waiter = {
        resolve: () => {
          settle();
          resolve();
        },
        reject: error => {
          settle();
          reject(error);
        },
      };
      this.#waiters.add(waiter);
      if (signal?.aborted === true) onAbort();
      else signal?.addEventListener('abort', onAbort);
    });
  }

  release(): void {
    for (const waiter of [...this.#waiters]) waiter.resolve();
  }

  end(): void {
    for (const waiter of [...this.#waiters])
      waiter.reject(new HopfairError('CHANNEL_CLOSED', 'the channel was closed'));
  }
}
