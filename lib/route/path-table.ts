/**
 * The paths of one flow, and which of them is active and which stands by: the standby shares no relay and no operator with
 * the active path where there is a choice, quarantined and silent paths come last, and what was chosen stays chosen among
 * equals (overlay.md points 3 and 12).
 */
import type { Instant } from '../env.js';
import { invariant } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { independentPaths } from './disjoint.js';
import type { Alternative, Route } from './explain.js';
import type { Copy, Item } from './flow-lane.js';
import { FlowPath } from './flow-path.js';
import { type FlowPathInfo, MAX_PATHS } from './flow-types.js';
import { LossHistory } from './loss.js';
import type { Quarantine } from './quarantine.js';
import type { Suspicion } from './suspicion.js';

/** A standby that misses as often as this is no standby. */
const SILENT_MISSES = 3;
const ABANDON_SILENCE_MS = 500;
const ABANDON_ALL_SILENCE_MS = 3_000;

export class PathTable<T> {
  readonly #paths = new Map<number, FlowPath<T>>();
  readonly #destination: PeerId;
  readonly #quarantine: Quarantine;
  readonly #suspicion: Suspicion | undefined;
  readonly #losses = new LossHistory();
  #active: FlowPath<T> | undefined;
  #standby: FlowPath<T> | undefined;
  /** The last answer of `several`, until anything changes. */
  #several:
    | { readonly count: number; readonly independent: number; readonly paths: readonly FlowPath<T>[] }
    | undefined;

  constructor(destination: PeerId, quarantine: Quarantine, suspicion: Suspicion | undefined) {
    this.#destination = destination;
    this.#quarantine = quarantine;
    this.#suspicion = suspicion;
  }

  get active(): FlowPath<T> | undefined {
    return this.#active;
  }

  get standby(): FlowPath<T> | undefined {
    return this.#standby;
  }

  [Symbol.iterator](): IterableIterator<FlowPath<T>> {
    return this.#paths.values();
  }

  get(id: number): FlowPath<T> | undefined {
    return this.#paths.get(id);
  }

  add(info: FlowPathInfo): FlowPath<T> {
    invariant(info.id >= 0 && info.id < MAX_PATHS && !this.#paths.has(info.id), 'a free path number');
    const outcomes = this.#suspicion?.outcomes(this.#destination, info.route);
    const path = new FlowPath<T>(info, this.#losses.of(info.route.join('>')), outcomes);
    this.#paths.set(path.id, path);
    this.#several = undefined;
    return path;
  }

  /** The caller chooses anew when it was the active path or the standby. */
  remove(path: FlowPath<T>): void {
    this.#paths.delete(path.id);
    this.#several = undefined;
  }

  clear(): void {
    this.#paths.clear();
    this.#several = undefined;
    this.#active = undefined;
    this.#standby = undefined;
  }

  /** Its receipt may still come in time, over a path that is still there. */
  carries(copy: Copy<T>): boolean {
    return copy.lane.waiting.has(copy.packet) && this.#paths.get(copy.path.id) === copy.path;
  }

  barred(path: FlowPath<T>, now: Instant): boolean {
    return this.#quarantine.bars(path.key, now);
  }

  /** Makes the path the active one and chooses a standby for it. */
  activate(path: FlowPath<T> | undefined, now: Instant): void {
    this.#active = path;
    this.chooseStandby(now);
  }

  /** The path that would be active if there were none. */
  best(now: Instant): FlowPath<T> | undefined {
    return leastOf(this.#paths.values(), path => [
      path.misses > 0 ? 1 : 0,
      this.#doubt(path, now),
      path.rtt.samples === 0 ? 1 : 0,
      path.rtt.smoothedMs,
    ]);
  }

  /** What speaks against a path besides silence: a quarantine, losses, a suspect on its way. */
  #doubt(path: FlowPath<T>, now: Instant): number {
    if (this.barred(path, now) || path.lossy) return 2;
    return this.#suspicion?.crosses(this.#destination, path.route, now) ? 1 : 0;
  }

