/**
 * The flow to one destination: which path each payload takes, when it is hedged, raced or sent again, and when the route
 * changes (overlay.md points 8 to 13). It believes nothing but authenticated receipts. Payloads are opaque to it.
 */
import { after, type Instant } from '../env.js';
import { invariant } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import type { Machine } from '../machine.js';
import { CopyBudget } from './copy-budget.js';
import type { Route, RouteEvent, RouteTrigger } from './explain.js';
import { type Copy, type FlowPath, type Item, newItem } from './flow-path.js';
import { type FlowEffect, type FlowInput, type FlowPathInfo, MAX_PATHS, type TrafficClass } from './flow-types.js';
import { PathTable } from './path-table.js';
import { Quarantine } from './quarantine.js';
import { isBehind, PairedSamples, RACE_ABORT, RACE_LIMIT_MS, RACE_WIN, Race } from './race.js';
import { inRanges, type PacketRange } from './ranges.js';

export interface FlowOptions {
  readonly destination: PeerId;
  /** Uniform in [0, 1): for exploration and for spreading quarantines. */
  readonly random: () => number;
  /** Bars routes beyond the life of this flow; by default its own. */
  readonly quarantine?: Quarantine;
}

/** Share of real messages that are copied to the standby only to measure it. */
const EXPLORATION_SHARE = 0.015;
/** A tick this late means that this process stalled, not that the network did. */
const STALL_MS = 2;
/**
 * After a stall, receipts that already wait in the sockets are read before anything is judged: at least one poll, and as
 * long as the stall took, since whatever stalled us has stalled others on this host too.
 */
const MIN_GRACE_MS = 1;
const MAX_GRACE_MS = 100;
const MAX_RETRY_MS = 1_000;
const REFUSAL_NOTICE_MS = 1_000;
/** Critical payloads may exceed a full window by this much. */
const CRITICAL_EXCESS_BYTES = 16_384;

type Effects<T> = FlowEffect<T>[];
type CopyKind = 'first' | 'duplicate' | 'hedge' | 'retransmission';

export class Flow<T> implements Machine<FlowInput<T>, FlowEffect<T>> {
  readonly #options: FlowOptions;
  readonly #quarantine: Quarantine;
  readonly #paths: PathTable<T>;
  /** Never reset, so that a path number can be used again under the same keys. */
  readonly #nextPacket = new Float64Array(MAX_PATHS);
  readonly #unsettled = new Set<Item<T>>();
  /** Items with no copy under way, and when they are sent again. */
  readonly #late = new Map<Item<T>, Instant>();
  readonly #budget = new CopyBudget();
  readonly #pairs = new PairedSamples();
  #race: Race | undefined;
  #promised: Instant | undefined;
  #graceUntil: Instant | undefined;
  #refusalNotedAt: Instant | undefined;
  #lastRoute: Route | undefined;
  #routeLostAt: Instant | undefined;

  constructor(options: FlowOptions) {
    this.#options = options;
    this.#quarantine = options.quarantine ?? new Quarantine(options.random);
    this.#paths = new PathTable<T>(this.#quarantine);
  }

  get active(): FlowPath<T> | undefined {
    return this.#paths.active;
  }

  get standby(): FlowPath<T> | undefined {
    return this.#paths.standby;
  }

  get paths(): Iterable<FlowPath<T>> {
    return this.#paths;
  }

  get unsettledCount(): number {
    return this.#unsettled.size;
  }

  barred(route: Route, now: Instant): boolean {
    return this.#quarantine.bars(route.join('>'), now);
  }

  hasRoom(trafficClass: TrafficClass): boolean {
    const excess = trafficClass === 'critical' ? CRITICAL_EXCESS_BYTES : 0;
    return this.active !== undefined && this.active.window.room + excess > 0;
  }

  windowBytes(path: number): number | undefined {
    return this.#paths.get(path)?.window.bytes;
  }

  /** A packet number for a packet that asks for no receipt, on any path of the session. */
  allotPacket(path: number): number {
    const packet = this.#nextPacket[path];
    invariant(packet !== undefined, 'path number in range');
    this.#nextPacket[path] = packet + 1;
    return packet;
  }

