/**
 * The node: neighbours below, paths and link state between, links to other peers above, and the face that applications
 * see. Everything in it is synchronous; promises exist only at the face.
 */
import { EventEmitter } from 'eventemitter3';
import type { HandshakeGateStats } from '../channel/index.js';
import type { Cancel } from '../env.js';
import { HopfairError, requireArgument } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import type { RosterChange } from '../identity/roster-membership.js';
import { LIMITS } from '../limits.js';
import { type Candidate, LinkStateDatabase, type Route, type RouteEvent, RoutePlanner } from '../route/index.js';
import { decodeNeighbourFrame, isDataFrame, isRosterFrame, type NeighbourFrame } from '../wire/index.js';
import type { MeshContext } from './context.js';
import { explainPeer, explanationText, type PeerExplanation, snapshotsOf } from './explanation.js';
import { keepEpochs } from './kept.js';
import { LinkStateFlood } from './link-state-flood.js';
import { Links } from './links.js';
import { requireSendOptions, type SendOptions, type Service } from './messaging.js';
import { Neighbours } from './neighbours.js';
import { meshContext } from './node-context.js';
import { type CompleteNodeOptions, checkNodeOptions, type NodeOptions } from './node-options.js';
import { PathSetups } from './path-setup.js';
import { PathSwitch } from './path-switch.js';
import type { PeerLink } from './peer-link.js';
import { Progress } from './progress.js';
import { PubSub } from './pubsub.js';
import { type RosterExchange, rosterExchange } from './roster-exchange.js';
import { requireService, Services } from './services.js';
import { SESSION_SERVICE, SessionHandle } from './session-handle.js';
import type { SessionTraffic } from './session-traffic.js';
import type {
  ConnectionSnapshot,
  DrainOptions,
  NeighbourCounters,
  Node,
  NodeEvents,
  PeerEvent,
  PeerSnapshot,
  Publication,
  RouteSnapshot,
  Session,
  SubscribeOptions,
  SwitchCounters,
} from './types.js';

type StateHandler = (peer: PeerId, state: 'up' | 'down') => void;

const PLAIN: SendOptions = {};
const MESSAGE_TOO_LARGE = `a message has ${LIMITS.maxApplicationMessageBytes} bytes at most`;
const IDLE_CHECK_MS = 10_000;
const SESSION_TIMEOUT_MS = 10_000;

export class MeshNode extends EventEmitter<NodeEvents> implements Node {
  readonly self: PeerId;
  readonly #context: MeshContext;
  readonly #stopKeeping: Cancel;
  readonly #graph: LinkStateDatabase;
  readonly #planner: RoutePlanner;
  readonly #neighbours: Neighbours;
  readonly #switch: PathSwitch;
  readonly #setups: PathSetups;
  readonly #flood: LinkStateFlood;
  readonly #links: Links;
  readonly #rosters: RosterExchange | undefined;
  readonly #services: Services;
  readonly #pubsub: PubSub;
  readonly #stateHandlers = new Set<StateHandler>();
  readonly #progress = new Progress();
  readonly #sessions = new Map<PeerId, SessionHandle>();
  #checkedService: Service | undefined;
  #cancelIdleCheck: Cancel | undefined;
  #state: 'open' | 'draining' | 'closed' = 'open';