  /** True when the standby is another one than before. */
  chooseStandby(now: Instant): boolean {
    const active = this.#active;
    const previous = this.#standby;
    const others = [...this.#paths.values()].filter(path => path !== active);
    // While the active path is silent too, one miss is enough: messages wait for whatever path works.
    const tolerated = active?.sour(now) ? 1 : SILENT_MISSES;
    this.#standby =
      active &&
      leastOf(others, path => [
        path.misses >= tolerated ? 1 : 0,
        this.#doubt(path, now),
        path.sharesRelay(active) ? 1 : 0,
        path.sharesOperator(active) ? 1 : 0,
        path === previous ? 0 : 1, // sticky
        path.rtt.smoothedMs,
      ]);
    if (this.#standby !== previous) this.#several = undefined;
    return this.#standby !== previous;
  }

  /**
   * A path that works as far as is known, and that does not carry the item yet: the standby or the active path, else any
   * other, the fastest first. Undefined when all are sour: then the fault is here or at the destination.
   */
  alternative(item: Item<T> | undefined, now: Instant): FlowPath<T> | undefined {
    const works = (path: FlowPath<T> | undefined): boolean => {
      return path !== undefined && !path.sour(now) && !item?.copies.some(copy => copy.path === path);
    };
    if (item !== undefined && works(this.#active)) return this.#active;
    if (works(this.#standby)) return this.#standby;
    const others = [...this.#paths.values()].filter(path => path !== this.#active && works(path));
    return leastOf(others, path => [this.#doubt(path, now), path.rtt.smoothedMs]);
  }

  /** The path, other than the active one, that was measured longest ago. */
  leastExplored(): FlowPath<T> | undefined {
    const others = [...this.#paths.values()].filter(path => path !== this.#active);
    return leastOf(others, path => [path.exploredAt ?? Number.NEGATIVE_INFINITY]);
  }

  /**
   * `count` paths that share no relay and no operator, filled up with what there is when there are not as many; the active
   * path comes first unless it stands in the way of more. The answer is kept until paths or standby change.
   */
  several(count: number, now: Instant): { readonly independent: number; readonly paths: readonly FlowPath<T>[] } {
    if (this.#several?.count === count) return this.#several;
    const rank = (path: FlowPath<T>): readonly number[] => [
      path.misses >= SILENT_MISSES ? 1 : 0,
      this.#doubt(path, now),
      path === this.#active ? 0 : 1,
      path.rtt.smoothedMs,
    ];
    const ranked = [...this.#paths.values()].map(path => ({ path, rank: rank(path) }));
    ranked.sort((a, b) => (precedes(a.rank, b.rank) ? -1 : 1));
    const all = ranked.map(({ path }) => path);
    const chosen = independentPaths(all, count);
    const filled = [...chosen, ...all.filter(path => !chosen.includes(path))].slice(0, count);
    this.#several = { count, independent: chosen.length, paths: filled };
    return this.#several;
  }

  /** Some other path misses nothing. */
  #othersWork(path: FlowPath<T>): boolean {
    for (const other of this.#paths.values()) if (other !== path && other.misses === 0) return true;
    return false;
  }

  /** It missed what was sent while some other path worked. */
  isToBlame(path: FlowPath<T>): boolean {
    for (const other of this.#paths.values()) if (other !== path && path.isSilentBeside(other)) return true;
    return false;
  }

  /** While another path works, a silent one is soon replaced; while all are silent, the paths may not be the reason. */
  abandonAt(path: FlowPath<T>): Instant | undefined {
    return path.abandonAt(this.#othersWork(path) ? ABANDON_SILENCE_MS : ABANDON_ALL_SILENCE_MS);
  }

  /** Every path but the one on `route`, with what spoke against it. */
  alternatives(route: Route | undefined, now: Instant): readonly Alternative[] {
    const others = [...this.#paths.values()].filter(path => path.route !== route);
    return others.map(path => {
      const barred = this.barred(path, now) ? ', quarantined' : '';
      const lossy = path.lossy ? ', lossy' : '';
      const suspect = this.#suspicion?.crosses(this.#destination, path.route, now) ? ', over a suspect' : '';
      const numbers = `RTT ${path.rtt.smoothedMs.toFixed(1)} ms, ${path.misses} misses`;
      return { route: path.route, reason: `${numbers}${barred}${lossy}${suspect}` };
    });
  }
}

function leastOf<T>(paths: Iterable<FlowPath<T>>, rank: (path: FlowPath<T>) => readonly number[]) {
  let best: { readonly path: FlowPath<T>; readonly rank: readonly number[] } | undefined;
  for (const path of paths) {
    const mine = rank(path);
    if (best === undefined || precedes(mine, best.rank)) best = { path, rank: mine };
  }
  return best?.path;
}

function precedes(a: readonly number[], b: readonly number[]): boolean {
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
