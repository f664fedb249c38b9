/** When the route changes: suspicion, races, losses, and what is simply better (overlay.md points 8, 11 and 12). */
import { after, type Instant } from '../env.js';
import { invariant } from '../errors.js';
import type { RouteTrigger } from './explain.js';
import type { FlowCore, Numbers } from './flow-core.js';
import { type Copy, type LaneName, laneOf, type PathLane } from './flow-lane.js';
import type { FlowPath } from './flow-path.js';
import type { FlowSending } from './flow-sending.js';
import { ALARM_SCORE } from './loss-test.js';
import { isBehind, marginMs, RACE_ABORT, RACE_LIMIT_MS, RACE_WIN, Race, RaceRest } from './race.js';

/** Between a switch and the next voluntary one, spread so that flows do not move in step. */
const DWELL_MS = 5_000;
const DWELL_SPREAD = 0.25;

export class FlowJudge<T> {
  readonly #core: FlowCore<T>;
  readonly #sending: FlowSending<T>;
  readonly #rest = new RaceRest();
  #race: Race<T> | undefined;
  #dwellsUntil: Instant | undefined;

  constructor(core: FlowCore<T>, sending: FlowSending<T>) {
    this.#core = core;
    this.#sending = sending;
  }

  get race(): Race<T> | undefined {
    return this.#race;
  }

  /** The active path or the standby is another one: what was measured of them means nothing now. */
  reset(): void {
    this.#race = undefined;
    for (const path of this.#core.paths) {
      path.lanes.urgent.pairs.clear();
      path.lanes.normal.pairs.clear();
    }
  }

  // ---------------------------------------------------------------- suspicion

  /** A copy missed its receipt; all misses of the tick are counted already. */
  missed(copy: Copy<T>): void {
    const { paths, now } = this.#core;
    const { active } = paths;
    if (copy.path !== active) {
      this.#missedElsewhere(copy.path);
      return;
    }
    const lane = laneOf(copy.item.class);
    this.#suspect('unreceipted', lane, copy.sentAt);
    const race = this.#race;
    if (race === undefined || race.lane !== lane || race.rival.sour(now)) return; // nobody is blamed
    if (copy.item.copies.some(other => other.path === race.rival && other.receiptedAt !== undefined))
      this.#point('rival', copy);
  }

