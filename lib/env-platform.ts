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

/** Turns are told apart by their number; who has not flushed for so long may come late by a turn, once. */
const MAX_TURN = 0x3fffffff;

declare const performance: { now(): number };
declare const queueMicrotask: (fn: () => void) => void;

/**
 * A function flushes at most once per turn soon: what it is deferred for afterwards waits for the end of the turn. So a
 * lone message leaves at once, and a burst that many callbacks of one poll produce leaves in two writes.
 */
class PlatformClock implements Clock {
  readonly #platform: Platform;
  #due = new Batch();
  #spare = new Batch();
  #late: (() => void)[] = [];
  /** The last turn in which a function flushed. A Set that is cleared every turn would keep its old tables alive. */
  readonly #flushedIn = new WeakMap<() => void, number>();
  #turn = 0;
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
    if (this.#flushedIn.get(fn) === this.#turn) {
      this.#late.push(fn);
      return;
    }
    this.#flushedIn.set(fn, this.#turn);
    if (this.#due.push(fn) === 1) this.#platform.soon(this.#flush);
    if (this.#turnEnds) return;
    this.#turnEnds = true;
    this.#platform.afterTurn(this.#endTurn);
  }

  readonly #flush = (): void => {
    const due = this.#due;
    this.#due = this.#spare;
    due.run();
    this.#spare = due;
  };

  readonly #endTurn = (): void => {
    this.#turn = (this.#turn + 1) & MAX_TURN;
    this.#turnEnds = false;
    if (this.#late.length === 0) return;
    const late = this.#late;
    this.#late = [];
    for (const fn of late) runAlone(fn);
  };
}

/** Functions to run once, in memory that is kept: an array that is emptied gives its own back, every turn anew. */
class Batch {
  readonly #fns: (() => void)[] = [];
  #length = 0;

  /** Returns how many there are now. */
  push(fn: () => void): number {
    this.#fns[this.#length++] = fn;
    return this.#length;
  }

  run(): void {
    for (let i = 0; i < this.#length; i++) {
      const fn = this.#fns[i] as () => void;
      this.#fns[i] = nothing;
      runAlone(fn);
    }
    this.#length = 0;
    if (this.#fns.length > MAX_KEPT) this.#fns.length = 0;
  }
}

const MAX_KEPT = 256;
const nothing = (): void => undefined;

/** One failing flush must not cost the others theirs; its error is still nobody's but the process's. */
function runAlone(fn: () => void): void {
  try {
    fn();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

export function platformEnv(platform: Platform, log: Logger): Env {
  const rng = { bytes: systemRandomBytes, float: () => Math.random() };
  return { clock: new PlatformClock(platform), rng, log, throttledTimers: platform.throttledTimers };
}
