/** Membership by the newest valid roster: what happens when one arrives, and what it says of each peer. */
import { equalBytes } from '../bytes.js';
import type { CryptoProvider } from '../crypto/interface.js';
import type { Cancel, UnixMs } from '../env.js';
import { HopfairError } from '../errors.js';
import { type Membership, type PeerLabels, UNKNOWN_LABELS } from './membership.js';
import type { PeerId } from './peer-id.js';
import { isSame, requireRootKeys } from './root-keys.js';
import { type Roster, type RosterTrust, type VerifiedRoster, verifyRoster } from './roster.js';

export interface RosterMembershipOptions {
  readonly crypto: CryptoProvider;
  /** The root keys that this peer was configured with: those of today, or any earlier ones that rotations lead from. */
  readonly trust: RosterTrust;
  /** Older versions are refused. A node with a `store` keeps the newest roster there, and needs no such number. */
  readonly minimumVersion?: number;
}

/** What a new roster changed. */
export interface RosterChange {
  /** Undefined when there was none. */
  readonly oldVersion: number | undefined;
  readonly version: number;
  /** Peers on this roster, not revoked, that were not on the one before. */
  readonly added: readonly PeerId[];
  /** Peers of the one before that are revoked, or not named any more. */
  readonly removed: readonly PeerId[];
  /** Other root keys sign from now on. */
  readonly rootKeysChanged: boolean;
}

/**
 * Nobody is admitted before the first roster arrived, or after the last one expired. Can be changed while it is in use.
 *
 * @example
 * const membership = new RosterMembership({ crypto: defaultCrypto(), trust: { networkId, rootKeys, threshold: 2 } });
 * membership.update(await readFile('roster-7.hfr'), unixMs(Date.now()));
 * const node = await createNode({ membership, store, … }); // newer rosters come from its neighbours
 */
export class RosterMembership implements Membership {
  readonly #crypto: CryptoProvider;
  readonly #listeners = new Set<(change: RosterChange) => void>();
  #trust: RosterTrust;
  #minimumVersion: number;
  #held: VerifiedRoster | undefined;
  #members: ReadonlyMap<PeerId, PeerLabels> = new Map();
  #revoked: ReadonlySet<PeerId> = new Set();
  #floorsMs: ReadonlyMap<string, number> = new Map();
  #aliases: ReadonlyMap<string, string> = new Map();

  constructor({ crypto, trust, minimumVersion = 0 }: RosterMembershipOptions) {
    requireRootKeys(trust);
    this.#crypto = crypto;
    this.#trust = trust;
    this.#minimumVersion = minimumVersion;
  }

  /** The roster held, also when it is expired. */
  get roster(): Roster | undefined {
    return this.#held?.roster;
  }

  /** The same as it is distributed, and its signed body. Shared: do not change them. */
  get document(): { readonly bytes: Uint8Array; readonly body: Uint8Array } | undefined {
    return this.#held;
  }

  /** Called after each change, in the turn of the `update` that made it. Returns how to stop. */
  onChange(listener: (change: RosterChange) => void): Cancel {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Takes the bytes of a roster; true when it replaced the one held, false when it is the same. Throws ROSTER_INVALID,
   * and changes nothing, when it does not verify, is expired, is older, or differs from the one held under one version.
   */
  update(bytes: Uint8Array, now: UnixMs): boolean {
    const next = verifyRoster(this.#crypto, bytes, this.#trust);
    if (now > next.roster.expiry) throw new HopfairError('ROSTER_INVALID', 'it is expired');
    return this.#offer(next);
  }

  /**
   * Takes back what was held before a restart: as `update`, but an expired one too. It admits nobody, and yet no older one
   * is taken after it; an older one than is held already changes nothing.
   */
  restore(bytes: Uint8Array): boolean {
    const kept = verifyRoster(this.#crypto, bytes, this.#trust);
    if (this.#held !== undefined && kept.roster.version < this.#held.roster.version) return false;
    return this.#offer(kept);
  }

  isAdmitted(peer: PeerId, now: UnixMs): boolean {
    return this.#isValid(now) && this.#members.has(peer);
  }

  labels(peer: PeerId): PeerLabels {
    return this.#members.get(peer) ?? UNKNOWN_LABELS;
  }

  edgeFloorMs(a: PeerId, b: PeerId): number {
    return this.#floorsMs.get(edgeKey(a, b)) ?? 0;
  }

  aliasOf(name: string): string | undefined {
    return this.#aliases.get(name);
  }

  /**
   * Whether a peer that is not admitted may hand over a newer roster, and nothing else (overlay.md point 1): one that
   * this node was told to dial, or, after expiry, a member of the expired roster. Never one that is revoked.
   */
  mayBringRoster(peer: PeerId, isDialled: boolean, now: UnixMs): boolean {
    if (this.#revoked.has(peer)) return false;
    return isDialled || (!this.#isValid(now) && this.#members.has(peer));
  }

  #isValid(now: UnixMs): boolean {
    return this.#held !== undefined && now <= this.#held.roster.expiry;
  }

  #offer(next: VerifiedRoster): boolean {
    const { version } = next.roster;
    if (version < this.#minimumVersion) {
      throw new HopfairError('ROSTER_INVALID', `version ${version} is older than ${this.#minimumVersion}`);
    }
    if (version === this.#held?.roster.version) {
      if (equalBytes(next.body, this.#held.body)) return false;
      throw new HopfairError('ROSTER_INVALID', `there are two rosters of version ${version}`);
    }
    this.#adopt(next);
    return true;
  }

  #adopt(next: VerifiedRoster): void {
    const { version, members, revoked, edges, aliases } = next.roster;
    const [before, oldVersion, oldTrust] = [this.#members, this.#held?.roster.version, this.#trust];
    this.#held = next;
    this.#trust = { networkId: oldTrust.networkId, ...next.rootKeys };
    this.#minimumVersion = version;
    this.#revoked = new Set(revoked);
    const isMember = ({ peer }: { readonly peer: PeerId }): boolean => !this.#revoked.has(peer);
    this.#members = new Map(members.filter(isMember).map(member => [member.peer, member]));
    this.#floorsMs = new Map(edges.map(({ between: [a, b], floorMs }) => [edgeKey(a, b), floorMs]));
    const isPublished = aliases.filter(({ publisher }) => this.#members.has(publisher));
    this.#aliases = new Map(isPublished.map(({ alias, publisher, name }) => [alias, `${publisher}/${name}`]));
    const change: RosterChange = {
      oldVersion,
      version,
      added: [...this.#members.keys()].filter(peer => !before.has(peer)),
      removed: [...before.keys()].filter(peer => !this.#members.has(peer)),
      rootKeysChanged: !isSame(oldTrust, this.#trust),
    };
    for (const listener of [...this.#listeners]) listener(change);
  }
}

const edgeKey = (a: PeerId, b: PeerId): string => (a < b ? a + b : b + a);
