/**
 * A race between the active path and the standby over real messages (overlay.md points 11 and 12). A lead of 3 points
 * switches, of -2 ends it; ties favour the incumbent.
 */
import type { Instant } from '../env.js';

export const RACE_WIN = 3;
export const RACE_ABORT = -2;
const MIN_GAIN_MS = 2;
const MIN_GAIN_SHARE = 0.1;
const PAIRS = 20;

export class Race {
  readonly cause: 'unreceipted' | 'delay';
  /** When the message was sent whose fate began it. */
  readonly since: Instant;
  #lead = 0;

  constructor(cause: 'unreceipted' | 'delay', since: Instant) {
    this.cause = cause;
    this.since = since;
  }

  get lead(): number {
    return this.#lead;
  }

  point(winner: 'standby' | 'incumbent'): 'won' | 'aborted' | 'open' {
    this.#lead += winner === 'standby' ? 1 : -1;
    if (this.#lead >= RACE_WIN) return 'won';
    return this.#lead <= RACE_ABORT ? 'aborted' : 'open';
  }
}

/** What a gain must exceed to be one: 2 ms and a tenth of the incumbent's time. */
export function leastGainMs(incumbentMs: number): number {
  return Math.max(MIN_GAIN_MS, MIN_GAIN_SHARE * incumbentMs);
}

/** The last round-trip times of the same messages over both paths: free of the noise that hits both alike. */
export class PairedSamples {
  #pairs: { readonly incumbentMs: number; readonly standbyMs: number }[] = [];

  add(incumbentMs: number, standbyMs: number): void {
    this.#pairs.push({ incumbentMs, standbyMs });
    if (this.#pairs.length > PAIRS) this.#pairs.shift();
  }

  clear(): void {
    this.#pairs = [];
  }

  /** The median gain of the standby when it is worth a voluntary switch, with what it had to exceed. */
  gain(): { readonly gainMs: number; readonly thresholdMs: number } | undefined {
    if (this.#pairs.length < PAIRS) return undefined;
    const gainMs = median(this.#pairs.map(pair => pair.incumbentMs - pair.standbyMs));
    const thresholdMs = leastGainMs(median(this.#pairs.map(pair => pair.incumbentMs)));
    return gainMs >= thresholdMs ? { gainMs, thresholdMs } : undefined;
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
