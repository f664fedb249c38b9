/**
 * Holds things for a while and lets them go in the order of their coming, each when its own time is due: a link's
 * propagation. Timers of Node are a millisecond late or more, so the last stretch is spun; how late it was all the same
 * is counted.
 */
import { monotonicMs } from './clock.js';

/** The event loop is polled instead of slept in for this long before something is due. */
const SPIN_MS = 1.2;

export interface Lateness {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export class DelayLine {
  readonly #waiting: { readonly dueMs: number; readonly release: () => void }[] = [];
  #next = 0;
  #running = false;
  #lateMs: number[] = [];

  /** `release` is called after `delayMs`, and never before what was pushed earlier. */
  push(delayMs: number, release: () => void): void {
    const last = this.#waiting.at(-1);
    const dueMs = Math.max(monotonicMs() + delayMs, last?.dueMs ?? 0);
    this.#waiting.push({ dueMs, release });
    if (!this.#running) this.#sleep();
  }

  /** How late things were let go since the last call. */
  lateness(): Lateness {
    const sorted = Float64Array.from(this.#lateMs).sort();
    this.#lateMs = [];
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
    return { count: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
  }

  #sleep(): void {
    const next = this.#waiting[this.#next];
    this.#running = next !== undefined;
    if (next === undefined) {
      this.#waiting.length = 0;
      this.#next = 0;
      return;
    }
    const leftMs = next.dueMs - monotonicMs() - SPIN_MS;
    if (leftMs >= 1) setTimeout(this.#turn, Math.floor(leftMs));
    else setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    for (let next = this.#waiting[this.#next]; next !== undefined; next = this.#waiting[this.#next]) {
      const lateMs = monotonicMs() - next.dueMs;
      if (lateMs < 0) break;
      this.#lateMs.push(lateMs);
      this.#next += 1;
      next.release();
    }
    if (this.#next > 1_024) {
      this.#waiting.splice(0, this.#next);
      this.#next = 0;
    }
    this.#sleep();
  };
}
