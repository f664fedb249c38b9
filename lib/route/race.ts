/**
 * A race between the active path and a rival, the standby as a rule, over real messages of one lane (overlay.md points 11
 * and 12). A lead of 3 points switches, of -2 ends it; ties favour the incumbent.
 */
import { after, type Instant } from '../env.js';
import type { Copy, LaneName } from './flow-lane.js';
import type { FlowPath } from './flow-path.js';

export const RACE_WIN = 3;
export const RACE_ABORT = -2;
/** A race that nobody won by then says nothing about the paths. */
export const RACE_LIMIT_MS = 5_000;
/** Messages copied for the sake of one race: the rest of the tokens is for hedges. */
const MAX_RACE_COPIES = 16;
const COPIES_FOR_ONE_MISS = 3;
/** Of them, how many may be undecided: more would not decide sooner, only burden what may be slow. */
const MAX_UNDECIDED_COPIES = 6;
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
  #lead: number;
  #copies = 0;
  #points = 0;
  /** When the message was sent that gave the latest point. */
  readonly #counted: { rival?: Instant; incumbent?: Instant } = {};

  constructor(
    cause: 'unreceipted' | 'delay',
    lane: LaneName,
    rival: FlowPath<T>,
    since: Instant,
    beganAt: Instant,
    lead: number,
  ) {
    this.#lead = lead;
    this.cause = cause;
    this.lane = lane;
    this.rival = rival;
    this.since = since;
    this.beganAt = beganAt;
  }

  get lead(): number {
    return this.#lead;
  }

  /**
   * Whether one more message is to be copied to the rival. A single miss may be chance, which has a tail: it is worth a
   * hedge and two copies, or chance would use up the tokens.
   */
  wantsCopy(incumbentMisses: number): boolean {
    const isSerious = this.cause === 'delay' || incumbentMisses > 1;
    const most = isSerious ? MAX_RACE_COPIES : COPIES_FOR_ONE_MISS;
    return this.#copies < most && this.#copies - this.#points < MAX_UNDECIDED_COPIES;
  }

  copied(): void {
    this.#copies += 1;
  }

  /**
   * A message that was sent at `sentAt` was won by one of them. Of messages sent within `togetherMs` of one that counted
   * none counts again for the same side: one lost receipt makes several of them late.
   */
  point(winner: 'rival' | 'incumbent', sentAt: Instant, togetherMs: number): 'won' | 'aborted' | 'open' {
    if (Math.abs(sentAt - (this.#counted[winner] ?? Number.NEGATIVE_INFINITY)) < togetherMs) return 'open';
    this.#counted[winner] = sentAt;
    this.#points += 1;
    this.#lead += winner === 'rival' ? 1 : -1;
    if (this.#lead >= RACE_WIN) return 'won';
    return this.#lead <= RACE_ABORT ? 'aborted' : 'open';
  }
}

/** Rests between delay races that the rival did not win: two round-trips, doubled by each, up to this. */
const MAX_REST_MS = 1_000;
/** Without an aborted race for this long, the next one begins at once again. */
const REST_FORGET_MS = 10_000;

/**
 * When everything becomes slow, races show again and again that no path is better, and each sends copies to a destination
 * that is slow already (bar R12). So they must rest.
 */
export class RaceRest {
  #aborts = 0;
  #abortedAt: Instant | undefined;
  #until: Instant | undefined;

  aborted(rttMs: number, now: Instant): void {
    if (this.#abortedAt !== undefined && now - this.#abortedAt > REST_FORGET_MS) this.#aborts = 0;
    this.#aborts += 1;
    this.#abortedAt = now;
    this.#until = after(now, Math.min(rttMs * 2 ** this.#aborts, MAX_REST_MS));
  }

  mayRace(now: Instant): boolean {
    return this.#until === undefined || now >= this.#until;
  }
}

/** What a gain must exceed to be one: 2 ms and a tenth of the incumbent's time. */
export function leastGainMs(incumbentMs: number): number {
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
