/** What a flow knows of one of its paths, and the copies that are under way on it. */
import type { Instant } from '../env.js';
import { after } from '../env.js';
import type { Route } from './explain.js';
import type { FlowPathInfo, TrafficClass } from './flow-types.js';
import { LossMeter } from './loss.js';
import { DelayAlarm, RttEstimator } from './rtt.js';
import { PathWindow } from './window.js';

/** A payload that is to arrive, whatever number of copies that takes. */
export interface Item<T> {
  readonly payload: T;
  readonly bytes: number;
  readonly class: TrafficClass;
  readonly expiresAt: Instant | undefined;
  settled: boolean;
  /** Rounds of retransmission, for the back-off. */
  attempts: number;
  readonly copies: Copy<T>[];
}

export function newItem<T>(
  payload: T,
  bytes: number,
  trafficClass: TrafficClass,
  expiresAt: Instant | undefined,
): Item<T> {
  return { payload, bytes, class: trafficClass, expiresAt, settled: false, attempts: 0, copies: [] };
}

export interface Copy<T> {
  readonly item: Item<T>;
  readonly path: FlowPath<T>;
  readonly packet: number;
  readonly sentAt: Instant;
  /** Its receipt did not come within the PTO. */
  missed: boolean;
  /** It came, as a receipt over another path says: whatever becomes of its own receipt, it was not lost. */
  arrived: boolean;
  receiptedAt: Instant | undefined;
}

/** A miss is a loss only when nothing comes for this long: a stall anywhere makes receipts late, not lost. */
const LINGER_MS = 300;
/** A path is given up only after this many misses without a receipt between them. */
const ABANDON_MISSES = 6;

export class FlowPath<T> {
  readonly id: number;
  readonly route: Route;
  readonly operators: readonly string[];
  /** The same for every set-up of the same route. */
  readonly key: string;
  readonly rtt: RttEstimator;
  readonly delay: DelayAlarm = new DelayAlarm();
  readonly loss: LossMeter = new LossMeter();
  readonly window: PathWindow = new PathWindow();
  /** Copies whose receipt may still come in time, in the order of sending. */
  readonly waiting: Map<number, Copy<T>> = new Map();
  /** Copies that missed their receipt; it may still come late. */
  readonly overdue: Map<number, Copy<T>> = new Map();
  /** Misses since the last receipt; misses within SRTT/4 count once. */
  misses = 0;
  #firstMissAt: Instant | undefined;
  #lastMissAt: Instant | undefined;

  constructor(info: FlowPathInfo) {
    this.id = info.id;
    this.route = info.route;
    this.operators = info.operators;
    this.key = info.route.join('>');
    this.rtt = new RttEstimator(info.rttHintMs);
  }

  /** When the oldest waiting copy misses its receipt. */
  get deadline(): Instant | undefined {
    const oldest = this.waiting.values().next();
    return oldest.done ? undefined : after(oldest.value.sentAt, this.rtt.ptoMs);
  }

  add(copy: Copy<T>): void {
    this.waiting.set(copy.packet, copy);
    this.window.sent(copy.item.bytes);
    this.loss.sent(copy.sentAt);
  }

  noteMiss(copy: Copy<T>, now: Instant): void {
    copy.missed = true;
    this.waiting.delete(copy.packet);
    this.overdue.set(copy.packet, copy);
    if (this.#lastMissAt === undefined || now - this.#lastMissAt >= this.rtt.smoothedMs / 4) this.misses += 1;
    this.#firstMissAt ??= copy.sentAt;
    this.#lastMissAt = now;
  }

  noteReceipt(copy: Copy<T>, now: Instant): void {
    copy.receiptedAt = now;
    this.#remove(copy);
    this.misses = 0;
    this.#firstMissAt = undefined;
  }

  /** Counts as lost, and forgets, what is overdue for too long. True when there was any. */
  countLosses(now: Instant): boolean {
    let any = false;
    for (const copy of this.overdue.values()) {
      if (now < this.#lostAt(copy)) break;
      this.#remove(copy);
      if (copy.arrived) continue;
      this.loss.lost(now);
      any = true;
    }
    return any;
  }

  #lostAt(copy: Copy<T>): Instant {
    return after(copy.sentAt, Math.max(LINGER_MS, 4 * this.rtt.ptoMs));
  }

  /** When the oldest overdue copy is lost. */
  get nextLossAt(): Instant | undefined {
    const oldest = this.overdue.values().next();
    return oldest.done ? undefined : this.#lostAt(oldest.value);
  }

  #remove(copy: Copy<T>): void {
    if (this.waiting.delete(copy.packet) || this.overdue.delete(copy.packet)) this.window.settled(copy.item.bytes);
  }

  /** Its own frames are missing right now, so a hedge over it would only feed the storm. */
  sour(now: Instant): boolean {
    return this.misses > 0 && this.#lastMissAt !== undefined && now - this.#lastMissAt < 2 * this.rtt.ptoMs;
  }

  /** When this path is given up for its silence, unless a receipt comes. */
  abandonAt(silenceMs: number): Instant | undefined {
    if (this.misses < ABANDON_MISSES || this.#firstMissAt === undefined) return undefined;
    return after(this.#firstMissAt, Math.max(silenceMs, 4 * this.rtt.ptoMs));
  }

  sharesRelay(other: FlowPath<T>): boolean {
    return this.route.some(relay => other.route.includes(relay));
  }

  sharesOperator(other: FlowPath<T>): boolean {
    return this.operators.some(operator => operator !== '' && other.operators.includes(operator));
  }
}
