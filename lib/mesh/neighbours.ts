/**
 * The channels of this node: it dials the peers it was told to, accepts others, keeps one channel per peer, and comes back
 * with jittered back-off when one is lost (channel.md, "Transport phase").
 */
import {
  type Channel,
  type ChannelHandler,
  HandshakeGate,
  openChannel,
  type Priority,
  type Role,
} from '../channel/index.js';
import type { Cancel, Instant } from '../env.js';
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import type { Connection, Listener, Transport } from '../transport.js';
import type { Edge } from '../wire/index.js';
import type { MeshContext } from './context.js';
import type { PeerAddress } from './types.js';

export interface NeighboursHost {
  onUp(peer: PeerId): void;
  onDown(peer: PeerId, cause: string): void;
  onMessage(from: PeerId, message: Uint8Array, priority: Priority): void;
  onDrain(peer: PeerId): void;
}

interface Neighbour {
  readonly channel: Channel;
  readonly since: Instant;
}

interface Target extends PeerAddress {
  /** Whom the last channel to this address reached. */
  reached: PeerId | undefined;
  failures: number;
  cancel: Cancel | undefined;
  busy: boolean;
}

/** Two channels that come up within this time were dialled at once. */
const SIMULTANEOUS_MS = 2_000;
/** After a channel was lost: everybody who lost it with us comes back within this span, not at once. */
const RECONNECT_SPREAD_MS = 5_000;
const RETRY_MS = 250;
const MAX_RETRY_MS = 30_000;
const HEALTHY_MS = 30_000;
const ADMISSION_CHECK_MS = 1_000;
/** Cost of an edge before its round-trip time is known. */
const UNKNOWN_COST_MS = 1;

export class Neighbours {
  readonly #context: MeshContext;
  readonly #transports: readonly Transport[];
  readonly #host: NeighboursHost;
  readonly #gate: HandshakeGate;
  readonly #channels = new Map<PeerId, Neighbour>();
  readonly #targets: Target[] = [];
  readonly #listeners: Listener[] = [];
  readonly #opening = new Set<Cancel>();
  #cancelCheck: Cancel | undefined;
  #closed = false;

  constructor(context: MeshContext, transports: readonly Transport[], host: NeighboursHost) {
    this.#context = context;
    this.#transports = transports;
    this.#host = host;
    this.#gate = new HandshakeGate(context.env.clock);
    this.#checkAdmissionLater();
  }

  get addresses(): readonly string[] {
    return this.#listeners.map(listener => listener.address);
  }

  get peers(): readonly PeerId[] {
    return [...this.#channels.keys()];
  }

  channel(peer: PeerId): Channel | undefined {
    return this.#channels.get(peer)?.channel;
  }

  /** Half of the round-trip time of each channel. */
  edges(): readonly Edge[] {
    const edges: Edge[] = [];
    for (const [peer, { channel }] of this.#channels) {
      if (edges.length === LIMITS.maxEdgesPerNode) break;
      const { minRttMs } = channel.stats;
      edges.push({ peer, costMs: minRttMs === undefined ? UNKNOWN_COST_MS : minRttMs / 2 });
    }
    return edges;
  }

  // ---------------------------------------------------------------- listening and dialling

  /** Rejects with ADDRESS_INVALID or LISTEN_FAILED. */
  async listen(address: string): Promise<void> {
    const transport = this.#transportFor(address);
    if (transport.listen === undefined) {
      throw new HopfairError('ADDRESS_INVALID', `this platform cannot listen on ${address}`);
    }
    const limits = { maxMessageBytes: LIMITS.maxMessageBytes };
    const listener = await transport.listen(address, limits, connection => this.#open(connection, 'responder'));
    if (this.#closed) await listener.close();
    else this.#listeners.push(listener);
  }

  /** Keeps a channel to this address from now on. Throws ADDRESS_INVALID when no transport takes it. */
  keep(address: PeerAddress): void {
    this.#transportFor(address.address);
    const target: Target = { ...address, reached: undefined, failures: 0, cancel: undefined, busy: false };
    this.#targets.push(target);
    this.#dial(target);
  }

  #transportFor(address: string): Transport {
    const scheme = address.split(':', 1)[0] ?? '';
    const transport = this.#transports.find(candidate => candidate.schemes.includes(scheme));
    if (transport === undefined) throw new HopfairError('ADDRESS_INVALID', `no transport takes "${address}"`);
    return transport;
  }

  #dial(target: Target): void {
    target.cancel = undefined;
    const known = target.peer ?? target.reached;
    if (this.#closed || target.busy || (known !== undefined && this.#channels.has(known))) return;
    target.busy = true;
    const stop = this.#transportFor(target.address).dial(
      target.address,
      { maxMessageBytes: LIMITS.maxMessageBytes },
      {
        onConnection: connection => {
          this.#opening.delete(stop);
          this.#open(connection, 'initiator', target);
        },
        onError: error => {
          this.#opening.delete(stop);
          this.#dialFailed(target, error);
        },
      },
    );
    this.#opening.add(stop);
  }

  #dialFailed(target: Target, error: HopfairError): void {
    target.busy = false;
    target.failures += 1;
    this.#context.env.log.debug('dial-failed', { address: target.address, code: error.code, cause: error.message });
    this.#redialLater(target, Math.min(RETRY_MS * 2 ** (target.failures - 1), MAX_RETRY_MS));
  }

