/** Membership by the newest valid roster: what happens when one arrives, and what it says of each peer. */
import { equalBytes } from '../bytes.js';
import type { CryptoProvider } from '../crypto/interface.js';
import type { UnixMs } from '../env.js';
import { HopfairError, requireArgument } from '../errors.js';
import { LIMITS } from '../limits.js';
import { type Membership, type PeerLabels, UNKNOWN_LABELS } from './membership.js';
import type { PeerId } from './peer-id.js';
import { type Roster, type RosterTrust, type VerifiedRoster, verifyRoster } from './roster.js';

export interface RosterMembershipOptions {
  readonly crypto: CryptoProvider;
  readonly trust: RosterTrust;
  /** Version of the newest roster ever held, kept on disk by the caller: older ones are refused after a restart too. */
  readonly minimumVersion?: number;
}

/** Nobody is admitted before the first roster arrived, or after the last one expired. */
export class RosterMembership implements Membership {
  readonly #crypto: CryptoProvider;
  readonly #trust: RosterTrust;
  #minimumVersion: number;
  #held: VerifiedRoster | undefined;
  #members: ReadonlyMap<PeerId, PeerLabels> = new Map();
  #floorsMs: ReadonlyMap<string, number> = new Map();

  constructor({ crypto, trust, minimumVersion = 0 }: RosterMembershipOptions) {
    const { rootKeys, threshold } = trust;
    requireArgument(rootKeys.length <= LIMITS.maxRootKeys, `at most ${LIMITS.maxRootKeys} root keys`);
    requireArgument(
      rootKeys.every((key, i) => key.length === 32 && !rootKeys.slice(0, i).some(other => equalBytes(key, other))),
      'root keys are 32 bytes and all different',
    );
    requireArgument(
      Number.isInteger(threshold) && threshold >= 1 && threshold <= rootKeys.length,
      'the threshold is between 1 and the number of root keys',
    );
    this.#crypto = crypto;
    this.#trust = trust;
    this.#minimumVersion = minimumVersion;
  }

  /** The roster held; its version is what the caller keeps on disk. */
  get roster(): Roster | undefined {
    return this.#held?.roster;
  }

  /**
   * Takes the bytes of a roster; true when it replaced the one held, false when it is the same. Throws ROSTER_INVALID,
   * and changes nothing, when it does not verify, is expired, is older, or differs from the one held under one version.
   */
  update(bytes: Uint8Array, now: UnixMs): boolean {
    const next = verifyRoster(this.#crypto, bytes, this.#trust);
    const { version, expiry } = next.roster;
    if (now > expiry) throw new HopfairError('ROSTER_INVALID', 'it is expired');
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

  isAdmitted(peer: PeerId, now: UnixMs): boolean {
    return this.#held !== undefined && now <= this.#held.roster.expiry && this.#members.has(peer);
  }

  labels(peer: PeerId): PeerLabels {
    return this.#members.get(peer) ?? UNKNOWN_LABELS;
  }

  edgeFloorMs(a: PeerId, b: PeerId): number {
    return this.#floorsMs.get(edgeKey(a, b)) ?? 0;
  }

  #adopt(next: VerifiedRoster): void {
    const { version, members, revoked, edges } = next.roster;
    const isRevoked = new Set(revoked);
    this.#held = next;
    this.#minimumVersion = version;
    this.#members = new Map(members.filter(({ peer }) => !isRevoked.has(peer)).map(member => [member.peer, member]));
    this.#floorsMs = new Map(edges.map(({ between: [a, b], floorMs }) => [edgeKey(a, b), floorMs]));
  }
}

const edgeKey = (a: PeerId, b: PeerId): string => (a < b ? a + b : b + a);