  /** The rival or the standby is silent too: another path must tell whose fault it is. */
  #missedElsewhere(path: FlowPath<T>): void {
    const { paths, now } = this.#core;
    if (path === paths.standby) paths.chooseStandby(now);
    const race = this.#race;
    if (race === undefined || race.rival !== path || !path.sour(now)) return;
    this.#race = undefined;
    this.#suspect(race.cause, race.lane, race.since);
  }

  /** A path that was set up faster than the active one asks for a race. */
  challenge(rival: FlowPath<T>): void {
    const { now } = this.#core;
    this.#suspect('delay', 'normal', now, rival);
  }

  #suspect(cause: 'unreceipted' | 'delay', lane: LaneName, since: Instant, challenger?: FlowPath<T>): void {
    if (this.#race !== undefined) return;
    const { paths, now } = this.#core;
    const rival = challenger ?? paths.alternative(undefined, now);
    if (rival === undefined) return;
    // Critical messages are measured over both paths all the time: what they showed of late counts, all but the last point.
    const ahead = cause === 'delay' ? Math.min(rival.lanes[lane].pairs.ahead, RACE_WIN - 1) : 0;
    this.#race = new Race(cause, lane, rival, since, now, ahead);
  }

  /** A hedge decides a race as well as a copy that is sent for its sake. */
  hedged(over: FlowPath<T>): void {
    if (over === this.#race?.rival) this.#race.copied();
  }

  expire(now: Instant): void {
    if (this.#race !== undefined && now - this.#race.beganAt > RACE_LIMIT_MS) this.#race = undefined;
  }

  // ---------------------------------------------------------------- points

  /** A copy was receipted. `stale`: it waited in our own sockets, so its time says nothing. */
  receipted(copy: Copy<T>, stale: boolean): void {
    const { paths } = this.#core;
    const { active } = paths;
    if (!stale && copy.item.copies.length > 1) this.#pair(copy);
    const race = this.#race;
    if (race === undefined || race.lane !== laneOf(copy.item.class)) return;
    const rival = copy.path === active ? race.rival : active;
    const twin = copy.item.copies.find(other => other.path === rival);
    if (copy.path === race.rival) {
      if (twin?.missed && twin.receiptedAt === undefined) this.#point('rival', copy);
    } else if (copy.path !== active) return;
    else if (copy.missed) {
      if (twin !== undefined && twin.receiptedAt === undefined) this.#point('incumbent', copy);
    } else if (race.cause === 'delay') {
      if (stale || twin === undefined) return;
      this.#point(isBehind(copy, twin, this.#core.now) ? 'rival' : 'incumbent', copy);
    } else if (twin !== undefined || copy.sentAt >= race.beganAt) {
      // What was sent before the trouble began proves nothing about now.
      this.#point('incumbent', copy);
    }
  }

  /** The RTT of the active path was sampled. */
  sampled(lane: PathLane<T>, copy: Copy<T>): void {
    if (lane.delay.sample(lane.rtt) && this.#rest.mayRace(this.#core.now))
      this.#suspect('delay', laneOf(copy.item.class), copy.sentAt);
  }

  #point(winner: 'rival' | 'incumbent', copy: Copy<T>): void {
    const race = this.#race;
    const { active } = this.#core.paths;
    if (race === undefined || active === undefined) return;
    const state = race.point(winner, copy.item.copies[0]?.sentAt ?? copy.sentAt, copy.lane.rtt.smoothedMs / 4);
    if (state === 'won') {
      this.#switchTo(race.rival, race.cause, [race.lead, RACE_WIN, 'points'], race.since);
    } else if (state === 'aborted') {
      this.#race = undefined;
      const lane = active.lanes[race.lane];
      if (race.cause === 'delay') {
        lane.delay.accept(lane.rtt.latestMs, race.rival.lanes[race.lane].rtt.latestMs);
        this.#rest.aborted(lane.rtt.smoothedMs, this.#core.now);
      }
      const numbers: Numbers = [race.lead, RACE_ABORT, 'points'];
      this.#core.explain('race-aborted', active.route, race.rival.route, race.cause, numbers, race.since);
    }
  }

  // ---------------------------------------------------------------- better paths

  #pair(copy: Copy<T>): void {
    const { active } = this.#core.paths;
    const incumbent = copy.path === active ? copy : copy.item.copies.find(other => other.path === active);
    if (incumbent?.receiptedAt === undefined || active?.window.selfInflicted) return; // our own queue, not the path
    const ms = incumbent.receiptedAt - incumbent.sentAt;
    for (const other of copy.item.copies) {
      if (other === incumbent || other.sentAt !== incumbent.sentAt || other.receiptedAt === undefined) continue;
      if (copy !== incumbent && copy !== other) continue;
      other.lane.pairs.add(ms, other.receiptedAt - other.sentAt, marginMs(incumbent, ms));
      this.#considerVoluntary(other.path, other.lane);
    }
  }

  /** A copy that was sent to measure a path never came back. */
  lost(copy: Copy<T>): void {
    const twin = copy.item.copies.find(other => other.path === this.#core.paths.active);
    if (copy === twin || twin?.receiptedAt === undefined || twin.sentAt !== copy.sentAt) return;
    copy.lane.pairs.add(twin.receiptedAt - twin.sentAt, Number.POSITIVE_INFINITY, 0);
  }

  #considerVoluntary(path: FlowPath<T>, lane: PathLane<T>): void {
    const gain = lane.pairs.verdict();
    if (gain === undefined || this.#race !== undefined) return;
    const { paths, now } = this.#core;
    if (this.#dwellsUntil !== undefined && now < this.#dwellsUntil) return;
    if (path === paths.active || path.lossy || path.misses > 0 || paths.barred(path, now)) return;
    this.#switchTo(path, 'faster-alternate', [gain.gainMs, gain.thresholdMs, 'ms'], now);
  }

  // ---------------------------------------------------------------- losses

  /** Losses that hedges made good all the same: what a relay drops now and then adds up. */
  judgeLoss(): void {
    const { paths, now } = this.#core;
    const { active } = paths;
    if (active === undefined) return;
    const found = lossOf(active);
    if (found === undefined) return;
    const next = paths.alternative(undefined, now);
    if (next === undefined || lossOf(next) !== undefined) return; // no worse than what there is
    this.#switchTo(next, found.trigger, found.numbers, now);
  }

  // ---------------------------------------------------------------- switching

  #switchTo(next: FlowPath<T>, trigger: RouteTrigger, numbers: Numbers, since: Instant): void {
    const core = this.#core;
    const { paths, now } = core;
    const previous = paths.active;
    invariant(previous !== undefined && previous !== next, 'a switch has two sides');
    paths.activate(next, now);
    previous.drain(now);
    this.reset();
    const spread = 1 + DWELL_SPREAD * (2 * core.random() - 1);
    this.#dwellsUntil = after(now, DWELL_MS * spread);
    core.explain('switch', previous.route, next.route, trigger, numbers, since);
    if (trigger === 'faster-alternate') return;
    core.quarantinePath(previous, next.route, trigger, numbers, since);
    previous.outcomes?.convicted(now);
    core.noteSuspicions(previous);
    paths.chooseStandby(now);
    if (trigger !== 'unreceipted') return;
    for (const { item } of previous.copies()) {
      if (!item.settled && !core.isCarried(item, previous)) this.#sending.retransmit(item);
    }
  }
}

function lossOf<T>({ lanes, returned }: FlowPath<T>): { trigger: RouteTrigger; numbers: Numbers } | undefined {
  for (const { loss } of [lanes.urgent, lanes.normal]) {
    if (loss.test.alarmed) return { trigger: 'loss', numbers: [loss.test.score, ALARM_SCORE, 'score'] };
    const verdict = loss.verdict();
    if (verdict !== undefined) return { trigger: 'loss', numbers: [verdict.share, verdict.threshold, 'share'] };
  }
  if (!returned.test.alarmed) return undefined;
  return { trigger: 'receipt-loss', numbers: [returned.test.score, ALARM_SCORE, 'score'] };
}
