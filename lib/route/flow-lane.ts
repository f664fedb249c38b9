/**
 * One lane of one path: what is under way on it and how it fares. A relay sees one bit of a class, the lane, so it can
 * delay or drop orders only; estimates that mixed the lanes would let the others speak for them (overlay.md point 8).
 */
import { after, type Instant } from '../env.js';
import type { Arrivals } from './arrivals.js';
import type { FlowPath } from './flow-path.js';
import type { TrafficClass } from './flow-types.js';
import type { LossMeter } from './loss.js';
import { PairedSamples } from './race.js';
import { DelayAlarm, RttEstimator } from './rtt.js';

/** What a relay can tell of a class. */
export type LaneName = 'urgent' | 'normal';

export const laneOf = (trafficClass: TrafficClass): LaneName => (trafficClass === 'critical' ? 'urgent' : 'normal');

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

export interface Copy<T> {
  readonly item: Item<T>;
  readonly path: FlowPath<T>;
  readonly lane: PathLane<T>;
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

export class PathLane<T> {
  readonly rtt: RttEstimator;
  readonly delay: DelayAlarm = new DelayAlarm();
  readonly loss: LossMeter;
  /** Against the active path of the time. */
  readonly pairs: PairedSamples = new PairedSamples();
  /** Copies whose receipt may still come in time, in the order of sending. */
  readonly waiting: Map<number, Copy<T>> = new Map();
  /** Copies that missed their receipt; it may still come late. */
  readonly overdue: Map<number, Copy<T>> = new Map();

  constructor(rttHintMs: number, loss: LossMeter) {
    this.rtt = new RttEstimator(rttHintMs);
    this.loss = loss;
  }

  get idle(): boolean {
    return this.waiting.size === 0 && this.overdue.size === 0;
  }

  /** When the oldest waiting copy misses its receipt. */
  deadline(ptoMs: number): Instant | undefined {
    for (const copy of this.waiting.values()) return after(copy.sentAt, ptoMs);
    return undefined;
  }

  /** When the oldest overdue copy is lost. */
  lossAt(ptoMs: number): Instant | undefined {
    for (const copy of this.overdue.values()) return after(copy.sentAt, lingerMs(ptoMs));
    return undefined;
  }

  /** Removes and returns what is overdue for too long; it counts when something sent soon after it arrived. */
  takeLost(now: Instant, ptoMs: number, arrivals: Arrivals): readonly Copy<T>[] {
    let lost: Copy<T>[] | undefined;
    for (const copy of this.overdue.values()) {
      if (now - copy.sentAt < lingerMs(ptoMs)) break;
      this.overdue.delete(copy.packet);
      if (!copy.arrived && arrivals.soonAfter(copy.sentAt, ptoMs))
        this.loss.lost(copy.sentAt, now, this.rtt.smoothedMs / 4);
      lost ??= [];
      lost.push(copy);
    }
    return lost ?? none;
  }
}

const none: readonly never[] = [];

const lingerMs = (ptoMs: number): number => Math.max(LINGER_MS, 4 * ptoMs);
