/** How payloads leave: over which paths a message goes at once, its hedges, and what is sent again (overlay.md point 10). */
import { after, type Instant } from '../env.js';
import { invariant } from '../errors.js';
import { Exploration } from './exploration.js';
import type { FlowCore } from './flow-core.js';
import { type Copy, type Item, laneOf } from './flow-lane.js';
import type { FlowPath } from './flow-path.js';
import { type FlowInput, MAX_PATHS, type TrafficClass } from './flow-types.js';
import type { Race } from './race.js';

const MAX_RETRY_MS = 1_000;
/** How long k-path messages are remembered, so that the paths they asked for stay set up. */
const WANTED_MS = 60_000;

type CopyKind = 'first' | 'duplicate' | 'hedge' | 'retransmission';

export class FlowSending<T> {
  readonly #core: FlowCore<T>;
  /** Never reset, so that a path number can be used again under the same keys. */
  readonly #nextPacket = new Float64Array(MAX_PATHS);
  readonly #exploration: Exploration;
  #wantedPaths = 0;
  #wantedAt: Instant | undefined;

  constructor(core: FlowCore<T>) {
    this.#core = core;
    this.#exploration = new Exploration(core.random);
  }

  allotPacket(path: number): number {
    const packet = this.#nextPacket[path];
    invariant(packet !== undefined, 'path number in range');
    this.#nextPacket[path] = packet + 1;
    return packet;
  }

  /** The number was allotted to some packet. */
  wasSent(path: number, packet: number): boolean {
    return packet < (this.#nextPacket[path] ?? 0);
  }

  /** The most independent paths that a message of the last minute asked for; 0 without any. */
  wantedPaths(now: Instant): number {
    return this.#wantedAt !== undefined && now - this.#wantedAt < WANTED_MS ? this.#wantedPaths : 0;
  }

  submit(input: Extract<FlowInput<T>, { kind: 'submit' }>, race: Race<T> | undefined): void {
    const core = this.#core;
    const { payload, bytes, expiresAt } = input;
    const item = newItem(payload, bytes, input.class, expiresAt);
    core.unsettled.add(item);
    const { active } = core.paths;
    if (active === undefined) {
      core.late.set(item, core.now);
      return;
    }
    core.budget.earn();
    if (input.paths !== undefined && input.paths > 1) {
      this.#sendOverSeveral(item, Math.min(input.paths, MAX_PATHS));
      return;
    }
    const second = this.#duplicateOver(item, race);
    this.transmit(item, active, 'first', second !== undefined);
    if (second !== undefined) this.transmit(item, second, 'duplicate', true);
  }

  /** k-path mode (overlay.md point 18): it was asked for, so no budget bounds it. */
  #sendOverSeveral(item: Item<T>, count: number): void {
    const core = this.#core;
    if (count >= this.wantedPaths(core.now)) {
      this.#wantedPaths = count;
      this.#wantedAt = core.now;
    }
    const { paths, independent } = core.paths.several(count, core.now);
    let kind: CopyKind = 'first';
    for (const path of paths) {
      this.transmit(item, path, kind, true);
      kind = 'duplicate';
    }
    if (independent < count && core.mayNotice('paths-short')) {
      const route = core.paths.active?.route;
      core.explain('paths-short', route, route, 'k-path', [independent, count, 'paths'], core.now);
    }
  }

