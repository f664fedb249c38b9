/** One timer for a thing with changing deadlines: it may ring early, never late, and is not rearmed at each change. */
import type { Cancel, Clock, Instant } from '../env.js';

export class Alarm {
  readonly #clock: Clock;
  readonly #ring: () => void;
  #at: Instant | undefined;
  #cancel: Cancel | undefined;

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** Rings at `at` at the latest; undefined leaves it as it is, which costs at most one idle ring. */
  set(at: Instant | undefined): void {
    if (at === undefined || (this.#at !== undefined && this.#at <= at)) return;
    this.#cancel?.();
    this.#at = at;
    this.#cancel = this.#clock.schedule(Math.max(0, at - this.#clock.now()), () => {
      this.#at = undefined;
      this.#cancel = undefined;
      this.#ring();
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#at = undefined;
  }
}
