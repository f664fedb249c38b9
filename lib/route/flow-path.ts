/** What a flow knows of one of its paths, and the copies that are under way on it, by lane. */
import { after, type Instant } from '../env.js';
import type { Arrivals } from './arrivals.js';
import type { Route } from './explain.js';
import { type Copy, type LaneName, laneOf, PathLane } from './flow-lane.js';
import type { FlowPathInfo } from './flow-types.js';
import type { LossWindow, RouteLosses } from './loss.js';
import { ReturnLoss } from './return-loss.js';
import type { RttEstimator } from './rtt.js';
import type { Outcomes } from './suspicion.js';
import { PathWindow } from './window.js';

/** A path is given up only after this many misses without a receipt between them. */
const ABANDON_MISSES = 6;
/** After a switch, receipts of what is under way still come. */
const DRAIN_PTOS = 2;
/** A hedge leaves a PTO after its original, a retransmission another one later. */
const TOGETHER_PTOS = 3;

export class FlowPath<T> {
  readonly id: number;
  readonly route: Route;
  readonly operators: readonly string[];
  /** The same for every set-up of the same route. */
  readonly key: string;
  readonly lanes: Readonly<Record<LaneName, PathLane<T>>>;
  readonly window: PathWindow = new PathWindow();
  readonly returned: ReturnLoss = new ReturnLoss();
  /** For suspicions about relays; undefined when nobody keeps any. */
  readonly outcomes: Outcomes | undefined;
  /** Misses since the last receipt; misses within SRTT/4 count once. */
  misses = 0;
  /** When a message was last copied to it to measure it. */
  exploredAt: Instant | undefined;
  #sampled: PathLane<T>;
  #sour = false;
  #firstMissAt: Instant | undefined;
  #lastMissAt: Instant | undefined;
  #lastMissSentAt: Instant | undefined;
  #worksSince: Instant | undefined;
  #drainedAt: Instant | undefined;

  constructor(info: FlowPathInfo, losses: RouteLosses, outcomes: Outcomes | undefined) {
    this.id = info.id;
    this.route = info.route;
    this.operators = info.operators;
    this.key = info.route.join('>');
    this.lanes = {
      urgent: new PathLane(info.rttHintMs, losses.urgent),
      normal: new PathLane(info.rttHintMs, losses.normal),
    };
    this.#sampled = this.lanes.normal;
    this.outcomes = outcomes;
  }

  /** Of the lane that was measured last. */
  get rtt(): RttEstimator {
    return this.#sampled.rtt;
  }

  /** Of this lane, or of the other one while this one was never measured. */
  ptoMs(lane: PathLane<T>): number {
    return lane.rtt.samples > 0 ? lane.rtt.ptoMs : this.#sampled.rtt.ptoMs;
  }

  add(copy: Copy<T>): void {
    copy.lane.waiting.set(copy.packet, copy);
    copy.lane.loss.sent(copy.sentAt);
    this.window.sent(copy.item.bytes);
  }

  noteSample(lane: PathLane<T>, rttMs: number, delayMs: number, now: Instant): void {
    lane.rtt.sample(rttMs, delayMs);
    this.window.sample(lane.rtt.latestMs, now);
    this.#sampled = lane;
  }

  noteMiss(copy: Copy<T>, now: Instant): void {
    copy.missed = true;
    copy.lane.waiting.delete(copy.packet);
    copy.lane.overdue.set(copy.packet, copy);
    if (this.#lastMissAt === undefined || now - this.#lastMissAt >= this.rtt.smoothedMs / 4) this.misses += 1;
    this.#firstMissAt ??= copy.sentAt;
    this.#lastMissAt = now;
    this.#sour = true;
    this.#lastMissSentAt = copy.sentAt;
  }

  noteReceipt(copy: Copy<T>, now: Instant): void {
    copy.receiptedAt = now;
    const { lane } = copy;
    if (lane.waiting.delete(copy.packet) || lane.overdue.delete(copy.packet)) this.window.settled(copy.item.bytes);
    lane.loss.arrived();
    this.outcomes?.arrived();
    if (!copy.missed) this.#sour = false;
    if (this.misses > 0) this.#worksSince = now;
    this.misses = 0;
    this.#firstMissAt = undefined;
  }

  /** Counts as lost, and forgets, what is overdue for too long. */
  takeLost(now: Instant, arrivals: Arrivals): readonly Copy<T>[] {
    const urgent = this.#takeLost(this.lanes.urgent, now, arrivals);
    const normal = this.#takeLost(this.lanes.normal, now, arrivals);
    return urgent.length === 0 ? normal : [...urgent, ...normal];
  }

  #takeLost(lane: PathLane<T>, now: Instant, arrivals: Arrivals): readonly Copy<T>[] {
    const ptoMs = this.ptoMs(lane);
    const lost = lane.takeLost(now, ptoMs, arrivals);
    for (const copy of lost) {
      this.window.settled(copy.item.bytes);
      if (!copy.arrived && cameOtherwise(copy, TOGETHER_PTOS * ptoMs)) this.outcomes?.lost(now);
    }
    return lost;
  }

