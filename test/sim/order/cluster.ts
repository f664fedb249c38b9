/** A committee, its clients and an observer in one world, all of them the shipping programs. */
import { joinBroadcast, type Orders } from '../../../lib/broadcast/index.js';
import { fromUtf8 } from '../../../lib/bytes.js';
import { reproducibleCrypto } from '../../../lib/crypto/index.js';
import type { CryptoProvider } from '../../../lib/crypto/interface.js';
import { unixMs } from '../../../lib/env.js';
import { HopfairError } from '../../../lib/errors.js';
import { Identity } from '../../../lib/identity/identity.js';
import type { PeerId } from '../../../lib/identity/peer-id.js';
import { defaultParameters, PinnedCommittee } from '../../../lib/order/committee.js';
import type { Committee } from '../../../lib/order/types.js';
import { Voters } from '../../../lib/order/voters.js';
import {
  fakeCrypto,
  SIMULATED_START_UNIX_MS,
  type SimMachine,
  SimMessagingNetwork,
  type SimProcess,
  type SimWorld,
  Violation,
} from '../../../lib/sim/index.js';
import type { Conditions } from './conditions.js';
import { LogCheck, type LogReader } from './log-check.js';
import { LOG_NAME } from './nemesis.js';
import { WireCheck } from './wire-check.js';

const NETWORK_ID = 'simulation';
/** Certificates begin before the clock that is slowest. */
const ISSUED_AT = unixMs(SIMULATED_START_UNIX_MS - 60_000);

/** An order as its client sees it. */
export interface Submitted {
  readonly name: string;
  readonly payload: Uint8Array;
  readonly ttlMs: number;
  outcome: 'pending' | 'opened' | 'expired';
}

interface Client {
  readonly identity: Identity;
  readonly orders: Orders;
  /** How many orders it submitted in each stream. */
  readonly ordinals: Map<string, number>;
}

export class Cluster {
  readonly committee: PinnedCommittee;
  readonly members: readonly SimMachine[];
  readonly log: LogCheck = new LogCheck();
  readonly wire: WireCheck;
  readonly orders: Submitted[] = [];
  /** Who reads the log at present, by machine. */
  readonly readers: Map<string, LogReader> = new Map();
  /** Members whose log is damaged beyond repair: an operator must decide, and until then they are off. */
  readonly lost: Set<string> = new Set();
  readonly #world: SimWorld;
  readonly #crypto: CryptoProvider;
  readonly #messaging: SimMessagingNetwork;
  readonly #clients: Client[] = [];
  readonly #conditions: Conditions;
  #failure: unknown;

