/** A mesh whose members are named by rosters: each node has a membership and a store of its own. */
import type { CryptoProvider } from '../../lib/crypto/index.js';
import { unixMs } from '../../lib/env.js';
import {
  assembleRoster,
  assembleRotation,
  encodeRosterBody,
  encodeRotationBody,
  type PeerId,
  type RootKeys,
  type Roster,
  RosterMembership,
  signRosterBody,
  signRotationBody,
} from '../../lib/identity/index.js';
import type { RosterEvent } from '../../lib/mesh/index.js';
import { fakeCrypto, SIMULATED_START_UNIX_MS } from '../../lib/sim/index.js';
import { memoryStore } from '../../lib/storage/index.js';
import { type MeshHost, MeshWorld, type MeshWorldOptions } from './mesh-world.js';

const crypto: CryptoProvider = fakeCrypto();
const HOUR_MS = 3_600_000;
const signerOf = (n: number) => crypto.signer(new Uint8Array(32).fill(n));

/** Generations of root keys: two of three sign. */
export const ROOTS: readonly (readonly number[])[] = [
  [101, 102, 103],
  [111, 112, 113],
  [121, 122, 123],
];
export const rootKeys = (generation: number): RootKeys => ({
  rootKeys: (ROOTS[generation] ?? []).map(n => signerOf(n).publicKey),
  threshold: 2,
});

/** From one generation of root keys to the next. */
export function rotation(from: number, fromVersion: number): Uint8Array {
  const body = encodeRotationBody({ networkId: 'test', fromVersion, ...rootKeys(from + 1) });
  return assembleRotation(
    body,
    (ROOTS[from] ?? []).map(n => signRotationBody(signerOf(n), body)),
  );
}

export function signRoster(roster: Roster, generation = 0): Uint8Array {
  const body = encodeRosterBody(roster);
  const signers = (ROOTS[generation] ?? []).slice(0, 2);
  return assembleRoster(
    body,
    signers.map(n => signRosterBody(signerOf(n), body)),
  );
}

export class RosterWorld extends MeshWorld {
  readonly memberships: Map<string, RosterMembership> = new Map();
  readonly records: Map<string, Map<string, Uint8Array>> = new Map();
  readonly events: Map<string, RosterEvent[]> = new Map();

  constructor(options: Omit<MeshWorldOptions, 'nodeOf'> = {}) {
    super({
      ...options,
      nodeOf: name => {
        const membership = new RosterMembership({ crypto, trust: { networkId: 'test', ...rootKeys(0) } });
        const records = this.records.get(name) ?? new Map<string, Uint8Array>();
        this.memberships.set(name, membership);
        this.records.set(name, records);
        return { membership, store: memoryStore(records) };
      },
    });
  }

  override add(name: string, dials: readonly string[] = [], options: { relay?: boolean } = {}): MeshHost {
    const host = super.add(name, dials, options);
    host.onStart = node => this.#listen(name, node);
    this.#listen(name, host.node);
    return host;
  }

  #listen(name: string, node: MeshHost['node']): void {
    const events = this.events.get(name) ?? [];
    this.events.set(name, events);
    node.on('roster', event => events.push(event));
  }

  /** All of these are members and may relay. */
  roster(version: number, members: readonly string[], change: Partial<Roster> = {}): Roster {
    return {
      networkId: 'test',
      version,
      expiry: unixMs(SIMULATED_START_UNIX_MS + 10 * HOUR_MS),
      members: members.map(name => {
        return { peer: this.host(name).peer, operator: `operator of ${name}`, region: undefined, mayRelay: true };
      }),
      revoked: [],
      edges: [],
      aliases: [],
      rotations: [],
      ...change,
    };
  }

  /** Gives a roster to one node, as its operator does. */
  give(name: string, bytes: Uint8Array): boolean {
    return this.membershipOf(name).update(bytes, this.unixMs(name));
  }

  membershipOf(name: string): RosterMembership {
    const membership = this.memberships.get(name);
    if (membership === undefined) throw new Error(`no node ${name}`);
    return membership;
  }

  versionOf(name: string): number | undefined {
    return this.membershipOf(name).roster?.version;
  }

  peersOf(...names: readonly string[]): PeerId[] {
    return names.map(name => this.host(name).peer).sort();
  }
}
