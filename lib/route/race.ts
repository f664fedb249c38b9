/**
 * A race between the active path and the standby over real messages (overlay.md points 11 and 12). A lead of 3 points
 * switches, of -2 ends it; ties favour the incumbent.
 */
import type { Instant } from '../env.js';
import type { Copy } from './flow-path.js';

export const RACE_WIN = 3;
export const RACE_ABORT = -2;
/** A race that nobody won by then says nothing about the paths. */
export const RACE_LIMIT_MS = 5_000;
const MIN_GAIN_MS = 2;
const MIN_GAIN_SHARE = 0.1;
const PAIRS = 20;
/** Of them, how many the standby must have won: by chance that happens once in a thousand times. */
const LEAST_WINS = 17;

export class Race {
  readonly cause: 'unreceipted' | 'delay';
  /** When the message was sent whose fate began it. */
  readonly since: Instant;
  readonly beganAt: Instant;
  #lead = 0;

  constructor(cause: 'unreceipted' | 'delay', since: Instant, beganAt: Instant) {
    this.cause = cause;
    this.since = since;
    this.beganAt = beganAt;
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
function leastGainMs(incumbentMs: number): number {
  return Math.max(MIN_GAIN_MS, MIN_GAIN_SHARE * incumbentMs);
}

/** The twin was faster by more than chance and habit explain. */
export function isBehind<T>(copy: Copy<T>, twin: Copy<T>, now: Instant): boolean {
  if (twin.receiptedAt === undefined || twin.sentAt !== copy.sentAt) return false;
  const marginMs = Math.max(leastGainMs(now - copy.sentAt), 2 * copy.path.delay.spreadMs);
  return now - twin.receiptedAt >= marginMs;
}

/** Round-trip times of the same messages over both paths: free of the noise that hits both alike. */
export class PairedSamples {
  #pairs: { readonly incumbentMs: number; readonly standbyMs: number }[] = [];

  add(incumbentMs: number, standbyMs: number): void {
    this.#pairs.push({ incumbentMs, standbyMs });
  }

  clear(): void {
    this.#pairs = [];
  }

  /**
   * Once there are enough: the median gain of the standby, with what it had to exceed, when that is worth a voluntary
   * switch. Each sample counts in one verdict only, or chance would get as many tries as there are samples.
   */
  verdict(): { readonly gainMs: number; readonly thresholdMs: number } | undefined {
    if (this.#pairs.length < PAIRS) return undefined;
    const pairs = this.#pairs;
    this.clear();
    const gainMs = median(pairs.map(pair => pair.incumbentMs - pair.standbyMs));
    const thresholdMs = leastGainMs(median(pairs.map(pair => pair.incumbentMs)));
    const wins = pairs.filter(pair => pair.standbyMs < pair.incumbentMs).length;
    return gainMs >= thresholdMs && wins >= LEAST_WINS ? { gainMs, thresholdMs } : undefined;
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