  /** Everything that is not settled, in the order of submission: a new session takes it over. */
  drain(): T[] {
    const payloads = [...this.#unsettled].map(item => item.payload);
    this.#unsettled.clear();
    this.#late.clear();
    this.#paths.clear();
    return payloads;
  }

  handle(input: FlowInput<T>, now: Instant): readonly FlowEffect<T>[] {
    const effects: Effects<T> = [];
    switch (input.kind) {
      case 'path-up':
        this.#pathUp(input.path, effects, now);
        break;
      case 'path-down':
        this.#pathDown(input.path, effects, now);
        break;
      case 'submit':
        this.#submit(input, effects, now);
        break;
      case 'receipt':
        this.#receipt(input.path, input.ranges, input.delayMs, effects, now);
        break;
      case 'arrived':
        this.#arrived(input.path, input.ranges, effects);
        break;
      case 'probe':
        this.#probe(input.path, input.payload, input.bytes, effects, now);
        break;
      case 'tick':
        this.#tick(effects, now);
        break;
    }
    this.#promised = this.#computeDeadline();
    return effects;
  }

  nextDeadline(): Instant | undefined {
    return this.#promised;
  }

  #computeDeadline(): Instant | undefined {
    if (this.#graceUntil !== undefined) return this.#graceUntil;
    let earliest: Instant | undefined;
    const consider = (at: Instant | undefined): void => {
      if (at !== undefined && (earliest === undefined || at < earliest)) earliest = at;
    };
    for (const path of this.#paths) {
      consider(path.deadline);
      consider(path.nextLossAt);
      consider(this.#paths.abandonAt(path));
    }
    if (this.active) for (const at of this.#late.values()) consider(at);
    return earliest;
  }

  // ---------------------------------------------------------------- paths

  #pathUp(info: FlowPathInfo, effects: Effects<T>, now: Instant): void {
    const path = this.#paths.add(info);
    if (this.active !== undefined) {
      this.#chooseStandby(now);
      return;
    }
    this.#paths.activate(path, now);
    const since = this.#routeLostAt ?? now;
    const trigger = this.#lastRoute === undefined ? 'first-path' : 'path-lost';
    this.#explain('switch', this.#lastRoute, path.route, trigger, [1, 1, 'paths'], since, effects, now);
    this.#resend([...this.#unsettled], effects, now);
  }

  #pathDown(id: number, effects: Effects<T>, now: Instant): void {
    const path = this.#paths.get(id);
    if (path === undefined) return;
    this.#paths.remove(path);
    const orphans = [...path.overdue.values(), ...path.waiting.values()].map(copy => copy.item);
    if (path === this.active) {
      const since = path.waiting.values().next().value?.sentAt ?? now;
      const next = this.#paths.best(now);
      this.#paths.activate(next, now);
      this.#lastRoute = path.route;
      if (next === undefined) this.#routeLostAt = now;
      this.#race = undefined;
      this.#pairs.clear();
      this.#explain('switch', path.route, next?.route, 'path-lost', [0, 1, 'paths'], since, effects, now);
    } else if (path === this.standby) {
      this.#race = undefined;
      this.#chooseStandby(now);
    }
    this.#resend(orphans, effects, now);
  }

  #chooseStandby(now: Instant): void {
    if (this.#paths.chooseStandby(now)) this.#pairs.clear();
  }

  /** Sends again what has no copy under way on a living path. */
  #resend(items: readonly Item<T>[], effects: Effects<T>, now: Instant): void {
    for (const item of items) {
      if (item.settled || item.copies.some(copy => this.#paths.carries(copy))) continue;
      this.#retransmit(item, effects, now);
    }
  }

  // ---------------------------------------------------------------- sending

  #submit(input: Extract<FlowInput<T>, { kind: 'submit' }>, effects: Effects<T>, now: Instant): void {
    const item = newItem(input.payload, input.bytes, input.class, input.expiresAt);
    this.#unsettled.add(item);
    const { active, standby } = this;
    if (active === undefined) {
      this.#late.set(item, now);
      return;
    }
    this.#budget.earn();
    const duplicate = standby !== undefined && this.#wantsDuplicate(item, standby, now);
    this.#transmit(item, active, 'first', effects, now, duplicate);
    if (duplicate) this.#transmit(item, standby, 'duplicate', effects, now, true);
  }

  /** A payload that is past its time from the start: a miss settles it, and nothing is sent again. */
  #probe(id: number, payload: T, bytes: number, effects: Effects<T>, now: Instant): void {
    const path = this.#paths.get(id);
    if (path === undefined) return;
    const item = newItem(payload, bytes, 'bulk', now);
    this.#unsettled.add(item);
    this.#transmit(item, path, 'first', effects, now, true);
  }

