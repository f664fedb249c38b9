/**
 * `Messaging` over the virtual network: what the mesh gives to the layers above, without the mesh. Sessions come up
 * and go down with processes and partitions; within one, messages are reliable and in order per service.
 */
import type { Cancel } from '../env.js';
import { requireArgument } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import type { Messaging, SendOptions, Service } from '../mesh/messaging.js';
import type { SimProcess } from './machine.js';
import { SeededRng } from './rng.js';
import { SimSession } from './session.js';
import type { SimWorld } from './world.js';

export interface SimMessagingOptions {
  /** First retransmission time-out; it doubles up to eight times this. */
  readonly retransmitMs?: number;
  /** A session whose link is blocked, or whose other end died, ends after this long. */
  readonly lossDetectionMs?: number;
  /** Who opens sessions with whom; everyone by default. */
  readonly connects?: (a: PeerId, b: PeerId) => boolean;
  /** Sees every message as it leaves its sender: what somebody who reads all traffic would know. */
  readonly onSent?: (from: PeerId, to: PeerId, bytes: Uint8Array) => void;
}

interface Unsent {
  readonly service: Service;
  readonly bytes: Uint8Array;
  readonly expiresAtMs: number | undefined;
}

/** All sessions of a world. One `Messaging` per process, from `join`. */
export class SimMessagingNetwork {
  readonly world: SimWorld;
  readonly retransmitMs: number;
  readonly #lossDetectionMs: number;
  readonly #connects: (a: PeerId, b: PeerId) => boolean;
  readonly onSent: (from: PeerId, to: PeerId, bytes: Uint8Array) => void;
  readonly #endpoints = new Map<PeerId, Endpoint>();
  readonly #sessions = new Set<SimSession>();
  #opened = 0;

