/** The real surroundings, over the two ways in which a platform puts things off: what Node and browsers share. */
import { systemRandomBytes } from './crypto/random.js';
import { type Cancel, type Clock, type Env, type Instant, instant, type Logger, type UnixMs, unixMs } from './env.js';

export interface Platform {
  /** Runs a function after the present callback, before any other. */
  readonly soon: (fn: () => void) => void;
  /** Runs a function after the present turn of the loop. */
  readonly afterTurn: (fn: () => void) => void;
  /** Runs a function once after a delay. */
  readonly schedule: (delayMs: number, fn: () => void) => Cancel;
  readonly throttledTimers: boolean;
}

declare const performance: { now(): number };
declare const queueMicrotask: (fn: () => void) => void;

/**
 * A function flushes at most once per turn soon: what it is deferred for afterwards waits for the end of the turn. So a
 * lone message leaves at once, and a burst that many callbacks of one poll produce leaves in two writes.
 */
class PlatformClock implements Clock {
  readonly #platform: Platform;
  #due: (() => void)[] = [];
  #late: (() => void)[] = [];
  readonly #flushed = new Set<() => void>();
  #turnEnds = false;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  now(): Instant {
    return instant(performance.now());
  }

  unix(): UnixMs {
    return unixMs(Date.now());
  }

  schedule(delayMs: number, fn: () => void): Cancel {
    return this.#platform.schedule(delayMs, fn);
  }

  defer(fn: () => void): void {
    if (this.#flushed.has(fn)) {
      this.#late.push(fn);
      return;
    }
    this.#flushed.add(fn);
    if (this.#due.push(fn) === 1) this.#platform.soon(this.#flush);
    if (this.#turnEnds) return;
    this.#turnEnds = true;
    this.#platform.afterTurn(this.#endTurn);
  }

  readonly #flush = (): void => {
    const due = this.#due;
    this.#due = [];
    run(due);
  };

  readonly #endTurn = (): void => {
    const late = this.#late;
    this.#late = [];
    this.#flushed.clear();
    this.#turnEnds = false;
    run(late);
  };
}

/** One failing flush must not cost the others theirs; its error is still nobody's but the process's. */
function run(fns: readonly (() => void)[]): void {
  for (const fn of fns) {
    try {
      fn();
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

export function platformEnv(platform: Platform, log: Logger): Env {
  const rng = { bytes: systemRandomBytes, float: () => Math.random() };
  return { clock: new PlatformClock(platform), rng, log, throttledTimers: platform.throttledTimers };
}