  #wantsDuplicate(item: Item<T>, standby: FlowPath<T>, now: Instant): boolean {
    if (item.class === 'critical' && this.#budget.takeCritical(item.bytes, now)) return true;
    if (item.class === 'bulk') return false;
    if (this.#race !== undefined || item.class === 'critical') {
      return !standby.sour(now) && this.#budget.take();
    }
    return this.#options.random() < EXPLORATION_SHARE;
  }

  #transmit(
    item: Item<T>,
    path: FlowPath<T>,
    kind: CopyKind,
    effects: Effects<T>,
    now: Instant,
    receiptAtOnce: boolean,
  ): void {
    const packet = this.allotPacket(path.id);
    const copy: Copy<T> = { item, path, packet, sentAt: now, missed: false, arrived: false, receiptedAt: undefined };
    item.copies.push(copy);
    path.add(copy);
    this.#late.delete(item);
    const atOnce = receiptAtOnce || item.class === 'critical' || kind !== 'first';
    effects.push({
      kind: 'transmit',
      path: path.id,
      packet,
      payload: item.payload,
      copy: kind,
      receiptAtOnce: atOnce,
    });
  }

  #retransmit(item: Item<T>, effects: Effects<T>, now: Instant): void {
    if (item.expiresAt !== undefined && now >= item.expiresAt) {
      this.#settle(item, 'expired', effects);
      return;
    }
    const { active, standby } = this;
    if (active === undefined) {
      this.#late.set(item, now);
      return;
    }
    // A sour active path gets every other round; the standby may be the only one that works.
    const useStandby = standby !== undefined && active.misses > standby.misses && item.attempts % 2 === 0;
    item.attempts += 1;
    this.#transmit(item, useStandby ? standby : active, 'retransmission', effects, now, true);
  }

  // ---------------------------------------------------------------- receipts

  #receipt(id: number, ranges: readonly PacketRange[], delayMs: number, effects: Effects<T>, now: Instant): void {
    const path = this.#paths.get(id);
    const last = ranges[0]?.last;
    // A receipt for what was never sent proves that the peer lies; there is nothing in it worth reading.
    if (path === undefined || last === undefined || last >= (this.#nextPacket[id] ?? 0)) return;
    const wasSilent = path.misses > 0;
    let newest: Copy<T> | undefined;
    for (const copies of [path.overdue, path.waiting]) {
      for (const copy of copies.values()) {
        if (copy.packet > last) break;
        if (!inRanges(ranges, copy.packet)) continue;
        if (copy.packet === last) newest = copy;
        path.noteReceipt(copy, now);
        this.#judgeRace(copy, effects, now);
        this.#settle(copy.item, 'receipted', effects);
      }
    }
    if (newest !== undefined) this.#sampleRtt(path, newest, delayMs, effects, now);
    // It works again: what backed off need not wait any longer.
    if (wasSilent && path === this.active) for (const item of this.#late.keys()) this.#retransmit(item, effects, now);
  }

  #arrived(id: number, ranges: readonly PacketRange[], effects: Effects<T>): void {
    const path = this.#paths.get(id);
    if (path === undefined || (ranges[0]?.last ?? 0) >= (this.#nextPacket[id] ?? 0)) return;
    for (const copies of [path.overdue, path.waiting]) {
      for (const copy of copies.values()) {
        if (copy.arrived || !inRanges(ranges, copy.packet)) continue;
        copy.arrived = true;
        this.#settle(copy.item, 'receipted', effects);
      }
    }
  }

  #sampleRtt(path: FlowPath<T>, copy: Copy<T>, delayMs: number, effects: Effects<T>, now: Instant): void {
    if (this.#graceUntil !== undefined) return; // it waited in our own socket
    path.rtt.sample(now - copy.sentAt, delayMs);
    path.window.sample(path.rtt.latestMs, now);
    if (path.window.selfInflicted || path !== this.active) return;
    if (path.delay.sample(path.rtt)) this.#suspect('delay', copy.sentAt, now);
    this.#considerVoluntary(effects, now);
  }

  #settle(item: Item<T>, outcome: 'receipted' | 'expired', effects: Effects<T>): void {
    if (item.settled) return;
    item.settled = true;
    this.#unsettled.delete(item);
    this.#late.delete(item);
    effects.push({ kind: 'settled', payload: item.payload, outcome });
  }

  // ---------------------------------------------------------------- misses

  #tick(effects: Effects<T>, now: Instant): void {
    const lateMs = this.#promised === undefined ? 0 : now - this.#promised;
    if (this.#graceUntil === undefined && lateMs > STALL_MS) {
      this.#graceUntil = after(now, Math.min(Math.max(lateMs, MIN_GRACE_MS), MAX_GRACE_MS));
      return;
    }
    if (this.#graceUntil !== undefined && now < this.#graceUntil) return;
    this.#graceUntil = undefined;
    const missed: Copy<T>[] = [];
    for (const path of this.#paths) {
      const ptoMs = path.rtt.ptoMs;
      for (const copy of path.waiting.values()) {
        if (now < copy.sentAt + ptoMs) break;
        path.noteMiss(copy, now);
        missed.push(copy);
      }
    }
    // First all are counted, then they are judged: whether every path is silent must be known before one is blamed.
    for (const copy of missed) this.#missed(copy, effects, now);
    for (const path of this.#paths) {
      if (path.countLosses(now) && path === this.active) this.#judgeLoss(path, effects, now);
    }
    if (this.#race !== undefined && now - this.#race.beganAt > RACE_LIMIT_MS) this.#race = undefined;
    for (const [item, at] of this.#late) if (now >= at) this.#retransmit(item, effects, now);
    for (const path of this.#paths) {
      const abandonAt = this.#paths.abandonAt(path);
      if (abandonAt !== undefined && now >= abandonAt) effects.push({ kind: 'abandon', path: path.id });
    }
  }

  #missed(copy: Copy<T>, effects: Effects<T>, now: Instant): void {
    const { item, path } = copy;
    if (path === this.active) this.#judgeMiss(copy, effects, now);
    else if (path === this.standby && path.misses >= RACE_WIN) this.#chooseStandby(now);
    if (item.settled || item.copies.some(other => this.#paths.carries(other))) return;
    if (item.expiresAt !== undefined && now >= item.expiresAt) {
      this.#settle(item, 'expired', effects);
      return;
    }
    const other = path === this.active ? this.standby : this.active;
    const mayHedge = item.class !== 'bulk' && item.attempts === 0 && other !== undefined && !other.sour(now);
    if (mayHedge && this.#budget.take()) {
      item.attempts += 1;
      this.#transmit(item, other, 'hedge', effects, now, true);
      return;
    }
    if (mayHedge) this.#noteRefusal(other, effects, now);
    if (other === undefined && item.attempts === 0 && this.#budget.take()) {
      this.#retransmit(item, effects, now);
      return;
    }
    const waitMs = Math.min(path.rtt.ptoMs * 2 ** item.attempts, MAX_RETRY_MS);
    this.#late.set(item, after(now, waitMs));
  }

  #judgeMiss(copy: Copy<T>, effects: Effects<T>, now: Instant): void {
    const { active, standby } = this;
    if (active === undefined || standby === undefined || standby.sour(now)) return; // nobody is blamed
    this.#suspect('unreceipted', copy.sentAt, now);
    const rival = copy.item.copies.find(candidate => candidate.path === standby);
    if (rival?.receiptedAt !== undefined) this.#point('standby', effects, now);
  }

  /** Losses that hedges made good all the same: what a relay drops now and then adds up over the windows. */
  #judgeLoss(active: FlowPath<T>, effects: Effects<T>, now: Instant): void {
    const { standby } = this;
    const verdict = active.loss.verdict();
    if (verdict === undefined || standby === undefined || standby.sour(now)) return;
    const other = standby.loss.verdict();
    if (other !== undefined && other.share >= verdict.share) return;
    this.#switchTo(standby, 'loss', [verdict.share, verdict.threshold, 'share'], now, effects, now);
  }

  // ---------------------------------------------------------------- races

  #suspect(cause: 'unreceipted' | 'delay', since: Instant, now: Instant): void {
    if (this.#race !== undefined || this.standby === undefined || this.standby.sour(now)) return;
    this.#race = new Race(cause, since, now);
  }

  /** A copy was receipted: when its twin travels over the other path, one of them may have won a point. */
  #judgeRace(copy: Copy<T>, effects: Effects<T>, now: Instant): void {
    const { active, standby } = this;
    const rival = copy.path === active ? standby : active;
    const twin = copy.item.copies.find(other => other.path === rival);
    if (twin?.receiptedAt !== undefined && twin.sentAt === copy.sentAt) this.#pair(copy, twin);
    if (this.#race === undefined) return;
    if (copy.path === standby) {
      if (twin?.missed && twin.receiptedAt === undefined) this.#point('standby', effects, now);
    } else if (copy.path === active && !copy.missed) {
      // What was sent before the trouble began proves nothing about now.
      if (twin === undefined && copy.sentAt < this.#race.beganAt) return;
      const faster = this.#race.cause === 'delay' && twin !== undefined && isBehind(copy, twin, now);
      this.#point(faster ? 'standby' : 'incumbent', effects, now);
    } else if (copy.path === active && twin !== undefined && twin.receiptedAt === undefined) {
      this.#point('incumbent', effects, now);
    }
  }

  #pair(copy: Copy<T>, twin: Copy<T>): void {
    const [incumbent, standby] = copy.path === this.active ? [copy, twin] : [twin, copy];
    if (incumbent.receiptedAt === undefined || standby.receiptedAt === undefined) return;
    if (incumbent.path.window.selfInflicted) return; // our own queue, not the path
    this.#pairs.add(incumbent.receiptedAt - incumbent.sentAt, standby.receiptedAt - standby.sentAt);
  }

  #point(winner: 'standby' | 'incumbent', effects: Effects<T>, now: Instant): void {
    const race = this.#race;
    const { active, standby } = this;
    if (race === undefined || active === undefined || standby === undefined) return;
    const state = race.point(winner);
    if (state === 'won') {
      this.#switchTo(standby, race.cause, [race.lead, RACE_WIN, 'points'], race.since, effects, now);
    } else if (state === 'aborted') {
      this.#race = undefined;
      if (race.cause === 'delay') active.delay.accept(active.rtt.smoothedMs);
      const numbers: Numbers = [race.lead, RACE_ABORT, 'points'];
      this.#explain('race-aborted', active.route, active.route, race.cause, numbers, race.since, effects, now);
    }
  }

  #considerVoluntary(effects: Effects<T>, now: Instant): void {
    const { standby } = this;
    if (standby === undefined || this.#race !== undefined || this.#quarantine.bars(standby.key, now)) return;
    const gain = this.#pairs.verdict();
    if (gain === undefined) return;
    this.#switchTo(standby, 'faster-alternate', [gain.gainMs, gain.thresholdMs, 'ms'], now, effects, now);
  }

  #switchTo(
    next: FlowPath<T>,
    trigger: RouteTrigger,
    numbers: Numbers,
    since: Instant,
    effects: Effects<T>,
    now: Instant,
  ): void {
    const previous = this.active;
    invariant(previous !== undefined && previous !== next, 'a switch has two sides');
    this.#paths.activate(next, now);
    this.#race = undefined;
    this.#pairs.clear();
    this.#explain('switch', previous.route, next.route, trigger, numbers, since, effects, now);
    if (trigger !== 'faster-alternate') {
      const lastsMs = this.#quarantine.impose(previous.key, now);
      this.#explain('quarantine', previous.route, next.route, trigger, numbers, since, effects, now, lastsMs);
    }
    this.#chooseStandby(now);
    if (trigger !== 'unreceipted') return;
    for (const copy of [...previous.overdue.values(), ...previous.waiting.values()]) {
      const covered = copy.item.copies.some(other => other.path !== previous && this.#paths.carries(other));
      if (!copy.item.settled && !covered) this.#retransmit(copy.item, effects, now);
    }
  }

  // ---------------------------------------------------------------- explanations

  #noteRefusal(over: FlowPath<T>, effects: Effects<T>, now: Instant): void {
    if (this.#refusalNotedAt !== undefined && now - this.#refusalNotedAt < REFUSAL_NOTICE_MS) return;
    this.#refusalNotedAt = now;
    const numbers: Numbers = [this.#budget.level, 1, 'tokens'];
    this.#explain('hedge-refused', this.active?.route, over.route, 'unreceipted', numbers, now, effects, now);
  }

  #explain(
    kind: RouteEvent['kind'],
    from: Route | undefined,
    to: Route | undefined,
    trigger: RouteTrigger,
    [measured, threshold, unit]: Numbers,
    since: Instant,
    effects: Effects<T>,
    now: Instant,
    lastsMs?: number,
  ): void {
    const flow = this.#options.destination;
    const alternatives = this.#paths.alternatives(to, now);
    const ms = now - since;
    const event = { kind, flow, from, to, trigger, measured, threshold, unit, ms, alternatives, atMs: now };
    effects.push({ kind: 'explain', event: lastsMs === undefined ? event : { ...event, lastsMs } });
  }
}

type Numbers = readonly [measured: number, threshold: number, unit: RouteEvent['unit']];
