import { systemRandomBytes } from '../../lib/crypto/index.js';
import { type Cancel, type Env, instant, silentLogger, unixMs } from '../../lib/env.js';

interface Timer {
  readonly at: number;
  readonly fn: () => void;
  cancelled: boolean;
}

export interface ManualEnv extends Env {
  /** Runs what was deferred, until nothing is. */
  settle(): void;
  /** Lets time pass, timer by timer. */
  advance(ms: number): void;
  /** Time that a piece of work takes: nothing else runs meanwhile. */
  pass(ms: number): void;
}

/** An Env whose time stands still until it is told to pass. Randomness is real. */
export function manualEnv(): ManualEnv {
  let now = 1_000;
  let timers: Timer[] = [];
  const deferred: (() => void)[] = [];

  function settle(): void {
    for (let fn = deferred.shift(); fn !== undefined; fn = deferred.shift()) fn();
  }

  function schedule(delayMs: number, fn: () => void): Cancel {
    const timer = { at: now + delayMs, fn, cancelled: false };
    timers.push(timer);
    return () => {
      timer.cancelled = true;
    };
  }

  function advance(ms: number): void {
    const end = now + ms;
    settle();
    for (;;) {
      timers = timers.filter(timer => !timer.cancelled);
      const next = timers.reduce<Timer | undefined>((a, b) => (a === undefined || b.at < a.at ? b : a), undefined);
      if (next === undefined || next.at > end) break;
      now = next.at;
      next.cancelled = true;
      next.fn();
      settle();
    }
    now = end;
  }

  return {
    clock: {
      now: () => instant(now),
      unix: () => unixMs(1_800_000_000_000 + now),
      schedule,
      defer: fn => deferred.push(fn),
    },
    rng: { bytes: systemRandomBytes, float: () => 0.5 },
    log: silentLogger,
    settle,
    advance,
    pass: ms => {
      now += ms;
    },
  };
}
