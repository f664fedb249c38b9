/**
 * A race between the active path and a rival, the standby as a rule, over real messages of one lane (overlay.md points 11
 * and 12). A lead of 3 points switches, of -2 ends it; ties favour the incumbent.
 */
import type { Instant } from '../env.js';
import type { Copy, LaneName } from './flow-lane.js';
import type { FlowPath } from './flow-path.js';

export const RACE_WIN = 3;
export const RACE_ABORT = -2;
/** A race that nobody won by then says nothing about the paths. */
export const RACE_LIMIT_MS = 5_000;
/** Messages copied for the sake of one race: the rest of the tokens is for hedges. */
const MAX_RACE_COPIES = 16;
const MIN_GAIN_MS = 2;
const MIN_GAIN_SHARE = 0.1;
const PAIRS = 20;
/** Of them, how many the standby must have won: by chance that happens once in a thousand times. */
const LEAST_WINS = 17;

export class Race<T> {
  readonly cause: 'unreceipted' | 'delay';
  readonly lane: LaneName;
  readonly rival: FlowPath<T>;
  /** When the message was sent whose fate began it. */
  readonly since: Instant;
  readonly beganAt: Instant;
  #lead = 0;
  #copies = 0;

  constructor(cause: 'unreceipted' | 'delay', lane: LaneName, rival: FlowPath<T>, since: Instant, beganAt: Instant) {
    this.cause = cause;
    this.lane = lane;
    this.rival = rival;
    this.since = since;
    this.beganAt = beganAt;
  }

  get lead(): number {
    return this.#lead;
  }

  /** Whether one more message is to be copied to the rival. */
  wantsCopy(): boolean {
    return this.#copies < MAX_RACE_COPIES;
  }

  copied(): void {
    this.#copies += 1;
  }

  point(winner: 'rival' | 'incumbent'): 'won' | 'aborted' | 'open' {
    this.#lead += winner === 'rival' ? 1 : -1;
    if (this.#lead >= RACE_WIN) return 'won';
    return this.#lead <= RACE_ABORT ? 'aborted' : 'open';
  }
}

/** What a gain must exceed to be one: 2 ms and a tenth of the incumbent's time. */
function leastGainMs(incumbentMs: number): number {
  return Math.max(MIN_GAIN_MS, MIN_GAIN_SHARE * incumbentMs);
}

/** By how much a rival must be faster for it not to be chance or habit. */
export function marginMs<T>(incumbent: Copy<T>, incumbentMs: number): number {
  return Math.max(leastGainMs(incumbentMs), 2 * incumbent.lane.delay.spreadMs);
}

/** The twin was faster by more than chance and habit explain. */
export function isBehind<T>(copy: Copy<T>, twin: Copy<T>, now: Instant): boolean {
  if (twin.receiptedAt === undefined || twin.sentAt !== copy.sentAt) return false;
  return now - twin.receiptedAt >= marginMs(copy, now - copy.sentAt);
}

/** Round-trip times of the same messages over the active path and this one: free of the noise that hits both alike. */
export class PairedSamples {
  #pairs: { readonly incumbentMs: number; readonly rivalMs: number }[] = [];
  #ahead = 0;

  /** `rivalMs` is infinite for a copy that was lost. */
  add(incumbentMs: number, rivalMs: number, marginMs: number): void {
    this.#pairs.push({ incumbentMs, rivalMs });
    this.#ahead = incumbentMs - rivalMs >= marginMs ? this.#ahead + 1 : 0;
  }

  /** How many of the latest pairs in a row were won by more than the margin. */
  get ahead(): number {
    return this.#ahead;
  }

  clear(): void {
    this.#pairs = [];
    this.#ahead = 0;
  }

  /**
   * Once there are enough: the median gain of the rival, with what it had to exceed, when that is worth a voluntary
   * switch. Each sample counts in one verdict only, or chance would get as many tries as there are samples.
   */
  verdict(): { readonly gainMs: number; readonly thresholdMs: number } | undefined {
    if (this.#pairs.length < PAIRS) return undefined;
    const pairs = this.#pairs;
    this.#pairs = [];
    const gainMs = median(pairs.map(pair => pair.incumbentMs - pair.rivalMs));
    const thresholdMs = leastGainMs(median(pairs.map(pair => pair.incumbentMs)));
    const wins = pairs.filter(pair => pair.rivalMs < pair.incumbentMs).length;
    return gainMs >= thresholdMs && wins >= LEAST_WINS ? { gainMs, thresholdMs } : undefined;
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
