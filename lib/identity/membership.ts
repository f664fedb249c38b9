/** Who belongs to the network: one interface, behind it an allow-list, a signed roster (roster.ts), or everyone. */
import type { UnixMs } from '../env.js';
import { requireArgument } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { PeerId } from './peer-id.js';

/** What is known of a peer beforehand. It nominates; it proves nothing about behaviour. */
export interface PeerLabels {
  /** Who runs it. All peers of unknown operators count as one operator. */
  readonly operator: string | undefined;
  readonly region: string | undefined;
  /** Whether others may send their traffic through it. */
  readonly mayRelay: boolean;
}

export interface Membership {
  /** Asked at each handshake and, for open channels, at least once a second: a revocation closes them. */
  isAdmitted(peer: PeerId, now: UnixMs): boolean;
  /** Labels of an admitted peer; those of any other are `UNKNOWN_LABELS`. */
  labels(peer: PeerId): PeerLabels;
  /** The lowest cost in milliseconds that anyone may claim for the edge between two peers, either way; 0 without one. */
  edgeFloorMs(a: PeerId, b: PeerId): number;
  /** The topic, `publisherId/name`, that a name without "/" stands for; undefined when it stands for none. */
  aliasOf(name: string): string | undefined;
}

export const UNKNOWN_LABELS: PeerLabels = { operator: undefined, region: undefined, mayRelay: false };

/** A peer on an allow-list; it may relay unless the entry says otherwise. */
export interface AllowListEntry extends Partial<PeerLabels> {
  readonly peer: PeerId;
}

/** Peers that the local configuration names. Can be changed while it is in use. */
export class AllowList implements Membership {
  readonly #entries = new Map<PeerId, PeerLabels>();

  constructor(entries: Iterable<PeerId | AllowListEntry> = []) {
    for (const entry of entries) this.allow(entry);
  }

  allow(entry: PeerId | AllowListEntry): void {
    const { peer, operator, region, mayRelay = true } = typeof entry === 'string' ? { peer: entry } : entry;
    const isKnown = this.#entries.has(peer);
    requireArgument(isKnown || this.#entries.size < LIMITS.maxRosterPeers, 'the allow-list is full');
    this.#entries.set(peer, { operator, region, mayRelay });
  }

  revoke(peer: PeerId): void {
    this.#entries.delete(peer);
  }

  isAdmitted(peer: PeerId): boolean {
    return this.#entries.has(peer);
  }

  labels(peer: PeerId): PeerLabels {
    return this.#entries.get(peer) ?? UNKNOWN_LABELS;
  }

  edgeFloorMs(): number {
    return 0;
  }

  aliasOf(): undefined {
    return undefined;
  }
}

/** Everyone is a member, of an unknown operator: no promise that needs independent operators can be made then. */
export function openMembership({ mayRelay }: { readonly mayRelay: boolean }): Membership {
  const labels: PeerLabels = { ...UNKNOWN_LABELS, mayRelay };
  return { isAdmitted: () => true, labels: () => labels, edgeFloorMs: () => 0, aliasOf: () => undefined };
}
