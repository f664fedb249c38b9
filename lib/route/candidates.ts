/**
 * Candidate paths: source routes over at most two relays, over three where two leave fewer than two disjoint paths;
 * trusted before diverse, diverse before cheap (overlay.md point 3).
 */
import type { PeerId } from '../identity/peer-id.js';
import type { Route } from './explain.js';
import type { LinkStateDatabase, Neighbour } from './link-state.js';

export interface Candidate {
  readonly route: Route;
  readonly costMs: number;
}

export interface CandidateOptions {
  readonly source: PeerId;
  readonly destination: PeerId;
  /** Whether the peer may and will forward. */
  readonly mayRelay: (peer: PeerId) => boolean;
  /** Who runs the peer. All whose operator is unknown count as one: nothing says that they are independent. */
  readonly operatorOf: (peer: PeerId) => string | undefined;
  /** Where the peer is; default: unknown. */
  readonly regionOf?: (peer: PeerId) => string | undefined;
  /** Relays that come last, and are taken all the same where there is nothing else; default: none. */
  readonly avoid?: (relay: PeerId) => boolean;
  /** The same for whole routes. */
  readonly barred?: (route: Route) => boolean;
  /** How many; 4 by default. */
  readonly count?: number;
}

const DEFAULT_COUNT = 4;
/** A hop costs something even on a link without delay: of two equal paths the shorter one goes first. */
const HOP_COST_MS = 0.1;
/** Relays next to either end over which routes with three relays are looked for, the cheapest first. */
const MAX_THREE_RELAY_ENDS = 16;
/** Those paths are taken for redundancy: the cheapest so many of them. */
const MAX_THREE_RELAY_PATHS = 256;

interface Path extends Candidate {
  /** Whether a relay of it is avoided, or the whole of it barred. */
  readonly last: boolean;
  /** Of its relays, each once. */
  readonly operators: readonly (string | undefined)[];
  readonly regions: readonly string[];
}

/**
 * The cheapest path first, then whichever shares least with the chosen ones: relays count before operators, these before
 * cost. The active path and its standby shall both be near; from the third on a new region counts before cost as well.
 * The same graph gives the same answer, in whatever order its lists came.
 */
export function candidatePaths(graph: LinkStateDatabase, options: CandidateOptions): readonly Candidate[] {
  const search = new Search(graph, options);
  const paths = search.overTwoRelays();
  if (!hasDisjointPair(paths, search.hasOperators)) paths.push(...search.overThreeRelays());
  const { count = DEFAULT_COUNT } = options;
  const chosen: Path[] = [];
  // What is avoided or barred waits until nothing else is left.
  for (const last of [false, true]) choose(chosen, paths.filter(path => path.last === last).sort(byCost), count);
  return chosen.map(({ route, costMs }) => ({ route, costMs }));
}

function choose(chosen: Path[], paths: readonly Path[], count: number): void {
  const left = new Set(paths);
  while (chosen.length < count) {
    let best: Path | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (const path of left) {
      const shared = sharedWith(path, chosen);
      if (shared >= least) continue;
      best = path;
      least = shared;
      if (shared === 0) break; // sorted by cost: nothing better follows
    }
    if (best === undefined) return;
    chosen.push(best);
    left.delete(best);
  }
}

/** Relays weigh more than all operators together, operators more than all regions. */
function sharedWith(path: Path, chosen: readonly Path[]): number {
  let shared = 0;
  for (const other of chosen) {
    shared += 10_000 * common(path.route, other.route) + 100 * common(path.operators, other.operators);
    if (chosen.length >= 2) shared += common(path.regions, other.regions);
  }
  return shared;
}

function common<T>(mine: readonly T[], theirs: readonly T[]): number {
  let count = 0;
  for (const one of mine) if (theirs.includes(one)) count += 1;
  return count;
}

/** Two trusted paths without a common relay, nor, where that can be had, a common operator. */
function hasDisjointPair(paths: readonly Path[], hasOperators: boolean): boolean {
  const trusted = paths.filter(path => !path.last);
  return trusted.some((path, i) => {
    for (let j = i + 1; j < trusted.length; j++) {
      const other = trusted[j] as Path;
      if (common(path.route, other.route) > 0) continue;
      if (!hasOperators || !path.operators.some(name => name !== undefined && other.operators.includes(name)))
        return true;
    }
    return false;
  });
}