  /** When it must be looked at next: a miss or a loss. */
  get nextDeadline(): Instant | undefined {
    const { urgent, normal } = this.lanes;
    return urgent.idle ? this.#deadlineOf(normal) : sooner(this.#deadlineOf(urgent), this.#deadlineOf(normal));
  }

  #deadlineOf(lane: PathLane<T>): Instant | undefined {
    if (lane.idle) return undefined;
    const ptoMs = this.ptoMs(lane);
    return sooner(lane.deadline(ptoMs), lane.lossAt(ptoMs));
  }

  /**
   * Its own frames are missing, so a hedge over it would only feed the storm. Receipts that come late do not change that:
   * they say that something is slow, not that it is well.
   */
  sour(now: Instant): boolean {
    if (!this.#sour || this.#lastMissAt === undefined) return false;
    const { urgent, normal } = this.lanes;
    return now - this.#lastMissAt < 2 * this.rtt.ptoMs || urgent.overdue.size > 0 || normal.overdue.size > 0;
  }

  /** It loses more than honest paths do, in one lane or on the way back. */
  get lossy(): boolean {
    const { urgent, normal } = this.lanes;
    return urgent.loss.test.alarmed || normal.loss.test.alarmed || this.returned.test.alarmed;
  }

  /** What was sent and lost in each window, in both lanes. */
  get lossWindows(): readonly LossWindow[] {
    const urgent = this.lanes.urgent.loss.windows;
    return this.lanes.normal.loss.windows.map(({ windowMs, sent, lost }, i) => {
      return { windowMs, sent: sent + (urgent[i]?.sent ?? 0), lost: lost + (urgent[i]?.lost ?? 0) };
    });
  }

  /** It was punished for its losses. */
  paroled(): void {
    this.lanes.urgent.loss.test.paroled();
    this.lanes.normal.loss.test.paroled();
    this.returned.test.paroled();
  }

  /** The flow left it. */
  drain(now: Instant): void {
    const { urgent, normal } = this.lanes;
    this.#drainedAt = after(now, DRAIN_PTOS * Math.max(this.ptoMs(urgent), this.ptoMs(normal)));
  }

  /** Receipts of what was sent before a switch may still come: it must not be closed. */
  drains(now: Instant): boolean {
    return this.#drainedAt !== undefined && now < this.#drainedAt;
  }

  /** When this path is given up for its silence, unless a receipt comes. */
  abandonAt(silenceMs: number): Instant | undefined {
    if (this.misses < ABANDON_MISSES || this.#firstMissAt === undefined) return undefined;
    return after(this.#firstMissAt, Math.max(silenceMs, 4 * this.rtt.ptoMs));
  }

  /** It missed what was sent while the other path worked: so this one is to blame. */
  isSilentBeside(other: FlowPath<T>): boolean {
    if (other.misses > 0 || this.#lastMissSentAt === undefined) return false;
    return other.#worksSince === undefined || this.#lastMissSentAt >= other.#worksSince;
  }

  silentMs(now: Instant): number {
    return this.#firstMissAt === undefined ? 0 : now - this.#firstMissAt;
  }

  sharesRelay(other: FlowPath<T>): boolean {
    return this.route.some(relay => other.route.includes(relay));
  }

  sharesOperator(other: FlowPath<T>): boolean {
    return this.operators.some(operator => operator !== '' && other.operators.includes(operator));
  }

  /** Every copy under way, the oldest of each lane first. */
  *copies(): Generator<Copy<T>> {
    for (const lane of [this.lanes.urgent, this.lanes.normal]) {
      yield* lane.overdue.values();
      yield* lane.waiting.values();
    }
  }

  laneOf(item: Copy<T>['item']): PathLane<T> {
    return this.lanes[laneOf(item.class)];
  }
}

/** Another copy of the message, sent at about the same time over another path, came through. */
function cameOtherwise<T>({ item, path, sentAt }: Copy<T>, withinMs: number): boolean {
  return item.copies.some(other => {
    return other.path !== path && other.receiptedAt !== undefined && Math.abs(other.sentAt - sentAt) <= withinMs;
  });
}

function sooner(a: Instant | undefined, b: Instant | undefined): Instant | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a < b ? a : b;
}
