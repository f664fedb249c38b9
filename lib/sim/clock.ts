/**
 * The clocks of one simulated process: monotonic from an origin of its own, wall time with its own error. The origin
 * differs at every start, so code that compares instants of two machines, or instants with wall time, fails at once.
 */
import { type Cancel, type Clock, type Instant, instant, type UnixMs, unixMs } from '../env.js';
import { invariant } from '../errors.js';
import type { Scheduler } from './scheduler.js';

export interface ClockErrors {
  /** Wall time ahead of the truth, in ms; negative when behind. */
  readonly skewMs?: number;
  /** Rate error of both clocks: 0.0001 gains 100 microseconds a second. */
  readonly drift?: number;
}

/** 2024-08-08, the day of the market data that the main job replays. */
export const SIMULATED_START_UNIX_MS = 1_723_075_200_000;

/** Timers are never early, in spite of rounding, and time passes even between timers of no delay. */
const TIMER_LATENESS_MS = 0.001;
/** A timer of less than this is for now; so many of them in a row, and nothing else, are a loop that never ends. */
const IMMEDIATE_MS = 0.01;
const MAX_IMMEDIATE_TIMERS = 1_000;

/** The error of one machine's clocks; it stays when a process restarts. */
export class MachineClock {
  readonly #scheduler: Scheduler;
  readonly rate: number;
  #skewMs: number;

  constructor(scheduler: Scheduler, errors: ClockErrors) {
    this.#scheduler = scheduler;
    this.rate = 1 + (errors.drift ?? 0);
    this.#skewMs = errors.skewMs ?? 0;
  }

  /** Time that this machine's oscillator counted since the start of the run. */
  get elapsedMs(): number {
    return this.#scheduler.nowMs * this.rate;
  }

  unix(): UnixMs {
    return unixMs(SIMULATED_START_UNIX_MS + this.elapsedMs + this.#skewMs);
  }

  /** An operator, or a time daemon, sets the wall clock. */
  jump(byMs: number): void {
    this.#skewMs += byMs;
  }
}

/** The clock that one run of a process sees; `enter` brings a timer into the process, if it still lives. */
export class ProcessClock implements Clock {
  readonly #scheduler: Scheduler;
  readonly #machine: MachineClock;
  readonly #originMs: number;
  readonly #enter: (fn: () => void) => void;
  #immediateTimers = 0;

  constructor(scheduler: Scheduler, machine: MachineClock, originMs: number, enter: (fn: () => void) => void) {
    this.#scheduler = scheduler;
    this.#machine = machine;
    this.#originMs = originMs - machine.elapsedMs;
    this.#enter = enter;
  }

  now(): Instant {
    return instant(this.#originMs + this.#machine.elapsedMs);
  }

  unix(): UnixMs {
    return this.#machine.unix();
  }

  schedule(delayMs: number, fn: () => void): Cancel {
    let cancelled = false;
    const trueDelayMs = Math.max(0, delayMs) / this.#machine.rate + TIMER_LATENESS_MS;
    const cancel = this.#scheduler.after(trueDelayMs, () => {
      this.#enter(() => {
        if (cancelled) return;
        this.#immediateTimers = delayMs < IMMEDIATE_MS ? this.#immediateTimers + 1 : 0;
        invariant(this.#immediateTimers < MAX_IMMEDIATE_TIMERS, 'a process sets itself timers for now for ever');
        fn();
      });
    });
    return () => {
      cancelled = true; // also when it was due while the process stood still
      cancel();
    };
  }

  defer(fn: () => void): void {
    this.#scheduler.defer(() => this.#enter(fn));
  }
}
