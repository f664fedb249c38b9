/**
 * The channels of this node: it listens, makes channels of what its dialler and others dial, keeps one per peer, and ends
 * those of peers that are no longer admitted.
 */
import { EMPTY } from '../bytes.js';
import { type Channel, openChannel, type Priority, type Role } from '../channel/index.js';
import { type Cancel, type UnixMs, unixMs } from '../env.js';
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import type { Connection, Listener, Transport, TransportLimits } from '../transport.js';
import { type ChannelHello, decodeChannelHello, type Edge, encodeChannelHello, RUN_ID_BYTES } from '../wire/index.js';
import type { MeshContext } from './context.js';
import { Dialler, type Expectations } from './dialler.js';
import type { ChannelSettings } from './node-options.js';
import { PeerChannels } from './peer-channels.js';
import type { RosterVisits } from './roster-visits.js';
import type { ConnectionEvent, ConnectionSnapshot, PeerAddress } from './types.js';

export interface NeighboursHost {
  onUp(peer: PeerId): void;
  onDown(peer: PeerId, cause: string): void;
  onMessage(from: PeerId, message: Uint8Array, priority: Priority): void;
  onDrain(peer: PeerId): void;
  onConnection(event: ConnectionEvent): void;
}

const ADMISSION_CHECK_MS = 500;
/** Cost of an edge before its round-trip time is known. */
const UNKNOWN_COST_MS = 1;

export class Neighbours {
  readonly #context: MeshContext;
  readonly #settings: ChannelSettings;
  readonly #host: NeighboursHost;
  readonly #visits: RosterVisits | undefined;
  readonly #limits: TransportLimits = { maxMessageBytes: LIMITS.maxMessageBytes };
  readonly #dialler: Dialler;
  readonly #channels = new Map<PeerId, PeerChannels>();
  readonly #listeners: Listener[] = [];
  readonly #opening = new Set<Cancel>();
  readonly #startedAt: UnixMs;
  readonly #runId: Uint8Array;
  #losses = 0;
  #cancelCheck: Cancel | undefined;
  #closed = false;
  #onAllClosed: (() => void) | undefined;

