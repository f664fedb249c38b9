/**
 * Carries out effects strictly in order, and what follows a `persist` only when its records are durable. Records go to
 * the log at once, so that the commits of many inputs are shared while inputs keep being handled.
 */
import type { HopfairError } from '../errors.js';
import type { MemberEffect } from '../order/member-io.js';
import type { LogStore } from '../storage/interface.js';

export type OutwardEffect = Exclude<MemberEffect, { readonly kind: 'persist' }>;

interface Barrier {
  readonly kind: 'barrier';
  durable: boolean;
}

export class EffectQueue {
  readonly #store: LogStore;
  readonly #carryOut: (effect: OutwardEffect) => void;
  readonly #failed: (error: HopfairError) => void;
  #queue: (Barrier | OutwardEffect)[] = [];
  #flushing = false;
  #stopped = false;

  /** `failed` is called once, when the log is lost: nothing is carried out any more. */
  constructor(store: LogStore, carryOut: (effect: OutwardEffect) => void, failed: (error: HopfairError) => void) {
    this.#store = store;
    this.#carryOut = carryOut;
    this.#failed = failed;
  }

  /** Effects that wait for the disk. */
  get length(): number {
    return this.#queue.length;
  }

  push(effects: readonly MemberEffect[]): void {
    for (const effect of effects) {
      if (this.#stopped) return;
      if (effect.kind === 'persist') this.#persist(effect.records);
      else this.#queue.push(effect);
    }
    this.#flush();
  }

  #persist(records: readonly Uint8Array[]): void {
    const barrier: Barrier = { kind: 'barrier', durable: false };
    this.#queue.push(barrier);
    const durable = (): void => {
      barrier.durable = true;
      this.#flush();
    };
    this.#store.append(records, durable, error => {
      if (this.#stopped) return;
      this.stop();
      this.#failed(error);
    });
  }

  /** Carrying out an effect may push further ones: they are taken up by the loop that runs already. */
  #flush(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    let done = 0;
    try {
      for (let next = this.#queue[0]; next !== undefined; next = this.#queue[done]) {
        if (next.kind === 'barrier' && !next.durable) break;
        done += 1;
        if (next.kind !== 'barrier') this.#carryOut(next);
      }
    } finally {
      this.#queue = this.#queue.slice(done);
      this.#flushing = false;
    }
  }

  /** Forgets what waits. What was given to the log is still written. */
  stop(): void {
    this.#stopped = true;
    this.#queue = [];
  }
}
