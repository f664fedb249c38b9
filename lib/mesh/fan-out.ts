/**
 * Who passes the flushes of one topic to whom: a tree of bounded degree over its subscribers, kept by the publisher
 * (overlay.md point 19). It knows peers and complaints; it does no I/O and never looks at a flush.
 *
 * One subscriber's complaint moves that subscriber. A forwarder goes only when half of those it serves complain, at least
 * two: a liar changes its own place and nobody else's.
 */
import type { Instant } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';

export interface FanOutOptions {
  /** How many each node of the tree passes flushes to, the publisher included. */
  readonly degree: number;
  /** What the publisher has measured towards a subscriber; undefined when it has not. */
  readonly rttMs: (peer: PeerId) => number | undefined;
  readonly regionOf: (peer: PeerId) => string | undefined;
}

interface Place {
  readonly peer: PeerId;
  /** Undefined: the publisher. */
  parent: PeerId | undefined;
  readonly children: Set<PeerId>;
  placedAt: Instant;
  complainedAt: Instant | undefined;
  /** Forwarders that it complained about: it is not put below them again. */
  readonly avoids: PeerId[];
}

interface Reputation {
  /** When which subscriber complained. */
  readonly complaints: Map<PeerId, Instant>;
  demotions: number;
  demotedUntil: Instant;
}

/** What was under way at a change of place still goes to the old one: complaints of so soon after it say nothing. */
const SETTLE_MS = 100;
const COMPLAINT_MEMORY_MS = 10_000;
const MAX_AVOIDED = 8;
/** Whoever complained about so many forwarders may have one of the places that are kept at the publisher. */
const RESCUED_AFTER = 3;
const RESCUE_PLACES = 4;
const DEMOTION_MS = 10_000;
const MAX_DEMOTION_MS = 600_000;
const MAX_REPUTATIONS = 1_024;

export class FanOut {
  readonly #options: FanOutOptions;
  readonly #places = new Map<PeerId, Place>();
  /** They outlive the subscriptions of those they are about. */
  readonly #reputations = new Map<PeerId, Reputation>();
  readonly #direct = new Set<PeerId>();
  readonly #changedParents = new Set<PeerId>();
  readonly #moved = new Set<PeerId>();

  constructor(options: FanOutOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#places.size;
  }

  /** Those that the publisher itself sends to. */
  get direct(): ReadonlySet<PeerId> {
    return this.#direct;
  }

  get peers(): IterableIterator<PeerId> {
    return this.#places.keys();
  }

  has(peer: PeerId): boolean {
    return this.#places.has(peer);
  }

  parentOf(peer: PeerId): PeerId | undefined {
    return this.#places.get(peer)?.parent;
  }

