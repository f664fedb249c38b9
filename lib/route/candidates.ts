/** Candidate paths: source routes over at most two relays, diverse before cheap (overlay.md point 3). */
import type { PeerId } from '../identity/peer-id.js';
import type { Route } from './explain.js';
import type { LinkStateDatabase } from './link-state.js';

export interface Candidate {
  readonly route: Route;
  readonly costMs: number;
}

export interface CandidateOptions {
  readonly source: PeerId;
  readonly destination: PeerId;
  /** Whether the peer may and will forward. */
  readonly mayRelay: (peer: PeerId) => boolean;
  /** The operator where it is known; all unknown ones count as different here, and promise nothing. */
  readonly operatorOf: (peer: PeerId) => string | undefined;
  /** How many; 4 by default. */
  readonly count?: number;
}

const DEFAULT_COUNT = 4;
/** A hop costs something even on a link without delay: of two equal paths the shorter one goes first. */
const HOP_COST_MS = 0.1;

/** The cheapest path first, then those that share no relay and no operator with the chosen ones, then the rest by cost. */
export function candidatePaths(graph: LinkStateDatabase, options: CandidateOptions): readonly Candidate[] {
  const all = [...everyPath(graph, options)].sort((a, b) => a.costMs - b.costMs);
  const chosen: Candidate[] = [];
  const count = Math.min(options.count ?? DEFAULT_COUNT, all.length);
  while (chosen.length < count) {
    let best: Candidate | undefined;
    let bestOverlap = Number.POSITIVE_INFINITY;
    for (const candidate of all) {
      if (chosen.includes(candidate)) continue;
      const overlap = chosen.reduce((sum, other) => sum + overlapOf(candidate, other, options), 0);
      if (overlap < bestOverlap) {
        best = candidate;
        bestOverlap = overlap;
      }
      if (bestOverlap === 0) break; // sorted by cost: nothing better follows
    }
    if (best === undefined) break;
    chosen.push(best);
  }
  return chosen;
}

function* everyPath(graph: LinkStateDatabase, options: CandidateOptions): Generator<Candidate> {
  const { source, destination, mayRelay } = options;
  const direct = graph.costMs(source, destination);
  if (direct !== undefined) yield { route: [], costMs: direct };
  const relaysOf = (peer: PeerId) =>
    graph.neighbours(peer).filter(other => other.peer !== source && other.peer !== destination && mayRelay(other.peer));
  const last = relaysOf(destination);
  for (const first of relaysOf(source)) {
    for (const { peer, costMs } of last) {
      if (peer === first.peer) yield { route: [peer], costMs: first.costMs + costMs + HOP_COST_MS };
      else {
        const between = graph.costMs(first.peer, peer);
        if (between === undefined) continue;
        yield { route: [first.peer, peer], costMs: first.costMs + between + costMs + 2 * HOP_COST_MS };
      }
    }
  }
}

function overlapOf(a: Candidate, b: Candidate, { operatorOf }: CandidateOptions): number {
  let overlap = 0;
  for (const mine of a.route) {
    for (const theirs of b.route) {
      const operator = operatorOf(mine);
      if (mine === theirs) overlap += 2;
      else if (operator !== undefined && operator === operatorOf(theirs)) overlap += 1;
    }
  }
  return overlap;
}
