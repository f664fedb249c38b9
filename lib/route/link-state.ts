/**
 * The link-state database (overlay.md point 2): the newest signed list of each origin, and the graph in which an edge
 * exists when both ends list it. Its claims nominate candidate paths; they never decide.
 */
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import type { LinkState, LinkStateName } from '../wire/index.js';

declare const verifiedBrand: unique symbol;

/** A link state whose signature was checked, with the bytes as signed. */
export interface VerifiedLinkState extends LinkState {
  readonly body: Uint8Array;
  readonly signature: Uint8Array;
  readonly [verifiedBrand]: true;
}

/** Marks as verified. The caller has checked the signature of `state.origin` over `body`, or made it. */
export function verifiedLinkState(state: LinkState, body: Uint8Array, signature: Uint8Array): VerifiedLinkState {
  return { ...state, body, signature } as VerifiedLinkState;
}

export interface LinkStateDatabaseOptions {
  /** The lowest cost that anyone may claim for an edge. */
  readonly floorMs: (a: PeerId, b: PeerId) => number;
  readonly maxOrigins?: number;
}

export interface Neighbour {
  readonly peer: PeerId;
  readonly costMs: number;
}

export class LinkStateDatabase {
  readonly #floorMs: (a: PeerId, b: PeerId) => number;
  readonly #maxOrigins: number;
  readonly #states = new Map<PeerId, VerifiedLinkState>();
  /** Claimed cost per origin and neighbour. */
  readonly #claims = new Map<PeerId, ReadonlyMap<PeerId, number>>();

  constructor({ floorMs, maxOrigins = LIMITS.maxRosterPeers }: LinkStateDatabaseOptions) {
    this.#floorMs = floorMs;
    this.#maxOrigins = maxOrigins;
  }

  /** `full` when the origin is new and there is no room for it. */
  offer(state: VerifiedLinkState): 'newer' | 'old' | 'full' {
    if (!this.isNews(state)) return 'old';
    if (!this.#states.has(state.origin) && this.#states.size >= this.#maxOrigins) return 'full';
    this.#states.set(state.origin, state);
    this.#claims.set(state.origin, new Map(state.edges.map(edge => [edge.peer, edge.costMs])));
    return 'newer';
  }

  isNews(name: LinkStateName): boolean {
    const held = this.#states.get(name.origin);
    if (held === undefined) return true;
    return name.epoch > held.epoch || (name.epoch === held.epoch && name.sequence > held.sequence);
  }

  get(origin: PeerId): VerifiedLinkState | undefined {
    return this.#states.get(origin);
  }

  /** For a peer that was revoked. */
  remove(origin: PeerId): void {
    this.#states.delete(origin);
    this.#claims.delete(origin);
  }

  get states(): IterableIterator<VerifiedLinkState> {
    return this.#states.values();
  }

  /** The larger of the two claims and the floor; undefined unless both ends list the edge. */
  costMs(a: PeerId, b: PeerId): number | undefined {
    const there = this.#claims.get(a)?.get(b);
    const back = this.#claims.get(b)?.get(a);
    if (there === undefined || back === undefined) return undefined;
    return Math.max(there, back, this.#floorMs(a, b));
  }

  /** The edges of a peer that exist. */
  neighbours(peer: PeerId): readonly Neighbour[] {
    const found: Neighbour[] = [];
    for (const other of this.#claims.get(peer)?.keys() ?? []) {
      const costMs = this.costMs(peer, other);
      if (costMs !== undefined) found.push({ peer: other, costMs });
    }
    return found;
  }
}
