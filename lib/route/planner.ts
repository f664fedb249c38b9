/**
 * Candidate paths by destination, computed when somebody asks and kept while nothing that they depend on has changed: at a
 * thousand nodes lists change all the time, and few of them near either end of a path.
 */
import type { Instant } from '../env.js';
import { after } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import { type Candidate, type CandidateOptions, candidatePaths } from './candidates.js';
import type { Route } from './explain.js';
import type { LinkStateDatabase } from './link-state.js';

export type PlannerOptions = Pick<CandidateOptions, 'source' | 'mayRelay' | 'operatorOf' | 'regionOf'> & {
  /** Relays that are suspected or otherwise come last, at present. */
  readonly avoid?: (relay: PeerId, now: Instant) => boolean;
};

interface Plan {
  readonly candidates: readonly Candidate[];
  /** How many were asked for. */
  readonly count: number;
  /** The version of the graph at which it is known to hold. */
  version: number;
  readonly until: Instant;
}

/** Labels of the roster, suspicions and bars change without a word from the graph. */
const MAX_AGE_MS = 5_000;
const MAX_PLANS = LIMITS.maxSessions;
const DEFAULT_CANDIDATES = 4;
const MOST_RELAYS_NEAR_THE_ENDS = 2;

export class RoutePlanner {
  readonly #graph: LinkStateDatabase;
  readonly #options: PlannerOptions;
  readonly #plans = new Map<PeerId, Plan>();

  constructor(graph: LinkStateDatabase, options: PlannerOptions) {
    this.#graph = graph;
    this.#options = options;
  }

  /** At most `count`, the best first. `barred` says which routes to this destination come last. */
  candidates(
    destination: PeerId,
    now: Instant,
    barred?: (route: Route) => boolean,
    count: number = DEFAULT_CANDIDATES,
  ): readonly Candidate[] {
    const held = this.#plans.get(destination);
    const fresh = held !== undefined && held.count >= count && now < held.until && this.#holds(held, destination);
    if (fresh) return held.candidates;
    const { avoid, ...options } = this.#options;
    const candidates = candidatePaths(this.#graph, {
      ...options,
      destination,
      count,
      ...(avoid !== undefined && { avoid: relay => avoid(relay, now) }),
      ...(barred !== undefined && { barred }),
    });
    if (this.#plans.size >= MAX_PLANS) this.#plans.clear();
    this.#plans.set(destination, { candidates, count, version: this.#graph.version, until: after(now, MAX_AGE_MS) });
    return candidates;
  }

  /** A verdict was reached: what was computed for this destination, or for all, may come in another order now. */
  forget(destination?: PeerId): void {
    if (destination === undefined) this.#plans.clear();
    else this.#plans.delete(destination);
  }

  /**
   * All edges of a path over two relays are claimed by an end or by whom an end claims, so lists of others cannot change
   * it. A plan with longer paths, or with none, may be changed by anybody.
   */
  #holds(plan: Plan, destination: PeerId): boolean {
    const graph = this.#graph;
    if (plan.version === graph.version) return true;
    const isLocal =
      plan.candidates.length > 0 && plan.candidates.every(({ route }) => route.length <= MOST_RELAYS_NEAR_THE_ENDS);
    if (!isLocal) return false;
    for (const end of [this.#options.source, destination]) {
      if (graph.changedSince(plan.version, end)) return false;
      for (const peer of graph.claimed(end)) if (graph.changedSince(plan.version, peer)) return false;
    }
    plan.version = graph.version;
    return true;
  }
}