  constructor(world: SimWorld, options: SimMessagingOptions = {}) {
    this.world = world;
    this.retransmitMs = options.retransmitMs ?? 20;
    this.#lossDetectionMs = options.lossDetectionMs ?? 1_000;
    this.#connects = options.connects ?? (() => true);
    this.onSent = options.onSent ?? (() => undefined);
    world.network.onChange(() => this.#review());
  }

  /** Connects a process that just started; its sessions end when it dies. */
  join(process: SimProcess, self: PeerId): Messaging {
    requireArgument(!this.#endpoints.has(self), `${self} has joined`);
    const endpoint = new Endpoint(this, process, self);
    this.#endpoints.set(self, endpoint);
    process.onDeath(() => this.#leave(endpoint));
    for (const other of this.#endpoints.values()) this.#connect(endpoint, other);
    return endpoint;
  }

  #leave(endpoint: Endpoint): void {
    this.#endpoints.delete(endpoint.self);
    for (const session of endpoint.sessions.values()) {
      session.open = false;
      // The other end notices later, or when the peer's next process opens a new session.
      this.world.scheduler.after(this.#lossDetectionMs, () => this.#end(session));
    }
  }

  #blocked(a: Endpoint, b: Endpoint): boolean {
    const { network } = this.world;
    return network.blocked(a.name, b.name) || network.blocked(b.name, a.name);
  }

  /** A handshake of three packets, tried until it succeeds or an end is gone. */
  #connect(a: Endpoint, b: Endpoint): void {
    if (a === b || !this.#connects(a.self, b.self)) return;
    const { network, scheduler } = this.world;
    const attempt = (): void => {
      if (!a.process.alive || !b.process.alive) return;
      const legs = [network.fate(a.name, b.name), network.fate(b.name, a.name), network.fate(a.name, b.name)];
      const tookMs = legs.reduce<number>((sum, leg) => sum + (leg ?? Number.NaN), 0);
      if (Number.isNaN(tookMs)) scheduler.after(8 * this.retransmitMs, attempt);
      else scheduler.after(tookMs, () => this.#open(a, b));
    };
    attempt();
  }

  #open(a: Endpoint, b: Endpoint): void {
    if (!a.process.alive || !b.process.alive) return;
    for (const previous of [a.sessions.get(b.self), b.sessions.get(a.self)]) if (previous) this.#end(previous);
    const session = new SimSession(this, a, b, this.#opened++);
    this.#sessions.add(session);
    this.world.note(`session ${a.name} ${b.name}`, session.id);
    a.up(session);
    b.up(session);
    this.#review();
  }

  #end(session: SimSession): void {
    session.open = false;
    if (!this.#sessions.delete(session)) return;
    for (const end of session.ends) end.down(session);
  }

  /** Looks for sessions that a partition stops, and ends those that stay stopped. */
  #review(): void {
    for (const session of this.#sessions) {
      if (!session.open) continue;
      const [a, b] = session.ends;
      if (!this.#blocked(a, b)) session.blockedSinceMs = undefined;
      else if (session.blockedSinceMs === undefined) {
        const sinceMs = this.world.scheduler.nowMs;
        session.blockedSinceMs = sinceMs;
        this.world.scheduler.after(this.#lossDetectionMs, () => {
          if (session.blockedSinceMs !== sinceMs || !session.open) return;
          this.#end(session);
          this.#connect(a, b);
        });
      }
    }
  }
}

/** The messaging of one process. */
export class Endpoint implements Messaging {
  readonly self: PeerId;
  readonly process: SimProcess;
  readonly sessions: Map<PeerId, SimSession> = new Map();
  readonly #network: SimMessagingNetwork;
  readonly #services = new Map<Service, (from: PeerId, bytes: Uint8Array) => void>();
  readonly #peerWatchers = new Set<(peer: PeerId, state: 'up' | 'down') => void>();
  /** What waits for a session, per peer. */
  readonly #unsent = new Map<PeerId, Unsent[]>();

  constructor(network: SimMessagingNetwork, process: SimProcess, self: PeerId) {
    this.#network = network;
    this.process = process;
    this.self = self;
  }

  get name(): string {
    return this.process.machine.name;
  }

  send(to: PeerId, service: Service, bytes: Uint8Array, options: SendOptions = {}): boolean {
    requireArgument(to !== this.self, 'a peer does not send to itself');
    if (!this.process.alive) return false;
    const { nowMs } = this.#network.world.scheduler;
    const expiresAtMs = options.ttlMs === undefined ? undefined : nowMs + options.ttlMs;
    const session = this.sessions.get(to);
    if (session !== undefined) return session.send(this, service, bytes, expiresAtMs);
    const unsent = this.#unsent.get(to) ?? [];
    const queuedBytes = unsent.reduce((sum, message) => sum + message.bytes.length, bytes.length);
    if (queuedBytes > LIMITS.maxSessionQueueBytes) return false;
    this.#unsent.set(to, [...unsent, { service, bytes, expiresAtMs }]);
    return true;
  }

  serve(service: Service, handler: (from: PeerId, bytes: Uint8Array) => void): Cancel {
    requireArgument(!this.#services.has(service), `${service} is served`);
    this.#services.set(service, handler);
    return () => this.#services.delete(service);
  }

  onPeer(handler: (peer: PeerId, state: 'up' | 'down') => void): Cancel {
    this.#peerWatchers.add(handler);
    return () => this.#peerWatchers.delete(handler);
  }

  exportSecret(peer: PeerId, label: string, length: number): Uint8Array | undefined {
    const session = this.sessions.get(peer);
    if (session === undefined) return undefined;
    return new SeededRng(`${this.#network.world.seed}/session/${session.id}/${label}`).bytes(length);
  }

  /** A message of a session reached this process. */
  deliver(from: PeerId, service: Service, bytes: Uint8Array): void {
    this.#services.get(service)?.(from, bytes);
  }

  up(session: SimSession): void {
    const peer = session.otherEnd(this).self;
    this.process.enter(() => {
      if (!session.open) return;
      this.sessions.set(peer, session);
      this.#tell(peer, 'up');
      for (const { service, bytes, expiresAtMs } of this.#unsent.get(peer) ?? []) {
        session.send(this, service, bytes, expiresAtMs);
      }
      this.#unsent.delete(peer);
    });
  }

  down(session: SimSession): void {
    const peer = session.otherEnd(this).self;
    this.process.enter(() => {
      if (this.sessions.get(peer) !== session) return;
      this.sessions.delete(peer);
      this.#tell(peer, 'down');
    });
  }

  #tell(peer: PeerId, state: 'up' | 'down'): void {
    for (const watcher of [...this.#peerWatchers]) watcher(peer, state);
  }
}
