/** Ends and relays in one world: the shipping node over simulated connections. */
import { reproducibleCrypto } from '../../../lib/crypto/index.js';
import type { CryptoProvider } from '../../../lib/crypto/interface.js';
import { unixMs } from '../../../lib/env.js';
import { Identity } from '../../../lib/identity/identity.js';
import type { PeerId } from '../../../lib/identity/peer-id.js';
import { createNode, type ForwardVerdict, type Node } from '../../../lib/mesh/index.js';
import {
  fakeCrypto,
  type SeededRng,
  SIMULATED_START_UNIX_MS,
  type SimMachine,
  type SimProcess,
  SimTransportNetwork,
  type SimWorld,
} from '../../../lib/sim/index.js';
import type { Conditions } from './conditions.js';
import { Rosters } from './rosters.js';
import { TrafficCheck, UNORDERED } from './traffic-check.js';

const NETWORK_ID = 'simulation';
const ISSUED_AT = unixMs(SIMULATED_START_UNIX_MS - 60_000);
export const SERVICES: readonly string[] = ['orders', 'news', UNORDERED];

const endName = (index: number): string => `end-${index}`;
const relayName = (index: number): string => `relay-${index}`;
const addressOf = (machine: string): string => `sim://${machine}:1`;

export class Overlay {
  readonly traffic: TrafficCheck = new TrafficCheck();
  readonly ends: readonly SimMachine[];
  readonly relays: readonly SimMachine[];
  readonly connections: SimTransportNetwork;
  /** Relays that drop what they should forward, at present. */
  readonly hostile: Set<string> = new Set();
  readonly #world: SimWorld;
  readonly #conditions: Conditions;
  readonly #crypto: CryptoProvider;
  /** How each message is sent. */
  readonly #modes: SeededRng;
  readonly #identities = new Map<string, Identity>();
  readonly #names = new Map<PeerId, string>();
  readonly #nodes = new Map<string, Node>();
  readonly #rosters: Rosters;
  #forwardedByRevoked = 0;
  #failure: unknown;