function byCost(a: Path, b: Path): number {
  if (a.costMs !== b.costMs) return a.costMs - b.costMs;
  const [mine, theirs] = [a.route.join('>'), b.route.join('>')];
  return mine < theirs ? -1 : 1;
}

class Search {
  readonly #graph: LinkStateDatabase;
  readonly #options: CandidateOptions;
  readonly #firsts: readonly Neighbour[];
  readonly #lasts: readonly Neighbour[];
  readonly #eligible = new Map<PeerId, boolean>();

  constructor(graph: LinkStateDatabase, options: CandidateOptions) {
    this.#graph = graph;
    this.#options = options;
    this.#firsts = this.#relaysNextTo(options.source);
    this.#lasts = this.#relaysNextTo(options.destination);
  }

  /** Whether paths by different operators can be had at all: with one operator next to an end, no longer route has them. */
  get hasOperators(): boolean {
    const hasTwo = (ends: readonly Neighbour[]): boolean =>
      new Set(ends.map(({ peer }) => this.#options.operatorOf(peer) ?? peer)).size > 1;
    return hasTwo(this.#firsts) && hasTwo(this.#lasts);
  }

  overTwoRelays(): Path[] {
    const { source, destination } = this.#options;
    const paths: Path[] = [];
    const direct = this.#graph.costMs(source, destination);
    if (direct !== undefined) paths.push(this.#path([], direct));
    for (const first of this.#firsts) {
      for (const last of this.#lasts) {
        if (last.peer === first.peer) paths.push(this.#path([last.peer], first.costMs + last.costMs));
        else {
          const between = this.#graph.costMs(first.peer, last.peer);
          if (between === undefined) continue;
          paths.push(this.#path([first.peer, last.peer], first.costMs + between + last.costMs));
        }
      }
    }
    return paths;
  }

  overThreeRelays(): Path[] {
    const nearest = (ends: readonly Neighbour[]): readonly Neighbour[] =>
      [...ends].sort((a, b) => a.costMs - b.costMs || (a.peer < b.peer ? -1 : 1)).slice(0, MAX_THREE_RELAY_ENDS);
    const lasts = nearest(this.#lasts);
    const paths: Path[] = [];
    for (const first of nearest(this.#firsts)) {
      for (const middle of this.#relaysNextTo(first.peer)) {
        for (const last of lasts) {
          if (last.peer === first.peer || last.peer === middle.peer) continue;
          const between = this.#graph.costMs(middle.peer, last.peer);
          if (between === undefined) continue;
          const route = [first.peer, middle.peer, last.peer];
          paths.push(this.#path(route, first.costMs + middle.costMs + between + last.costMs));
        }
      }
    }
    return paths.sort(byCost).slice(0, MAX_THREE_RELAY_PATHS);
  }

  #relaysNextTo(peer: PeerId): readonly Neighbour[] {
    return this.#graph.neighbours(peer).filter(other => this.#mayRelay(other.peer));
  }

  #mayRelay(peer: PeerId): boolean {
    const { source, destination, mayRelay } = this.#options;
    let eligible = this.#eligible.get(peer);
    if (eligible === undefined) {
      eligible = peer !== source && peer !== destination && mayRelay(peer);
      this.#eligible.set(peer, eligible);
    }
    return eligible;
  }

  #path(route: Route, edgesMs: number): Path {
    const { operatorOf, regionOf, avoid, barred } = this.#options;
    const regions = regionOf === undefined ? [] : route.map(regionOf).filter(region => region !== undefined);
    return {
      route,
      costMs: edgesMs + route.length * HOP_COST_MS,
      last: (avoid !== undefined && route.some(avoid)) || barred?.(route) === true,
      operators: unique(route.map(operatorOf)),
      regions: unique(regions),
    };
  }
}

const unique = <T>(values: readonly T[]): readonly T[] =>
  values.length < 2 ? values : values.filter((value, i) => values.indexOf(value) === i);