  constructor(world: SimWorld, conditions: Conditions) {
    this.#world = world;
    this.#conditions = conditions;
    this.#crypto = conditions.realCrypto ? reproducibleCrypto() : fakeCrypto();
    const identities = Array.from({ length: conditions.n }, (_, i) => this.#identity(`member-${i}`));
    const descriptor: Committee = {
      networkId: NETWORK_ID,
      epoch: 0,
      members: identities.map(({ peer }) => ({ peer })),
      parameters: defaultParameters(conditions.delayBoundMs, { mode: conditions.mode, sizeClasses: [64, 256] }),
    };
    this.committee = new PinnedCommittee(this.#crypto, descriptor);
    this.wire = new WireCheck(new Voters(this.committee, this.#crypto));
    const isMember = (peer: PeerId): boolean => this.committee.indexOf(peer) !== undefined;
    this.#messaging = new SimMessagingNetwork(world, {
      connects: (a, b) => isMember(a) || isMember(b),
      onSent: (from, to, bytes) => {
        if (isMember(from) && isMember(to)) this.wire.sent(bytes);
      },
    });
    this.members = identities.map((identity, i) => this.#addMember(identity, i));
    this.#addObserver();
    for (let i = 0; i < conditions.clients; i++) this.#addClient(i);
  }

  /** Throws what a program failed with, if one did. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  start(): void {
    for (const machine of this.#world.machines) if (!machine.running) this.restart(machine);
  }

  /** Starts a machine for the first time or again. */
  restart(machine: SimMachine): void {
    if (this.lost.has(machine.name)) return;
    machine.restart();
  }

  /** A client submits its next order of a stream. */
  submit(client: number, stream: string, ttlMs: number): void {
    const { identity, orders, ordinals } = this.#clients[client] as Client;
    const ordinal = (ordinals.get(stream) ?? 0) + 1;
    ordinals.set(stream, ordinal);
    const name = `client-${client}/${stream}/${ordinal}`;
    const payload = fromUtf8(name);
    this.log.submitted({ sender: identity.peer, stream, ordinal }, payload);
    const submitted: Submitted = { name, payload, ttlMs, outcome: 'pending' };
    this.orders.push(submitted);
    void this.#follow(submitted, orders.submit(payload, { key: stream, ttlMs }));
  }

  async #follow(submitted: Submitted, receipt: ReturnType<Orders['submit']>): Promise<void> {
    try {
      await (await receipt).opened;
      submitted.outcome = 'opened';
    } catch (error) {
      if (error instanceof HopfairError && error.code === 'ORDER_EXPIRED') submitted.outcome = 'expired';
      else this.#failure ??= error;
    }
  }

  #identity(name: string): Identity {
    const rng = this.#world.rng.fork(`identity/${name}`);
    const seeds = { identity: rng.bytes(32), static: rng.bytes(32) };
    return new Identity({ crypto: this.#crypto, seeds, networkId: NETWORK_ID, now: ISSUED_AT });
  }

  #clockErrors(): { skewMs: number; drift: number } {
    const { rng } = this.#world;
    const { maxSkewMs } = this.#conditions;
    if (maxSkewMs === 0) return { skewMs: 0, drift: 0 };
    return { skewMs: rng.between(-maxSkewMs, maxSkewMs), drift: rng.between(-1e-4, 1e-4) };
  }

  #addMember(identity: Identity, index: number): SimMachine {
    // Only weak disks tear: whoever finds a torn log abstains for the rest of the epoch, and f members at most may.
    const disk = this.#conditions.weakDisks.get(index) ?? { tornWrite: 0, fsyncMs: this.#conditions.fsyncMs };
    const machine = this.#world.addMachine(`member-${index}`, { clock: this.#clockErrors(), disk });
    machine.install(process => {
      const orders = this.#joinAsMember(process, identity);
      if (orders === undefined) return;
      this.#watch(orders, index);
      void this.#read(process, orders);
    });
    return machine;
  }

  /** Nobody here is Byzantine, and a member whose disk keeps its word never finds that it promised what it forgot. */
  #watch(orders: Orders, index: number): void {
    const { weakDisks } = this.#conditions;
    orders.on('notice', notice => {
      if (notice.kind !== 'abstaining' || weakDisks.has(index)) return;
      this.#failure ??= new Violation('durability', `member ${index} on a sound disk abstains: ${notice.reason}`);
    });
    orders.on('evidence', () => {
      this.#failure ??= new Violation('evidence', `member ${index} has evidence against an honest peer`);
    });
  }

  #joinAsMember(process: SimProcess, identity: Identity): Orders | undefined {
    const { env, disk, machine } = process;
    const messaging = this.#messaging.join(process, identity.peer);
    try {
      const log = disk.openLog(LOG_NAME);
      const committee = this.committee.descriptor;
      return joinBroadcast(messaging, { role: 'member', committee, identity, crypto: this.#crypto, env, log });
    } catch (error) {
      if (!(error instanceof HopfairError) || error.code !== 'STORAGE_CORRUPT') throw error;
      this.lost.add(machine.name);
      this.#world.scheduler.defer(() => machine.stop());
      return undefined;
    }
  }

  #addObserver(): void {
    const identity = this.#identity('observer');
    this.#world.addMachine('observer', { clock: this.#clockErrors() }).install(process => {
      const { env } = process;
      const messaging = this.#messaging.join(process, identity.peer);
      const committee = this.committee.descriptor;
      void this.#read(
        process,
        joinBroadcast(messaging, { role: 'observer', committee, identity, crypto: this.#crypto, env }),
      );
    });
  }

  #addClient(index: number): void {
    const identity = this.#identity(`client-${index}`);
    this.#world.addMachine(`client-${index}`, { clock: this.#clockErrors() }).install(process => {
      const { env } = process;
      const messaging = this.#messaging.join(process, identity.peer);
      const committee = this.committee.descriptor;
      const orders = joinBroadcast(messaging, { committee, identity, crypto: this.#crypto, env });
      this.#clients[index] = { identity, orders, ordinals: new Map() };
      void this.#read(process, orders);
    });
  }

  async #read(process: SimProcess, orders: Orders): Promise<void> {
    const { name } = process.machine;
    const reader = this.log.reader(`${name} (start ${process.machine.starts})`);
    this.readers.set(name, reader);
    try {
      for await (const entry of orders.entries()) reader.hand(entry);
    } catch (error) {
      // A member whose disk fails stops: its operator mends the disk and starts it again.
      if (error instanceof HopfairError && error.code === 'STORAGE_FAILED') process.machine.stop();
      else this.#failure ??= error;
    }
  }
}