  constructor(world: SimWorld, conditions: Conditions) {
    this.#world = world;
    this.#conditions = conditions;
    this.#modes = world.rng.fork('modes');
    this.#crypto = conditions.realCrypto ? reproducibleCrypto() : fakeCrypto();
    this.connections = new SimTransportNetwork(world);
    for (let i = 0; i < conditions.ends; i++) this.#addIdentity(endName(i));
    for (let i = 0; i < conditions.relays; i++) this.#addIdentity(relayName(i));
    const members = [...this.#identities].map(([name, { peer }]) => [name, peer] as const);
    this.#rosters = new Rosters(NETWORK_ID, this.#crypto, new Map(members));
    this.relays = Array.from({ length: conditions.relays }, (_, i) => this.#addRelay(i));
    this.ends = Array.from({ length: conditions.ends }, (_, i) => this.#addEnd(i));
  }

  start(): void {
    for (const machine of this.#world.machines) machine.restart();
  }

  /** Throws what a program failed with, if one did. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** One end sends its next message to another; false when its queue is full. */
  send(from: number, to: number, service: string): boolean {
    const node = this.#nodes.get(endName(from));
    if (node === undefined || !(this.ends[from]?.running ?? false)) return false;
    const [sender, receiver] = [endName(from), endName(to)];
    const bytes = this.traffic.next(sender, receiver, service);
    const mode = {
      class: this.#modes.pick(['critical', 'normal', 'normal', 'bulk'] as const),
      paths: this.#modes.pick([1, 1, 1, 2, 3]),
      ordered: service !== UNORDERED,
    };
    const accepted = node.send(this.#identity(receiver).peer, service, bytes, mode);
    if (accepted) this.traffic.sent(sender, receiver, service);
    return accepted;
  }

  why(from: number, to: number): string {
    return this.#nodes.get(endName(from))?.why(this.#identity(endName(to)).peer) ?? 'no node';
  }

  /** One node is told that this relay is no member any more. */
  revoke(relay: SimMachine, at: SimMachine): void {
    const now = at.process?.env.clock.unix();
    if (now === undefined || !at.running) return;
    this.#world.faults.count('revocation');
    this.#guard(() => this.#rosters.revoke(relay.name, at.name, now));
  }

  /** Nodes that run and have not heard of a revocation. */
  behind(): readonly string[] {
    return this.#rosters.behind(
      [...this.relays, ...this.ends].filter(({ running }) => running).map(({ name }) => name),
    );
  }

  /** Frames that the revoked relay forwarded since this was asked last. */
  takeForwardedByRevoked(): number {
    const taken = this.#forwardedByRevoked;
    this.#forwardedByRevoked = 0;
    return taken;
  }

  #guard(fn: () => void): void {
    try {
      fn();
    } catch (error) {
      this.#failure ??= error;
    }
  }

  #identity(name: string): Identity {
    return this.#identities.get(name) as Identity;
  }

  #addIdentity(name: string): void {
    const rng = this.#world.rng.fork(`identity/${name}`);
    const seeds = { identity: rng.bytes(32), static: rng.bytes(32) };
    const identity = new Identity({ crypto: this.#crypto, seeds, networkId: NETWORK_ID, now: ISSUED_AT });
    this.#identities.set(name, identity);
    this.#names.set(identity.peer, name);
  }

  #addMachine(name: string, program: (process: SimProcess) => Promise<void>): SimMachine {
    const { maxSkewMs } = this.#conditions;
    const skewMs = maxSkewMs === 0 ? 0 : this.#world.rng.between(-maxSkewMs, maxSkewMs);
    const machine = this.#world.addMachine(name, { clock: { skewMs } });
    machine.install(process => {
      program(process).catch(error => {
        this.#failure ??= error;
      });
    });
    return machine;
  }

  #addRelay(index: number): SimMachine {
    const name = relayName(index);
    const onForward = (): ForwardVerdict => {
      if (name === this.#rosters.revoked) this.#forwardedByRevoked += 1;
      if (!this.hostile.has(name)) return 'forward';
      this.#world.faults.count('hostile-relay');
      return 'drop';
    };
    const peers = this.#conditions.trunks.filter(([from]) => from === index).map(([, to]) => relayName(to));
    return this.#addMachine(name, process => this.#join(process, peers, { onForward }));
  }

  #addEnd(index: number): SimMachine {
    const name = endName(index);
    const peers = (this.#conditions.homes[index] ?? []).map(relayName);
    return this.#addMachine(name, async process => {
      await this.#join(process, peers, false);
      const node = this.#nodes.get(name) as Node;
      for (const service of SERVICES) {
        node.serve(service, (from, bytes) => {
          // A node outlives a handler that throws: the failure is kept until the run is looked at.
          this.#guard(() => this.traffic.received(this.#names.get(from) ?? from, name, service, bytes));
        });
      }
      node.onPeer((peer, state) => {
        const other = this.#names.get(peer) ?? peer;
        this.#world.note(`session ${name} ${other} ${state}`);
        if (state === 'down') this.traffic.sessionLost(name, other);
      });
    });
  }

  async #join(
    process: SimProcess,
    peers: readonly string[],
    relay: boolean | { onForward(): ForwardVerdict },
  ): Promise<void> {
    const { name } = process.machine;
    const node = await createNode({
      identity: this.#identity(name),
      networkId: NETWORK_ID,
      transports: [this.connections.transport(process)],
      listen: [addressOf(name)],
      peers: peers.map(peer => ({ peer: this.#identity(peer).peer, address: addressOf(peer) })),
      ...this.#rosters.start(name, process.env.clock.unix()),
      relay,
      sessionLifetimeMs: this.#conditions.sessionLifetimeMs,
      postQuantum: 'off',
      crypto: this.#crypto,
      env: process.env,
    });
    this.#nodes.set(name, node);
  }
}
