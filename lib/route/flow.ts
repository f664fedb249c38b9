/**
 * The flow to one destination: which path each payload takes, when it is hedged, raced or sent again, and when the route
 * changes (overlay.md points 7 to 14 and 18). It believes nothing but authenticated receipts. Payloads are opaque to it.
 * Here its inputs come in; sending, receipts, misses and judgement have a file each.
 */
import type { Instant } from '../env.js';
import type { Machine } from '../machine.js';
import type { Route } from './explain.js';
import { FlowCore, type FlowOptions } from './flow-core.js';
import { FlowJudge } from './flow-judge.js';
import { FlowMisses } from './flow-misses.js';
import type { FlowPath } from './flow-path.js';
import { FlowReceipts } from './flow-receipts.js';
import { FlowSending } from './flow-sending.js';
import type { FlowEffect, FlowInput, FlowPathInfo, TrafficClass } from './flow-types.js';
import { OwnHealth } from './own-health.js';
import { leastGainMs } from './race.js';

/** Critical payloads may exceed a full window by this much. */
const CRITICAL_EXCESS_BYTES = 16_384;

export class Flow<T> implements Machine<FlowInput<T>, FlowEffect<T>> {
  readonly #core: FlowCore<T>;
  readonly #sending: FlowSending<T>;
  readonly #judge: FlowJudge<T>;
  readonly #receipts: FlowReceipts<T>;
  readonly #misses: FlowMisses<T>;
  readonly #health = new OwnHealth();
  #promised: Instant | undefined;
  /** The path that was made active for want of another, and one that was set up faster since: not raced yet. */
  #nominee: FlowPath<T> | undefined;
  #challenger: FlowPath<T> | undefined;
  #lastRoute: Route | undefined;
  #routeLostAt: Instant | undefined;

  constructor(options: FlowOptions) {
    this.#core = new FlowCore<T>(options);
    this.#sending = new FlowSending(this.#core);
    this.#judge = new FlowJudge(this.#core, this.#sending);
    this.#receipts = new FlowReceipts(this.#core, this.#sending, this.#judge, this.#health);
    this.#misses = new FlowMisses(this.#core, this.#sending, this.#judge);
  }

  get active(): FlowPath<T> | undefined {
    return this.#core.paths.active;
  }

  get standby(): FlowPath<T> | undefined {
    return this.#core.paths.standby;
  }

  get paths(): Iterable<FlowPath<T>> {
    return this.#core.paths;
  }

  get unsettledCount(): number {
    return this.#core.unsettled.size;
  }

  barred(route: Route, now: Instant): boolean {
    return this.#core.quarantine.bars(route.join('>'), now);
  }

  /** The most independent paths that a message of the last minute asked for; 0 without any (overlay.md point 18). */
  wantedPaths(now: Instant): number {
    return this.#sending.wantedPaths(now);
  }

  /** Whether a path that is neither active nor standby may be closed: nothing that was sent on it is still awaited. */
  mayClose(id: number, now: Instant): boolean {
    const path = this.#core.paths.get(id);
    return path === undefined || (path !== this.active && path !== this.standby && !path.drains(now));
  }

  hasRoom(trafficClass: TrafficClass): boolean {
    const { active } = this;
    if (active === undefined) return false;
    const { window } = active;
    if (trafficClass === 'bulk') return window.bulkRoom > 0;
    return window.room + (trafficClass === 'critical' ? CRITICAL_EXCESS_BYTES : 0) > 0;
  }

  /** How many bytes the path may have unreceipted; undefined when there is no such path. */
  windowBytes(path: number): number | undefined {
    return this.#core.paths.get(path)?.window.bytes;
  }

  /** A packet number for a packet that asks for no receipt, on any path of the session. */
  allotPacket(path: number): number {
    return this.#sending.allotPacket(path);
  }

  /** A packet of the peer was opened, whatever is in it: gaps in its numbers are what the path loses on the way back. */
  heard(id: number, packet: number, now: Instant): void {
    const path = this.#core.paths.get(id);
    path?.returned.heard(packet, now, path.rtt.ptoMs);
  }

  /** Everything that is not settled, in the order of submission: a new session takes it over. */
  drain(): T[] {
    const { unsettled, late, paths } = this.#core;
    const payloads = [...unsettled].map(item => item.payload);
    unsettled.clear();
    late.clear();
    paths.clear();
    return payloads;
  }