  constructor(
    context: MeshContext,
    transports: readonly Transport[],
    settings: ChannelSettings,
    host: NeighboursHost,
    visits?: RosterVisits,
  ) {
    const { env } = context;
    this.#context = context;
    this.#settings = settings;
    this.#host = host;
    this.#visits = visits;
    this.#startedAt = unixMs(context.runEpoch);
    this.#runId = env.rng.bytes(RUN_ID_BYTES);
    this.#dialler = new Dialler(context, transports, this.#limits, {
      isConnected: peer => this.#channels.get(peer)?.isConnected === true,
      open: (connection, expectations, done) => this.#open(connection, 'initiator', expectations, done),
      onConnection: event => host.onConnection(event),
    });
    this.#checkAdmissionLater();
  }

  get addresses(): readonly string[] {
    return this.#listeners.map(listener => listener.address);
  }

  get connections(): readonly ConnectionSnapshot[] {
    return this.#dialler.connections;
  }

  get peers(): readonly PeerId[] {
    const peers: PeerId[] = [];
    for (const [peer, channels] of this.#channels) if (channels.isConnected) peers.push(peer);
    return peers;
  }

  /** Where messages to the peer go at present. */
  channel(peer: PeerId): Channel | undefined {
    return this.#channels.get(peer)?.channel;
  }

  /** Half of the round-trip time of each channel. */
  edges(): readonly Edge[] {
    const edges: Edge[] = [];
    for (const peer of this.#channels.keys()) {
      const costMs = this.costMs(peer);
      if (costMs === undefined) continue;
      if (edges.length === LIMITS.maxEdgesPerNode) break;
      edges.push({ peer, costMs });
    }
    return edges;
  }

  /** Of the channel to this peer; undefined when there is none. */
  costMs(peer: PeerId): number | undefined {
    const channel = this.channel(peer);
    if (channel === undefined) return undefined;
    const { minRttMs } = channel.stats;
    return minRttMs === undefined ? UNKNOWN_COST_MS : minRttMs / 2;
  }

  // ---------------------------------------------------------------- listening and dialling

  /** Rejects with ADDRESS_INVALID or LISTEN_FAILED. */
  async listen(address: string): Promise<void> {
    const transport = this.#dialler.transportFor(address);
    if (transport.listen === undefined) {
      throw new HopfairError('ADDRESS_INVALID', `this platform cannot listen on ${address}`);
    }
    const listener = await transport.listen(address, this.#limits, connection => {
      this.#open(connection, 'responder', {}, () => undefined);
    });
    if (this.#closed) await listener.close();
    else this.#listeners.push(listener);
  }

  /** Keeps a channel to this address from now on. Throws ADDRESS_INVALID when no transport takes it. */
  keep(address: PeerAddress): void {
    this.#dialler.keep(address);
  }

  #open(
    connection: Connection,
    role: Role,
    expectations: Expectations,
    done: (outcome: PeerId | HopfairError) => void,
  ): void {
    if (this.#closed) {
      connection.destroy();
      return;
    }
    const { env, admission, handshakePolicy } = this.#context;
    const policy = handshakePolicy();
    const localLosses = this.#losses;
    let hello: ChannelHello | undefined;
    let isVisitor = false;
    const giveUp = openChannel(
      connection,
      {
        ...policy,
        capabilities: this.#hello(policy.capabilities),
        env,
        role,
        limits: this.#settings.channelLimits,
        admit: (peer, evidence) => {
          hello = helloOf(evidence.capabilities);
          const capabilities = hello?.capabilities ?? evidence.capabilities;
          isVisitor = this.#visits?.mayBegin(peer, role === 'initiator') === true;
          return admission.decide(peer, { ...evidence, capabilities, context: 'channel' }, isVisitor);
        },
        ...(this.#settings.lengthBuckets !== undefined && { lengthBuckets: this.#settings.lengthBuckets }),
        ...(role === 'responder' && { gate: this.#context.gate }),
        ...expectations,
      },
      {
        onChannel: channel => {
          this.#opening.delete(giveUp);
          const adopt = (): void => {
            this.#adopt(channel, localLosses, hello);
            done(channel.peer);
          };
          if (isVisitor) this.#visits?.begin(channel, { admitted: adopt, refused: done });
          else adopt();
        },
        onFailed: error => {
          this.#opening.delete(giveUp);
          // Whom we dialled matters to the operator; strangers who fail are many, and fill a log at will.
          const level = role === 'initiator' ? 'info' : 'debug';
          env.log[level]('channel-failed', { address: connection.remoteAddress, role, code: error.code });
          done(error);
        },
      },
    );
    this.#opening.add(giveUp);
  }

  #hello(capabilities: Uint8Array = EMPTY): Uint8Array {
    return encodeChannelHello({
      startedAtUnixMs: this.#startedAt,
      runId: this.#runId,
      losses: this.#losses,
      capabilities,
    });
  }

  // ---------------------------------------------------------------- one channel per peer

  #adopt(channel: Channel, localLosses: number, hello: ChannelHello | undefined): void {
    const { peer } = channel;
    let channels = this.#channels.get(peer);
    if (channels === undefined) {
      channels = this.#channelsOf(peer);
      this.#channels.set(peer, channels);
    }
    channels.adopt(channel, localLosses, hello);
  }

  #channelsOf(peer: PeerId): PeerChannels {
    const { self, env } = this.#context;
    return new PeerChannels(self, peer, env.clock, {
      onUp: () => {
        this.#host.onUp(peer);
        this.#dialler.peerUp(peer);
      },
      onDown: cause => {
        this.#losses += 1;
        this.#host.onDown(peer, cause.code);
        this.#dialler.peerDown(peer, cause);
      },
      onMessage: (message, priority) => this.#host.onMessage(peer, message, priority),
      onDrain: () => this.#host.onDrain(peer),
      onEmpty: () => {
        this.#channels.delete(peer); // a later channel makes a new one
        if (this.#channels.size === 0) this.#onAllClosed?.();
      },
    });
  }

  /** A revocation closes channels within a second; a certificate is renewed while half of its life is left. */
  #checkAdmissionLater(): void {
    const { env, identity } = this.#context;
    this.#cancelCheck = env.clock.schedule(ADMISSION_CHECK_MS, () => {
      const unix = env.clock.unix();
      if (unix >= identity.renewalDue) identity.renew(unix);
      this.#endRevoked();
      this.#learnCertificates(unix);
      this.#checkAdmissionLater();
    });
  }

  /** Another roster counts: ends the channels of those who are gone, and dials those again who were not admitted. */
  membershipChanged(): void {
    this.#visits?.membershipChanged();
    this.#endRevoked();
    this.#dialler.membershipChanged();
  }

  #endRevoked(): void {
    const { env, membership } = this.#context;
    const unix = env.clock.unix();
    for (const [peer, channels] of [...this.#channels]) {
      if (!membership.isAdmitted(peer, unix)) channels.revoke();
    }
  }

  /** A key refresh brings the peer's newest certificate: the next handshake with it may be IK to that. */
  #learnCertificates(unix: UnixMs): void {
    for (const { channel } of this.#channels.values()) {
      if (channel !== undefined) this.#context.knownPeers.learn(channel.certificate, unix);
    }
  }

  /** Ends everything: resolves when each channel has ended, which takes `closeTimeoutMs` at most, and no address is bound. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelCheck?.();
    this.#dialler.close();
    this.#visits?.close();
    for (const cancel of this.#opening) cancel();
    this.#opening.clear();
    const ended = new Promise<void>(resolve => {
      this.#onAllClosed = resolve;
      if (this.#channels.size === 0) resolve();
    });
    for (const channels of [...this.#channels.values()]) channels.close();
    await Promise.all([ended, ...this.#listeners.map(listener => listener.close())]);
  }
}

/** Undefined for a peer that says nothing of itself. Throws DECODE_FAILED, which refuses the peer, for anything else. */
function helloOf(capabilities: Uint8Array): ChannelHello | undefined {
  return capabilities.length === 0 ? undefined : decodeChannelHello(capabilities);
}
