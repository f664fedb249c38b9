/**
 * Everything that a shell may take from its surroundings: time, randomness, a log. Machines get none of it; they are
 * handed instants and random bytes as inputs. The simulator supplies virtual ones and runs the same shells.
 */

declare const instantBrand: unique symbol;
declare const unixBrand: unique symbol;

/** A monotonic instant in milliseconds, fractional, of unspecified origin. Never compare it with wall time. */
export type Instant = number & { readonly [instantBrand]: true };

/** Wall time in milliseconds since 1970-01-01 UTC, integral. Only for what other machines must agree on. */
export type UnixMs = number & { readonly [unixBrand]: true };

export const instant = (ms: number): Instant => ms as Instant;
export const unixMs = (ms: number): UnixMs => Math.floor(ms) as UnixMs;
/** The instant `ms` after `base`. */
export const after = (base: Instant, ms: number): Instant => (base + ms) as Instant;

/** Cancels what it was returned for; calling it twice, or too late, does nothing. */
export type Cancel = () => void;

export interface Clock {
  /** Monotonic time. */
  now(): Instant;
  /** Wall time. */
  unix(): UnixMs;
  /** Calls `fn` once, `delayMs` from now (0: as soon as timers run). Does not keep the process alive by itself. */
  schedule(delayMs: number, fn: () => void): Cancel;
  /**
   * Calls `fn` once this turn's work is done, before timers run: the flush of a burst. A function that already ran in
   * this turn may wait for the next one, so pass the same function each time and at most once until it has run.
   */
  defer(fn: () => void): void;
}

export interface Rng {
  /** `length` uniformly random bytes; cryptographically secure outside the simulator. */
  bytes(length: number): Uint8Array;
  /** A uniform number in [0, 1), for jitter and sampling only, never for keys. */
  float(): number;
}

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Structured log. Secrets are never passed to it. */
export interface Logger {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
}

export interface Env {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
  /** Timers may be late by a minute, as those of a hidden browser tab are. Default false. */
  readonly throttledTimers?: boolean;
  /**
   * Each open channel calls this once, and what it returned once it is closed. Surroundings that spin poll for as long
   * as somebody is there; those without it sleep whenever there is nothing to do.
   */
  readonly attend?: () => Cancel;
}

const ignore = (): void => undefined;

/** A logger that drops everything: the default of a library. */
export const silentLogger: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };
