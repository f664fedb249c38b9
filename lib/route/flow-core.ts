/** What all parts of a flow share: its paths, what is not settled, and the effects of the input that is being handled. */
import { type Instant, instant } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import { Arrivals } from './arrivals.js';
import { CopyBudget } from './copy-budget.js';
import type { Route, RouteEvent, RouteTrigger } from './explain.js';
import type { Item } from './flow-lane.js';
import type { FlowPath } from './flow-path.js';
import type { FlowEffect } from './flow-types.js';
import { PathTable } from './path-table.js';
import { Quarantine } from './quarantine.js';
import type { Suspicion } from './suspicion.js';

export interface FlowOptions {
  readonly destination: PeerId;
  /** Uniform in [0, 1): for exploration and for spreading quarantines. */
  readonly random: () => number;
  /** Bars routes beyond the life of this flow; by default its own. */
  readonly quarantine?: Quarantine;
  /** Finds out about relays from the flows to all destinations of the node; without it nobody is suspected. */
  readonly suspicion?: Suspicion;
}

export type Numbers = readonly [measured: number, threshold: number, unit: RouteEvent['unit']];

interface Details {
  readonly lastsMs?: number;
  readonly suspect?: readonly PeerId[];
}

/** An event that may happen with every message is told this often. */
const NOTICE_MS = 1_000;

export class FlowCore<T> {
  readonly random: () => number;
  readonly quarantine: Quarantine;
  readonly suspicion: Suspicion | undefined;
  readonly paths: PathTable<T>;
  readonly arrivals: Arrivals = new Arrivals();
  readonly budget: CopyBudget = new CopyBudget();
  readonly unsettled: Set<Item<T>> = new Set();
  /** Items with no copy under way, and when they are sent again. */
  readonly late: Map<Item<T>, Instant> = new Map();
  now: Instant = instant(0);
  effects: FlowEffect<T>[] = [];
  readonly #destination: PeerId;
  readonly #noticedAt = new Map<RouteEvent['kind'], Instant>();

  constructor(options: FlowOptions) {
    this.random = options.random;
    this.quarantine = options.quarantine ?? new Quarantine(options.random);
    this.suspicion = options.suspicion;
    this.paths = new PathTable<T>(options.destination, this.quarantine, options.suspicion);
    this.#destination = options.destination;
  }

  begin(now: Instant): void {
    this.now = now;
    this.effects = [];
  }

  /** A copy of it may still be receipted in time. */
  isCarried(item: Item<T>, butFor?: FlowPath<T>): boolean {
    return item.copies.some(copy => copy.path !== butFor && this.paths.carries(copy));
  }

  isExpired(item: Item<T>): boolean {
    return item.expiresAt !== undefined && this.now >= item.expiresAt;
  }

  settle(item: Item<T>, outcome: 'receipted' | 'expired'): void {
    if (item.settled) return;
    item.settled = true;
    this.unsettled.delete(item);
    this.late.delete(item);
    this.effects.push({ kind: 'settled', payload: item.payload, outcome });
  }

  /** Bars the path from voluntary use, tells why, and counts it against its relays. */
  quarantinePath(
    path: FlowPath<T>,
    to: Route | undefined,
    trigger: RouteTrigger,
    numbers: Numbers,
    since: Instant,
  ): void {
    const lastsMs = this.quarantine.impose(path.key, this.now);
    path.paroled();
    this.explain('quarantine', path.route, to, trigger, numbers, since, { lastsMs });
  }

  /** Tells which suspects are new, and which are cleared. */
  noteSuspicions(path: FlowPath<T>): void {
    if (this.suspicion === undefined) return;
    for (const { suspect, cleared } of this.suspicion.takeChanges(this.now)) {
      const { peers, score, threshold } = suspect;
      const kind = cleared ? 'suspicion-cleared' : 'suspicion';
      this.explain(kind, path.route, path.route, 'loss', [score, threshold, 'score'], this.now, { suspect: peers });
    }
  }

  /** Whether an event that comes with messages may be told again. */
  mayNotice(kind: RouteEvent['kind']): boolean {
    const last = this.#noticedAt.get(kind);
    if (last !== undefined && this.now - last < NOTICE_MS) return false;
    this.#noticedAt.set(kind, this.now);
    return true;
  }

  explain(
    kind: RouteEvent['kind'],
    from: Route | undefined,
    to: Route | undefined,
    trigger: RouteTrigger,
    [measured, threshold, unit]: Numbers,
    since: Instant,
    details: Details = {},
  ): void {
    const alternatives = this.paths.alternatives(to, this.now);
    const ms = this.now - since;
    const numbers = { measured, threshold, unit, ms, alternatives, atMs: this.now };
    this.effects.push({
      kind: 'explain',
      event: { kind, flow: this.#destination, from, to, trigger, ...numbers, ...details },
    });
  }
}
