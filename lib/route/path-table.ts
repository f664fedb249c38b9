/**
 * The paths of one flow, and which of them is active and which stands by: the standby shares no relay and no operator with
 * the active path where there is a choice, quarantined and silent paths come last, and what was chosen stays chosen among
 * equals (overlay.md points 3 and 12).
 */
import type { Instant } from '../env.js';
import { invariant } from '../errors.js';
import type { Alternative, Route } from './explain.js';
import { type Copy, FlowPath } from './flow-path.js';
import { type FlowPathInfo, MAX_PATHS } from './flow-types.js';
import type { Quarantine } from './quarantine.js';

/** A standby that misses as often as this is no standby. */
const SILENT_MISSES = 3;
const ABANDON_SILENCE_MS = 500;
const ABANDON_ALL_SILENCE_MS = 3_000;

export class PathTable<T> {
  readonly #paths = new Map<number, FlowPath<T>>();
  readonly #quarantine: Quarantine;
  #active: FlowPath<T> | undefined;
  #standby: FlowPath<T> | undefined;

  constructor(quarantine: Quarantine) {
    this.#quarantine = quarantine;
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
    const path = new FlowPath<T>(info);
    this.#paths.set(path.id, path);
    return path;
  }

  /** The caller chooses anew when it was the active path or the standby. */
  remove(path: FlowPath<T>): void {
    this.#paths.delete(path.id);
  }

  clear(): void {
    this.#paths.clear();
    this.#active = undefined;
    this.#standby = undefined;
  }

  /** Its receipt may still come in time, over a path that is still there. */
  carries(copy: Copy<T>): boolean {
    return copy.path.waiting.has(copy.packet) && this.#paths.get(copy.path.id) === copy.path;
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
      this.barred(path, now) ? 1 : 0,
      path.misses > 0 ? 1 : 0,
      path.rtt.smoothedMs,
    ]);
  }

  /** True when the standby is another one than before. */
  chooseStandby(now: Instant): boolean {
    const active = this.#active;
    const previous = this.#standby;
    const others = [...this.#paths.values()].filter(path => path !== active);
    this.#standby =
      active &&
      leastOf(others, path => [
        path.misses >= SILENT_MISSES ? 1 : 0,
        this.barred(path, now) ? 1 : 0,
        path.sharesRelay(active) ? 1 : 0,
        path.sharesOperator(active) ? 1 : 0,
        path === previous ? 0 : 1, // sticky
        path.rtt.smoothedMs,
      ]);
    return this.#standby !== previous;
  }

  /** While another path works, a silent one is soon replaced; while all are silent, the paths may not be the reason. */
  abandonAt(path: FlowPath<T>): Instant | undefined {
    for (const other of this.#paths.values()) if (other.misses === 0) return path.abandonAt(ABANDON_SILENCE_MS);
    return path.abandonAt(ABANDON_ALL_SILENCE_MS);
  }

  /** Every path but the one on `route`, with what spoke against it. */
  alternatives(route: Route | undefined, now: Instant): readonly Alternative[] {
    const others = [...this.#paths.values()].filter(path => path.route !== route);
    return others.map(path => {
      const barred = this.barred(path, now) ? ', quarantined' : '';
      return { route: path.route, reason: `RTT ${path.rtt.smoothedMs.toFixed(1)} ms, ${path.misses} misses${barred}` };
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
