/** The surroundings of a Node process: the one place where real time and real randomness enter a shell. */
import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { type Cancel, type Clock, type Env, instant, type Logger, type Rng, silentLogger, unixMs } from './env.js';

/**
 * A function flushes at most once per turn at nextTick: what it is deferred for afterwards waits for setImmediate. So a
 * lone message leaves at once, and a burst that many callbacks of one poll produce leaves in two writes.
 */
class NodeClock implements Clock {
  #ticking: (() => void)[] = [];
  #waiting: (() => void)[] = [];
  readonly #flushed = new Set<() => void>();
  #immediate = false;

  now(): ReturnType<Clock['now']> {
    return instant(performance.now());
  }

  unix(): ReturnType<Clock['unix']> {
    return unixMs(Date.now());
  }

  schedule(delayMs: number, fn: () => void): Cancel {
    const timer = setTimeout(fn, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  }

  defer(fn: () => void): void {
    if (this.#flushed.has(fn)) {
      this.#waiting.push(fn);
      return;
    }
    this.#flushed.add(fn);
    if (this.#ticking.push(fn) === 1) process.nextTick(this.#tick);
    if (!this.#immediate) {
      this.#immediate = true;
      setImmediate(this.#endTurn);
    }
  }

  readonly #tick = (): void => {
    const due = this.#ticking;
    this.#ticking = [];
    run(due);
  };

  readonly #endTurn = (): void => {
    const due = this.#waiting;
    this.#waiting = [];
    this.#flushed.clear();
    this.#immediate = false;
    run(due);
  };
}

/** One failing flush must not cost the others theirs. */
function run(due: readonly (() => void)[]): void {
  for (let i = 0; i < due.length; i++) {
    try {
      (due[i] as () => void)();
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

const nodeRng: Rng = {
  bytes: length => new Uint8Array(randomBytes(length)),
  float: () => Math.random(),
};

/** The real surroundings. Timers do not keep the process alive. */
export function nodeEnv(log: Logger = silentLogger): Env {
  return { clock: new NodeClock(), rng: nodeRng, log };
}