  childrenOf(peer: PeerId): readonly PeerId[] {
    return [...(this.#places.get(peer)?.children ?? [])];
  }

  add(peer: PeerId, now: Instant): void {
    if (this.#places.has(peer)) return;
    const place = { peer, parent: undefined, children: new Set<PeerId>(), placedAt: now, complainedAt: undefined };
    this.#places.set(peer, { ...place, avoids: [] });
    this.#place(peer, now);
  }

  remove(peer: PeerId, now: Instant): void {
    const place = this.#places.get(peer);
    if (place === undefined) return;
    this.#detach(place);
    this.#places.delete(peer);
    this.#changedParents.delete(peer);
    this.#moved.delete(peer);
    for (const child of place.children) this.#place(child, now);
  }

  /** Its forwarder did not pass on in time what was published. */
  complain(peer: PeerId, now: Instant): void {
    const place = this.#places.get(peer);
    if (place?.parent === undefined || now - place.placedAt < SETTLE_MS) return;
    const parent = this.#places.get(place.parent) as Place;
    place.complainedAt = now;
    // A forwarder that misses the same itself cannot pass it on: its own complaint is the one that counts.
    if (parent.complainedAt !== undefined && now - parent.complainedAt < SETTLE_MS) return;
    place.avoids.push(parent.peer);
    if (place.avoids.length > MAX_AVOIDED) place.avoids.shift();
    const reputation = this.#reputation(parent.peer, now);
    reputation.complaints.set(peer, now);
    for (const [child, at] of reputation.complaints) {
      if (now - at > COMPLAINT_MEMORY_MS) reputation.complaints.delete(child);
    }
    if (reputation.complaints.size >= Math.max(2, Math.ceil(parent.children.size / 2)))
      this.#demote(parent, reputation, now);
    else this.#move(place, now);
  }

  /** What changed since it was last asked: whose children, and who has another parent. */
  takeChanges(): { readonly parents: readonly PeerId[]; readonly moved: readonly PeerId[] } {
    const changes = { parents: [...this.#changedParents], moved: [...this.#moved] };
    this.#changedParents.clear();
    this.#moved.clear();
    return changes;
  }

  #reputation(peer: PeerId, now: Instant): Reputation {
    let reputation = this.#reputations.get(peer);
    if (reputation === undefined) {
      reputation = { complaints: new Map(), demotions: 0, demotedUntil: now };
      this.#reputations.set(peer, reputation);
      if (this.#reputations.size > MAX_REPUTATIONS) {
        for (const oldest of this.#reputations.keys()) {
          this.#reputations.delete(oldest);
          break;
        }
      }
    }
    return reputation;
  }

  /** It forwards nothing for a while, and holds no place at the publisher that a forwarder could use. */
  #demote(place: Place, reputation: Reputation, now: Instant): void {
    reputation.demotedUntil = (now + Math.min(DEMOTION_MS * 2 ** reputation.demotions, MAX_DEMOTION_MS)) as Instant;
    reputation.demotions += 1;
    reputation.complaints.clear();
    const children = [...place.children];
    this.#detach(place);
    for (const child of children) {
      this.#detach(this.#places.get(child) as Place);
      this.#place(child, now);
    }
    this.#place(place.peer, now);
  }

  #move(place: Place, now: Instant): void {
    this.#detach(place);
    this.#place(place.peer, now);
  }

  #detach(place: Place): void {
    if (place.parent === undefined) this.#direct.delete(place.peer);
    else {
      this.#places.get(place.parent)?.children.delete(place.peer);
      this.#changedParents.add(place.parent);
    }
    place.parent = undefined;
  }

  /** Finds a parent for a peer that has none at the moment; those below it stay below it. */
  #place(peer: PeerId, now: Instant): void {
    const place = this.#places.get(peer) as Place;
    const parent = this.#chooseParent(place, now);
    place.parent = parent?.peer;
    place.placedAt = now;
    this.#moved.add(peer);
    if (parent === undefined) this.#direct.add(peer);
    else {
      parent.children.add(peer);
      this.#changedParents.add(parent.peer);
    }
  }

  #chooseParent(place: Place, now: Instant): Place | undefined {
    const { degree } = this.#options;
    const isRescued = place.avoids.length >= RESCUED_AFTER;
    const room = isRescued ? degree + RESCUE_PLACES : degree;
    if (this.#direct.size < room && !this.#isDemoted(place.peer, now)) return undefined;
    let best: Place | undefined;
    for (const candidate of this.#places.values()) {
      if (candidate.children.size >= degree || !this.#isAbove(candidate, place)) continue;
      if (best === undefined || this.#compare(place, candidate, best, now) < 0) best = candidate;
    }
    return best;
  }

  /** Whether the way from it to the publisher is whole and does not lead over `place`. */
  #isAbove(candidate: Place, place: Place): boolean {
    let at: Place | undefined = candidate;
    while (at !== place && at?.parent !== undefined) at = this.#places.get(at.parent);
    return at !== undefined && at !== place && this.#direct.has(at.peer);
  }

  #compare(place: Place, a: Place, b: Place, now: Instant): number {
    const { regionOf, rttMs } = this.#options;
    const region = regionOf(place.peer);
    const isElsewhere = ({ peer }: Place): number => (region !== undefined && regionOf(peer) === region ? 0 : 1);
    const avoided = ({ peer }: Place): number => (place.avoids.includes(peer) ? 1 : 0);
    const demoted = ({ peer }: Place): number => (this.#isDemoted(peer, now) ? 1 : 0);
    const rtt = ({ peer }: Place): number => rttMs(peer) ?? Number.MAX_VALUE;
    return (
      demoted(a) - demoted(b) ||
      avoided(a) - avoided(b) ||
      this.#depth(a) - this.#depth(b) ||
      isElsewhere(a) - isElsewhere(b) ||
      rtt(a) - rtt(b) ||
      (a.peer < b.peer ? -1 : 1)
    );
  }

  #depth(place: Place): number {
    let depth = 0;
    for (let at: Place | undefined = place; at?.parent !== undefined; at = this.#places.get(at.parent)) depth += 1;
    return depth;
  }

  #isDemoted(peer: PeerId, now: Instant): boolean {
    return now < (this.#reputations.get(peer)?.demotedUntil ?? 0);
  }
}
