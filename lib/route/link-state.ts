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

/** What the database keeps of a list to pass it on; its edges are in the graph. */
export type HeldLinkState = Omit<VerifiedLinkState, 'edges'>;

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

type Claims = ReadonlyMap<PeerId, number>;

/** Less than a tenth, or less than 2 ms, is what measuring twice gives: no list is sent and no route computed for it. */
export function isMaterial(beforeMs: number, nowMs: number): boolean {
  const differenceMs = Math.abs(nowMs - beforeMs);
  return differenceMs > 2 && differenceMs > beforeMs / 10;
}

export class LinkStateDatabase {
  readonly #floorMs: (a: PeerId, b: PeerId) => number;
  readonly #maxOrigins: number;
  readonly #states = new Map<PeerId, HeldLinkState>();
  /** Claimed cost per origin and neighbour. */
  readonly #claims = new Map<PeerId, Claims>();
  /** The version in which what an origin claims last changed materially. */
  readonly #changedAt = new Map<PeerId, number>();
  #removedAt = 0;
  #version = 0;

  constructor({ floorMs, maxOrigins = LIMITS.maxRosterPeers }: LinkStateDatabaseOptions) {
    this.#floorMs = floorMs;
    this.#maxOrigins = maxOrigins;
  }

  /** Grows with every material change: routes computed at one version hold while it stands. */
  get version(): number {
    return this.#version;
  }

  /** Whether what the origin claims changed materially after that version; of one that is not held: whether it may have. */
  changedSince(version: number, origin: PeerId): boolean {
    return (this.#changedAt.get(origin) ?? this.#removedAt) > version;
  }

  /**
   * `refreshed` when the list is newer and says what the last one said; `full` when the origin is new, and neither there
   * is room for it nor is anybody held whose edges nobody confirms.
   */
  offer(state: VerifiedLinkState): 'newer' | 'refreshed' | 'old' | 'full' {
    if (!this.isNews(state)) return 'old';
    const { edges, ...held } = state;
    const { origin } = held;
    const before = this.#states.get(origin);
    if (before === undefined && this.#states.size >= this.#maxOrigins && !this.#makeRoom()) return 'full';
    const claims: Claims = new Map(edges.map(edge => [edge.peer, edge.costMs]));
    const differs =
      before === undefined || before.relay !== state.relay || differsFrom(this.#claims.get(origin) as Claims, claims);
    this.#states.set(origin, held);
    this.#claims.set(origin, claims);
    if (!differs) return 'refreshed';
    this.#changedAt.set(origin, ++this.#version);
    return 'newer';
  }

  /** Removes the first origin without an edge that exists: it leads nowhere, and costs its maker nothing but signatures. */
  #makeRoom(): boolean {
    for (const origin of this.#states.keys()) {
      if (this.neighbours(origin).length > 0) continue;
      this.remove(origin);
      return true;
    }
    return false;
  }

  isNews(name: LinkStateName): boolean {
    const held = this.#states.get(name.origin);
    return held === undefined || isNewer(name, held);
  }

  get(origin: PeerId): HeldLinkState | undefined {
    return this.#states.get(origin);
  }

  /** For a peer that was revoked, or is not heard of any more. */
  remove(origin: PeerId): void {
    this.#claims.delete(origin);
    this.#changedAt.delete(origin);
    if (this.#states.delete(origin)) this.#removedAt = ++this.#version;
  }

  get size(): number {
    return this.#states.size;
  }

  get states(): IterableIterator<HeldLinkState> {
    return this.#states.values();
  }

  /** What one peer says about its edge to another. */
  claimMs(from: PeerId, to: PeerId): number | undefined {
    return this.#claims.get(from)?.get(to);
  }

  /** Everyone that a peer lists, whether they list it or not. */
  claimed(peer: PeerId): Iterable<PeerId> {
    return this.#claims.get(peer)?.keys() ?? [];
  }

  /** The larger of the two claims and the floor; undefined unless both ends list the edge. */
  costMs(a: PeerId, b: PeerId): number | undefined {
    const there = this.claimMs(a, b);
    if (there === undefined) return undefined;
    const back = this.claimMs(b, a);
    return back === undefined ? undefined : Math.max(there, back, this.#floorMs(a, b));
  }

  /** The edges of a peer that exist. */
  neighbours(peer: PeerId): readonly Neighbour[] {
    const found: Neighbour[] = [];
    for (const other of this.claimed(peer)) {
      const costMs = this.costMs(peer, other);
      if (costMs !== undefined) found.push({ peer: other, costMs });
    }
    return found;
  }
}

/** Whether one version follows the other. */
export function isNewer(a: LinkStateName, b: LinkStateName): boolean {
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.sequence > b.sequence);
}

function differsFrom(before: Claims, now: Claims): boolean {
  if (before.size !== now.size) return true;
  for (const [peer, costMs] of now) {
    const costBeforeMs = before.get(peer);
    if (costBeforeMs === undefined || isMaterial(costBeforeMs, costMs)) return true;
  }
  return false;
}