  handle(input: FlowInput<T>, now: Instant): readonly FlowEffect<T>[] {
    const core = this.#core;
    core.begin(now);
    this.#health.note(this.#promised, now);
    switch (input.kind) {
      case 'path-up':
        this.#pathUp(input.path);
        break;
      case 'path-down':
        this.#pathDown(input.path);
        break;
      case 'submit':
        if (this.#challenger !== undefined && input.class === 'normal') this.#challenge(this.#challenger);
        this.#sending.submit(input, this.#judge.race);
        break;
      case 'receipt': {
        const path = core.paths.get(input.path);
        if (path !== undefined) this.#receipts.take(path, input.ranges, input.delayMs);
        break;
      }
      case 'arrived': {
        const path = core.paths.get(input.path);
        if (path !== undefined) this.#receipts.takeArrived(path, input.ranges);
        break;
      }
      case 'probe': {
        const path = core.paths.get(input.path);
        if (path !== undefined) this.#sending.probe(path, input.payload, input.bytes);
        break;
      }
      case 'tick': {
        const until = this.#health.judgeUntil(this.#promised, now);
        if (until !== undefined) this.#misses.tick(until);
        break;
      }
    }
    this.#promised = this.#health.askAgainAt ?? this.#computeDeadline();
    return core.effects;
  }

  nextDeadline(): Instant | undefined {
    return this.#promised;
  }

  #computeDeadline(): Instant | undefined {
    const { paths, late } = this.#core;
    let earliest: Instant | undefined;
    const consider = (at: Instant | undefined): void => {
      if (at !== undefined && (earliest === undefined || at < earliest)) earliest = at;
    };
    for (const path of paths) {
      consider(path.nextDeadline);
      if (path.misses > 0) consider(paths.abandonAt(path));
    }
    if (late.size > 0 && this.active) for (const at of late.values()) consider(at);
    return earliest;
  }

  // ---------------------------------------------------------------- paths

  #pathUp(info: FlowPathInfo): void {
    const core = this.#core;
    const { paths, now } = core;
    const path = paths.add(info);
    if (paths.active !== undefined) {
      paths.chooseStandby(now);
      if (paths.active === this.#nominee && isFaster(path, paths.active)) this.#challenger ??= path;
      return;
    }
    paths.activate(path, now);
    this.#nominee = path;
    this.#challenger = undefined;
    const trigger = this.#lastRoute === undefined ? 'first-path' : 'path-lost';
    core.explain('switch', this.#lastRoute, path.route, trigger, [1, 1, 'paths'], this.#routeLostAt ?? now);
    this.#sending.resend(core.unsettled);
  }

  /**
   * The active path was chosen by what its relays claim, and another one was set up faster than its first messages are:
   * the next ones shall tell. A forged cost is worth no more than that (decision 123).
   */
  #challenge(rival: FlowPath<T>): void {
    const { paths } = this.#core;
    const { active } = paths;
    if (active?.lanes.normal.delay.baselineMs === undefined) return; // not measured yet
    this.#challenger = undefined;
    const stands = active === this.#nominee && paths.get(rival.id) === rival;
    if (stands && isFaster(rival, active)) this.#judge.challenge(rival);
  }

  #pathDown(id: number): void {
    const core = this.#core;
    const { paths, now } = core;
    const path = paths.get(id);
    if (path === undefined) return;
    paths.remove(path);
    const orphans = [...path.copies()];
    if (path === paths.active) {
      let since: Instant = now;
      for (const copy of orphans) if (!copy.missed && copy.sentAt < since) since = copy.sentAt;
      const next = paths.best(now);
      paths.activate(next, now);
      this.#lastRoute = path.route;
      if (next === undefined) this.#routeLostAt = now;
      this.#judge.reset();
      core.explain('switch', path.route, next?.route, 'path-lost', [0, 1, 'paths'], since);
    } else {
      if (this.#judge.race?.rival === path) this.#judge.reset();
      if (path === paths.standby) paths.chooseStandby(now);
    }
    this.#sending.resend(orphans.map(copy => copy.item));
  }
}

/** By samples, and by the set-up time where there are none: better by what a voluntary switch asks for. */
function isFaster<T>(path: FlowPath<T>, than: FlowPath<T>): boolean {
  const { smoothedMs } = than.rtt;
  return smoothedMs - path.rtt.smoothedMs >= leastGainMs(smoothedMs);
}