  constructor(options: CompleteNodeOptions) {
    super();
    checkNodeOptions(options);
    const { identity, env, membership } = options;
    this.self = identity.peer;
    this.#context = meshContext(options);
    this.#services = new Services(env.log);
    this.#rosters = rosterExchange(this.#context, {
      peers: () => this.#neighbours.peers,
      channel: peer => this.#neighbours.channel(peer),
      caughtUp: neighbour => this.#flood.neighbourUp(neighbour),
      onChange: (change, from) => this.#onRoster(change, from),
    });
    this.#stopKeeping = keepEpochs(env, options.store, this.#context.knownPeers);
    this.#graph = new LinkStateDatabase({ floorMs: (a, b) => membership.edgeFloorMs(a, b) });
    this.#planner = new RoutePlanner(this.#graph, {
      source: identity.peer,
      mayRelay: peer => this.#graph.get(peer)?.relay === true && membership.labels(peer).mayRelay,
      operatorOf: peer => membership.labels(peer).operator,
      regionOf: peer => membership.labels(peer).region,
      avoid: (relay, now) => this.#context.suspicion.suspected(relay, now),
    });
    const { transports, channelLimits = {}, lengthBuckets } = options;
    this.#neighbours = new Neighbours(
      this.#context,
      transports,
      { channelLimits, lengthBuckets },
      {
        onUp: peer => this.#onNeighbourUp(peer),
        onDown: (peer, cause) => this.#onNeighbourDown(peer, cause),
        onMessage: (from, message) => this.#onMessage(from, message),
        onDrain: peer => this.#switch.onDrain(peer),
        onConnection: event => this.emit('connection', event),
      },
      this.#rosters?.visits,
    );
    this.#switch = new PathSwitch(this.#context, peer => this.#neighbours.channel(peer));
    this.#setups = new PathSetups(
      this.#context,
      this.#switch,
      arrived => this.#links.onArrival(arrived),
      event => this.emit('refused', event),
    );
    this.#flood = new LinkStateFlood(this.#context, this.#graph, {
      neighbours: () => this.#neighbours.peers,
      edges: () => this.#neighbours.edges(),
      send: (neighbour, frame) => this.#switch.sendControl(neighbour, frame),
      onChange: () => this.#links.onRoutesChanged(),
    });
    this.#links = new Links(this.#context, this.#setups, {
      candidates: (peer, barred, count) => this.#candidatesTo(peer, barred, count),
      deliver: (from, service, bytes, reliable) => this.#deliver(from, service, bytes, reliable),
      onState: (peer, state, cause) => this.#onLinkState(peer, state, cause),
      onProgress: () => this.#progress.tell(),
      onRoom: peer => this.emit('room', peer),
      onRoute: event => this.#onRoute(event),
    });
    this.#pubsub = new PubSub(this.#context, this, options, peer => {
      return this.#links.get(peer)?.session?.flow.active?.rtt.smoothedMs;
    });
    this.#checkIdleLater();
  }

  /** Listens, then dials. Rejects with ADDRESS_INVALID or LISTEN_FAILED; the node is closed then. */
  async start(listen: readonly string[], peers: NodeOptions['peers'] = []): Promise<void> {
    try {
      for (const address of listen) await this.#neighbours.listen(address);
      for (const peer of peers) this.#neighbours.keep(peer);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  get peerId(): PeerId {
    return this.self;
  }

  get addresses(): readonly string[] {
    return this.#neighbours.addresses;
  }

  // ---------------------------------------------------------------- Messaging

  send(to: PeerId, service: Service, bytes: Uint8Array, options: SendOptions = PLAIN): boolean {
    this.#requireOpen();
    // Most messages are like the one before: what was checked then is not checked again.
    if (service !== this.#checkedService) {
      requireService(service);
      this.#checkedService = service;
    }
    if (options !== PLAIN) requireSendOptions(options);
    if (bytes.length > LIMITS.maxApplicationMessageBytes) throw new HopfairError('INVALID_ARGUMENT', MESSAGE_TOO_LARGE);
    return this.#linkTo(to).send(service, bytes, options);
  }

  /** A session that is up is closed within a second when its peer is not admitted any more. */
  #linkTo(peer: PeerId): PeerLink {
    const link = this.#links.get(peer);
    if (link?.up) return link;
    requireArgument(peer !== this.self, 'a node does not send to itself');
    this.#requireAdmitted(peer);
    return this.#links.open(peer);
  }

  serve(service: Service, handler: (from: PeerId, bytes: Uint8Array) => void): Cancel {
    return this.#services.serve(service, handler);
  }

  onPeer(handler: StateHandler): Cancel {
    this.#stateHandlers.add(handler);
    return () => this.#stateHandlers.delete(handler);
  }

  exportSecret(peer: PeerId, label: string, length: number): Uint8Array | undefined {
    const link = this.#links.get(peer);
    return link?.up ? link.session?.exportSecret(`application ${label}`, length) : undefined;
  }

  // ---------------------------------------------------------------- sessions

  async session(
    peer: PeerId,
    options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<Session> {
    this.#requireOpen();
    this.#requireAdmitted(peer);
    const link = this.#links.open(peer);
    if (!link.up) await this.#untilUp(link, options);
    return this.#sessionHandle(peer);
  }

  #untilUp(
    link: PeerLink,
    { timeoutMs = SESSION_TIMEOUT_MS, signal }: { readonly timeoutMs?: number; readonly signal?: AbortSignal },
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error?: HopfairError): void => {
        stopWanting();
        stopTimer();
        stopListening();
        signal?.removeEventListener('abort', onAbort);
        if (error === undefined) resolve();
        else reject(error);
      };
      const onAbort = (): void => settle(new HopfairError('ABORTED', 'the caller gave up waiting for a session'));
      const stopTimer = this.#context.env.clock.schedule(timeoutMs, () => {
        const message = `no session with ${link.peer} within ${timeoutMs} ms`;
        settle(new HopfairError('NO_ROUTE', message, { retryable: true }));
      });
      const stopListening = this.onPeer((peer, state) => {
        if (peer === link.peer && state === 'up') settle();
      });
      const stopWanting = link.want();
      if (signal?.aborted) onAbort();
      else signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  #sessionHandle(peer: PeerId): SessionHandle {
    let handle = this.#sessions.get(peer);
    if (handle === undefined) {
      handle = new SessionHandle(peer, {
        send: (bytes, options) => this.send(peer, SESSION_SERVICE, bytes, options),
        untilProgress: signal => this.#progress.next(signal),
        onTaken: (bytes, reliable) => this.#links.taken(peer, SESSION_SERVICE, bytes, reliable),
      });
      this.#sessions.set(peer, handle);
    }
    return handle;
  }

  /** False for what waits for the reader of a session. */
  #deliver(from: PeerId, service: Service, bytes: Uint8Array, reliable: boolean): boolean {
    if (service === SESSION_SERVICE) this.#sessionHandle(from).receive(bytes, reliable);
    else this.#services.deliver(from, service, bytes);
    return service !== SESSION_SERVICE;
  }

  #onLinkState(peer: PeerId, state: 'up' | 'down', cause: string): void {
    this.#emitPeer(peer, state === 'up' ? 'session-up' : 'session-down', cause);
    for (const handler of [...this.#stateHandlers]) handler(peer, state);
    this.#progress.tell();
  }

  // ---------------------------------------------------------------- publish and subscribe

  publish(name: string, bytes: Uint8Array): { readonly epoch: number; readonly sequence: number } {
    this.#requireOpen();
    return this.#pubsub.publisher.publish(name, bytes);
  }

  openTopic(name: string): void {
    this.#requireOpen();
    this.#pubsub.publisher.openTopic(name);
  }

  removeSubscriber(name: string, peer: PeerId): boolean {
    return this.#pubsub.publisher.removeSubscriber(name, peer);
  }

  subscribe(topic: string, options: SubscribeOptions = {}): AsyncIterableIterator<Publication> {
    this.#requireOpen();
    return this.#pubsub.subscriber.subscribe(topic, options);
  }

  // ---------------------------------------------------------------- neighbours

  #onNeighbourUp(peer: PeerId): void {
    this.#switch.neighbourUp(peer);
    this.#flood.neighbourUp(peer);
    this.#rosters?.neighbourUp(peer);
    this.#links.get(peer)?.keepPaths();
    this.#emitPeer(peer, 'connected');
  }

  #onNeighbourDown(peer: PeerId, cause: string): void {
    this.#switch.neighbourLost(peer);
    this.#setups.neighbourLost(peer);
    this.#flood.neighbourDown(peer);
    this.#rosters?.neighbourDown(peer);
    this.#emitPeer(peer, 'disconnected', cause);
  }

  #onMessage(from: PeerId, message: Uint8Array): void {
    if (isDataFrame(message)) {
      if (message.length <= LIMITS.maxFrameBytes) this.#switch.onData(from, message);
      return;
    }
    this.#switch.onControlBytes(from, message.length);
    if (isRosterFrame(message)) {
      this.#rosters?.onFrame(from, message);
      return;
    }
    let frame: NeighbourFrame;
    try {
      frame = decodeNeighbourFrame(message);
    } catch (error) {
      if (!(error instanceof HopfairError)) throw error;
      this.#context.env.log.warn('frame-malformed', { from, cause: error.message });
      return;
    }
    switch (frame.kind) {
      case 'link-announce':
      case 'link-pull':
      case 'link-state':
        this.#flood.onFrame(from, frame);
        break;
      case 'path-setup':
        this.#setups.onFrame(from, frame);
        break;
      default:
        this.#switch.onControl(from, frame);
    }
  }

  /** Whoever is gone is so at once: no path over it, no channel, no session. */
  #onRoster(change: RosterChange, from: PeerId | undefined): void {
    this.#neighbours.membershipChanged();
    this.#switch.membershipChanged();
    this.#links.closeRevoked();
    this.#planner.forget();
    this.#links.onRoutesChanged();
    this.emit('roster', { ...change, ...(from !== undefined && { from }), atMs: this.#context.env.clock.now() });
  }

  #emitPeer(peer: PeerId, kind: PeerEvent['kind'], cause?: string): void {
    const atMs = this.#context.env.clock.now();
    this.emit('peer', { peer, kind, atMs, ...(cause !== undefined && { cause }) });
  }

  // ---------------------------------------------------------------- routes

  #onRoute(event: RouteEvent): void {
    // What is barred or suspected, or no longer, changes the order of candidates; a suspect does so for all destinations.
    this.#planner.forget(event.suspect === undefined ? event.flow : undefined);
    this.emit('route', event);
  }

  /** Only routes whose first hop has a channel at this moment. */
  #candidatesTo(destination: PeerId, barred?: (route: Route) => boolean, count?: number): readonly Candidate[] {
    const found = this.#planner.candidates(destination, this.#context.env.clock.now(), barred, count);
    const usable = found.filter(({ route }) => this.#neighbours.channel(route[0] ?? destination) !== undefined);
    // A channel of our own needs nobody's word, and none may come for long: lists are rate-limited and have 256 edges.
    const directCostMs = this.#neighbours.costMs(destination);
    if (directCostMs === undefined || usable.some(({ route }) => route.length === 0)) return usable;
    return [{ route: [], costMs: directCostMs }, ...usable];
  }

  #checkIdleLater(): void {
    this.#cancelIdleCheck = this.#context.env.clock.schedule(IDLE_CHECK_MS, () => {
      this.#switch.expireIdle();
      this.#setups.expireIdle();
      this.#checkIdleLater();
    });
  }

  routes(): readonly RouteSnapshot[] {
    const now = this.#context.env.clock.now();
    return [...this.#links.all].flatMap(link => snapshotsOf(link, now));
  }

  peers(): readonly PeerSnapshot[] {
    const addresses = new Map<PeerId, ConnectionSnapshot>();
    for (const connection of this.connections()) {
      // Of several addresses of one peer the one that works.
      if (connection.peer && addresses.get(connection.peer)?.state !== 'connected') {
        addresses.set(connection.peer, connection);
      }
    }
    const known = new Set([...this.#neighbours.peers, ...[...this.#links.all].map(link => link.peer)]);
    for (const { origin } of this.#graph.states) if (origin !== this.self) known.add(origin);
    for (const peer of addresses.keys()) known.add(peer);
    return [...known].map(peer => this.#peerSnapshot(peer, addresses.get(peer)));
  }

  #peerSnapshot(peer: PeerId, connection: ConnectionSnapshot | undefined): PeerSnapshot {
    const channel = this.#neighbours.channel(peer);
    const rttMs = channel?.stats.minRttMs;
    const { operator, region } = this.#context.membership.labels(peer);
    return {
      peer,
      connected: channel !== undefined,
      session: this.#links.get(peer)?.up === true,
      relay: this.#graph.get(peer)?.relay === true,
      ...(rttMs !== undefined && { rttMs }),
      ...(operator !== undefined && { operator }),
      ...(region !== undefined && { region }),
      ...(connection !== undefined && { connection }),
    };
  }

  connections(): readonly ConnectionSnapshot[] {
    return this.#neighbours.connections;
  }

  explain(peer: PeerId): PeerExplanation {
    const now = this.#context.env.clock.now();
    const suspects = this.#context.suspicion.suspects(now);
    const unreachable = this.#whyUnreachable(peer);
    return explainPeer(peer, this.#links.get(peer), this.#candidatesTo(peer), unreachable, suspects, now);
  }

  #whyUnreachable(peer: PeerId): string {
    const { membership, env } = this.#context;
    if (peer === this.self) return 'it is this node';
    if (!membership.isAdmitted(peer, env.clock.unix())) return 'it is no member';
    if (this.#neighbours.peers.length === 0) return 'this node has no channel to anybody';
    if (this.#graph.get(peer) === undefined) return 'its list of edges was not heard: it is down, or too far away';
    return `no relay leads to it over ${LIMITS.maxRelays} hops`;
  }

  why(peer: PeerId): string {
    return explanationText(this.explain(peer));
  }

  /**
   * Counters of this node: as a relay what it forwarded and dropped, which set-ups it refused and why, by neighbour; as an
   * end what its sessions sent by kind, what it holds of messages of others, what it refused, and what nobody served; and
   * what handshakes that others began, of channels and sessions, took of its processor.
   */
  diagnostics(): {
    readonly sessions: ReadonlyMap<PeerId, Readonly<SessionTraffic>>;
    readonly receiving: { readonly heldBytes: number; readonly refused: number; readonly unserved: number };
    readonly switch: SwitchCounters;
    readonly refusals: ReadonlyMap<string, number>;
    readonly neighbours: ReadonlyMap<PeerId, NeighbourCounters>;
    readonly handshakes: HandshakeGateStats;
  } {
    const { counters, neighbours } = this.#switch;
    const { bytes: heldBytes, refused } = this.#context.holdings;
    return {
      sessions: new Map([...this.#links.all].map(link => [link.peer, link.traffic])),
      receiving: { heldBytes, refused, unserved: this.#services.unserved },
      switch: counters,
      refusals: this.#setups.refusals,
      neighbours,
      handshakes: this.#context.gate.stats,
    };
  }

  // ---------------------------------------------------------------- end

  async drain(options: DrainOptions = {}): Promise<void> {
    if (this.#state !== 'draining') this.#requireOpen();
    if (this.#state === 'open') this.#pubsub.publisher.flush();
    this.#state = 'draining';
    const isEmpty = (): boolean => [...this.#links.all].every(link => link.outbox.empty);
    await this.#progress.until(isEmpty, () => this.#state === 'closed', this.#context.env.clock, options);
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#cancelIdleCheck?.();
    this.#pubsub.close();
    for (const handle of this.#sessions.values()) handle.close();
    this.#links.close();
    this.#flood.close();
    this.#rosters?.close();
    this.#stopKeeping();
    this.#progress.tell();
    await this.#neighbours.close();
  }

  #requireOpen(): void {
    if (this.#state !== 'open') throw new HopfairError('INVALID_STATE', `the node is ${this.#state}`);
  }

  #requireAdmitted(peer: PeerId): void {
    const { membership, env } = this.#context;
    if (!membership.isAdmitted(peer, env.clock.unix())) {
      throw new HopfairError('NOT_ADMITTED', `${peer} is not a member of ${this.#context.networkId}`);
    }
  }
}