  /** The path that gets a second copy at once: the class demands it, a race is run, or it is explored. */
  #duplicateOver(item: Item<T>, race: Race<T> | undefined): FlowPath<T> | undefined {
    const { paths, budget, now } = this.#core;
    if (item.class === 'critical') {
      const path = paths.standby?.sour(now) ? (paths.alternative(undefined, now) ?? paths.standby) : paths.standby;
      if (path === undefined) return undefined;
      if (budget.takeCritical(item.bytes, now)) return path;
      return !path.sour(now) && budget.take() ? path : undefined;
    }
    if (item.class === 'bulk') return undefined;
    const isDue = this.#exploration.isDue(now);
    if (race !== undefined) {
      if (
        race.lane !== laneOf(item.class) ||
        !race.wantsCopy(paths.active?.misses ?? 0) ||
        race.rival.sour(now) ||
        !budget.take()
      )
        return undefined;
      race.copied();
      return race.rival;
    }
    return isDue ? this.#explored() : undefined;
  }

  #explored(): FlowPath<T> | undefined {
    const path = this.#core.paths.leastExplored();
    if (path !== undefined) path.exploredAt = this.#core.now;
    return path;
  }

  /** A payload that is past its time from the start: a miss settles it, and nothing is sent again. */
  probe(path: FlowPath<T>, payload: T, bytes: number): void {
    const item = newItem(payload, bytes, 'bulk', this.#core.now);
    this.#core.unsettled.add(item);
    this.transmit(item, path, 'first', true);
  }

  transmit(item: Item<T>, path: FlowPath<T>, kind: CopyKind, receiptAtOnce: boolean): void {
    const core = this.#core;
    const packet = this.allotPacket(path.id);
    const lane = path.laneOf(item);
    const copy: Copy<T> = {
      item,
      path,
      lane,
      packet,
      sentAt: core.now,
      missed: false,
      arrived: false,
      receiptedAt: undefined,
    };
    item.copies.push(copy);
    path.add(copy);
    core.late.delete(item);
    core.effects.push({
      kind: 'transmit',
      path: path.id,
      packet,
      payload: item.payload,
      copy: kind,
      receiptAtOnce: receiptAtOnce || item.class === 'critical' || kind !== 'first',
    });
  }

  /** What has no copy under way any more gets a hedge, over the returned path, or a time when it is sent again. */
  hedge(item: Item<T>, missedOn: FlowPath<T>): FlowPath<T> | undefined {
    const core = this.#core;
    if (item.settled || core.isCarried(item)) return undefined;
    if (core.isExpired(item)) {
      core.settle(item, 'expired');
      return undefined;
    }
    const other = item.class === 'bulk' ? undefined : core.paths.alternative(item, core.now);
    if (other !== undefined) {
      if (core.budget.take()) {
        item.attempts += 1;
        this.transmit(item, other, 'hedge', true);
        return other;
      }
      this.#noteRefusal(other);
    } else if (core.paths.standby === undefined && item.attempts === 0 && core.budget.take()) {
      this.retransmit(item);
      return undefined;
    }
    const waitMs = Math.min(missedOn.rtt.ptoMs * 2 ** item.attempts, MAX_RETRY_MS);
    core.late.set(item, after(core.now, waitMs));
    return undefined;
  }

  retransmit(item: Item<T>): void {
    const core = this.#core;
    if (core.isExpired(item)) {
      core.settle(item, 'expired');
      return;
    }
    const { active, standby } = core.paths;
    if (active === undefined) {
      core.late.set(item, core.now);
      return;
    }
    // A sour active path gets every other round; the standby may be the only one that works.
    const useStandby = standby !== undefined && active.misses > standby.misses && item.attempts % 2 === 0;
    item.attempts += 1;
    this.transmit(item, useStandby ? standby : active, 'retransmission', true);
  }

  /** Sends again what has no copy under way on a living path. */
  resend(items: Iterable<Item<T>>): void {
    for (const item of items) if (!item.settled && !this.#core.isCarried(item)) this.retransmit(item);
  }

  #noteRefusal(over: FlowPath<T>): void {
    const core = this.#core;
    if (!core.mayNotice('hedge-refused')) return;
    const { active } = core.paths;
    core.explain('hedge-refused', active?.route, over.route, 'unreceipted', [core.budget.level, 1, 'tokens'], core.now);
  }
}

function newItem<T>(payload: T, bytes: number, trafficClass: TrafficClass, expiresAt: Instant | undefined): Item<T> {
  return { payload, bytes, class: trafficClass, expiresAt, settled: false, attempts: 0, copies: [] };
}
