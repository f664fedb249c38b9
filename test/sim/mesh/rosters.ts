/** The rosters of one overlay: each node has a membership and a store of its own; one relay may be revoked. */
import type { CryptoProvider, Signer } from '../../../lib/crypto/interface.js';
import { type UnixMs, unixMs } from '../../../lib/env.js';
import {
  assembleRoster,
  encodeRosterBody,
  type PeerId,
  RosterMembership,
  signRosterBody,
} from '../../../lib/identity/index.js';
import { SIMULATED_START_UNIX_MS } from '../../../lib/sim/index.js';
import { memoryStore, type NodeStore } from '../../../lib/storage/index.js';

const EXPIRY = unixMs(SIMULATED_START_UNIX_MS + 10 * 86_400_000);
const THRESHOLD = 2;
const [BEFORE, AFTER] = [1, 2] as const;

export class Rosters {
  readonly #networkId: string;
  readonly #crypto: CryptoProvider;
  readonly #roots: readonly Signer[];
  readonly #members: ReadonlyMap<string, PeerId>;
  readonly #memberships = new Map<string, RosterMembership>();
  readonly #records = new Map<string, Map<string, Uint8Array>>();
  /** The relay that is no member any more. */
  revoked: string | undefined;

  constructor(networkId: string, crypto: CryptoProvider, members: ReadonlyMap<string, PeerId>) {
    this.#networkId = networkId;
    this.#crypto = crypto;
    this.#members = members;
    this.#roots = [201, 202, 203].map(n => crypto.signer(new Uint8Array(32).fill(n)));
  }

  /** What a node is started with: the roster of its configuration, which what it stored may overtake. */
  start(name: string, now: UnixMs): { readonly membership: RosterMembership; readonly store: NodeStore } {
    const rootKeys = this.#roots.map(({ publicKey }) => publicKey);
    const trust = { networkId: this.#networkId, rootKeys, threshold: THRESHOLD };
    const membership = new RosterMembership({ crypto: this.#crypto, trust });
    membership.update(this.#roster(BEFORE), now);
    this.#memberships.set(name, membership);
    const records = this.#records.get(name) ?? new Map<string, Uint8Array>();
    this.#records.set(name, records);
    return { membership, store: memoryStore(records) };
  }

  /** One node is given the roster without this relay; the others have to hear of it. */
  revoke(relay: string, at: string, now: UnixMs): void {
    this.revoked = relay;
    this.#memberships.get(at)?.update(this.#roster(AFTER), now);
  }

  /** Who of these has not heard of the revocation. */
  behind(names: readonly string[]): readonly string[] {
    if (this.revoked === undefined) return [];
    const isBehind = (name: string): boolean => this.#memberships.get(name)?.roster?.version !== AFTER;
    return names.filter(name => name !== this.revoked && isBehind(name));
  }

  #roster(version: number): Uint8Array {
    const members = [...this.#members].map(([name, peer]) => {
      const isRelay = name.startsWith('relay');
      return { peer, operator: isRelay ? name : undefined, region: undefined, mayRelay: isRelay };
    });
    const revoked = version === AFTER && this.revoked !== undefined ? [this.#members.get(this.revoked) as PeerId] : [];
    const lists = { members, revoked, edges: [], aliases: [], rotations: [] };
    const body = encodeRosterBody({ networkId: this.#networkId, version, expiry: EXPIRY, ...lists });
    return assembleRoster(
      body,
      this.#roots.slice(1).map(signer => signRosterBody(signer, body)),
    );
  }
}