  /** Full jitter: anywhere below the bound. */
  #redialLater(target: Target, boundMs: number): void {
    if (this.#closed || target.cancel !== undefined) return;
    const { clock, rng } = this.#context.env;
    target.cancel = clock.schedule(boundMs * rng.float(), () => this.#dial(target));
  }

  #open(connection: Connection, role: Role, target?: Target): void {
    if (this.#closed) {
      connection.destroy();
      return;
    }
    const { env, membership, handshakePolicy } = this.#context;
    const giveUp = openChannel(
      connection,
      {
        ...handshakePolicy(),
        env,
        role,
        admit: peer => membership.isAdmitted(peer, env.clock.unix()),
        ...(role === 'responder' && { gate: this.#gate }),
        ...(target?.peer !== undefined && { expectedPeer: target.peer }),
      },
      {
        onChannel: channel => {
          this.#opening.delete(giveUp);
          if (target !== undefined) {
            target.busy = false;
            target.reached = channel.peer;
          }
          this.#onChannel(channel);
        },
        onFailed: error => {
          this.#opening.delete(giveUp);
          env.log.info('channel-failed', { address: connection.remoteAddress, code: error.code });
          if (target !== undefined) this.#dialFailed(target, error);
        },
      },
    );
    this.#opening.add(giveUp);
  }

  // ---------------------------------------------------------------- one channel per peer

  #onChannel(channel: Channel): void {
    const { peer } = channel;
    const present = this.#channels.get(peer);
    if (this.#closed || (present !== undefined && !this.#replaces(channel, present))) {
      channel.attach(ignoring);
      channel.close();
      return;
    }
    const neighbour: Neighbour = { channel, since: this.#context.env.clock.now() };
    this.#channels.set(peer, neighbour);
    const handler: ChannelHandler = {
      onMessage: (message, priority) => {
        if (this.#channels.get(peer) === neighbour) this.#host.onMessage(peer, message, priority);
      },
      onDrain: () => this.#host.onDrain(peer),
      onClose: cause => this.#onClosed(peer, neighbour, cause),
    };
    if (present !== undefined) {
      this.#host.onDown(peer, 'replaced by a newer channel');
      present.channel.close();
    }
    this.#host.onUp(peer);
    channel.attach(handler);
  }

  /**
   * Of two channels dialled at once, both ends keep the one that the smaller PeerId dialled. Otherwise the newer one
   * stands: whoever dials has lost the older one.
   */
  #replaces(channel: Channel, present: Neighbour): boolean {
    const simultaneous = this.#context.env.clock.now() - present.since < SIMULTANEOUS_MS;
    if (!simultaneous || channel.role === present.channel.role) return true;
    const smallerIsSelf = this.#context.self < channel.peer;
    return (channel.role === 'initiator') === smallerIsSelf;
  }

  #onClosed(peer: PeerId, neighbour: Neighbour, cause: HopfairError | undefined): void {
    if (this.#channels.get(peer) !== neighbour) return;
    this.#channels.delete(peer);
    this.#host.onDown(peer, cause?.code ?? 'closed');
    const { clock } = this.#context.env;
    for (const target of this.#targets) {
      if ((target.peer ?? target.reached) !== peer) continue;
      if (clock.now() - neighbour.since > HEALTHY_MS) target.failures = 0;
      this.#redialLater(target, RECONNECT_SPREAD_MS);
    }
  }

  /** A revocation closes channels within a second; a certificate is renewed while half of its life is left. */
  #checkAdmissionLater(): void {
    const { env, membership, identity } = this.#context;
    this.#cancelCheck = env.clock.schedule(ADMISSION_CHECK_MS, () => {
      const unix = env.clock.unix();
      if (unix >= identity.renewalDue) identity.renew(unix);
      for (const [peer, { channel }] of this.#channels) {
        if (!membership.isAdmitted(peer, unix)) channel.revoke();
      }
      this.#checkAdmissionLater();
    });
  }

  /** Ends everything; resolves when the listeners are closed. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelCheck?.();
    for (const target of this.#targets) target.cancel?.();
    for (const cancel of this.#opening) cancel();
    this.#opening.clear();
    for (const { channel } of [...this.#channels.values()]) channel.close();
    await Promise.all(this.#listeners.map(listener => listener.close()));
  }
}

const ignoring: ChannelHandler = {
  onMessage: () => undefined,
  onDrain: () => undefined,
  onClose: () => undefined,
};
