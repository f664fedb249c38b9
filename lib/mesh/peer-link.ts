/**
 * Everything between this node and one other peer, end to end: what is to be sent, what has come, and the session that
 * carries it at present. Sessions come and go; a link lasts as long as both ends run.
 */

import { concat, equalBytes } from '../bytes.js';
import type { HandshakeResult } from '../channel/types.js';
import { after, type Instant } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import { type Candidate, Quarantine, RateLimit, type Route, type RouteEvent } from '../route/index.js';
import type { Chunk, Credit, Run } from '../wire/index.js';
import { Connector } from './connector.js';
import type { MeshContext } from './context.js';
import { Inbox, type Reception } from './inbox.js';
import type { SendOptions, Service } from './messaging.js';
import type { Parcel } from './out-message.js';
import { Outbox } from './outbox.js';
import type { PathEnd } from './path-end.js';
import { PathKeeper } from './path-keeper.js';
import type { PathSetups } from './path-setup.js';
import { Renewal } from './renewal.js';
import { SESSION_TAG_BYTES, SecureSession, type SessionHost } from './secure-session.js';
import { noTraffic, type SessionTraffic } from './session-traffic.js';
import { Succession } from './succession.js';

export interface LinkHost {
  /** `count` of them, 4 by default; `barred` says which routes come last. */
  candidates(peer: PeerId, barred: (route: Route) => boolean, count?: number): readonly Candidate[];
  /** False when the application will take the message later. */
  deliver(from: PeerId, service: Service, bytes: Uint8Array, reliable: boolean): boolean;
  onState(peer: PeerId, state: 'up' | 'down', cause: string): void;
  /** The outbox has room, or is empty, again. */
  onProgress(peer: PeerId): void;
  /** The outbox has refused something, and may take it now. */
  onRoom(peer: PeerId): void;
  onRoute(event: RouteEvent): void;
}

const RUN_ID_BYTES = 8;
/** Decisions that `why` tells. */
const KEPT_EVENTS = 64;
/** Without a session for this long the peer is taken for gone. */
export const PEER_LOST_MS = 60_000;

export class PeerLink implements SessionHost {
  readonly peer: PeerId;
  readonly outbox: Outbox = new Outbox();
  /** Names this run of this node towards this peer; a link that is made anew has another. */
  runId: Uint8Array;
  readonly traffic: SessionTraffic = noTraffic();
  readonly connector: Connector;
  readonly events: RouteEvent[] = [];
  /** When the application last sent, waited for, or was given something. */
  lastUsedAt: Instant;
  readonly #context: MeshContext;
  readonly #host: LinkHost;
  readonly #inbox: Inbox;
  readonly #quarantine: Quarantine;
  readonly #keeper: PathKeeper;
  readonly #succession: Succession<SecureSession>;
  readonly #renewal: Renewal;
  readonly #handshakes = new RateLimit(LIMITS.sessionHandshakesPerSecond, LIMITS.sessionHandshakeBurst);
  #remoteRun: Uint8Array | undefined;
  /** This end began the latest session. */
  #beganLast = false;
  #waiters = 0;
  #pathlessSince: Instant | undefined;
  #lostSince: Instant | undefined;
  #flushing = false;
  #refused = false;
  readonly #untoldCredits = new Set<Service>();

  constructor(context: MeshContext, setups: PathSetups, peer: PeerId, host: LinkHost) {
    this.peer = peer;
    this.runId = context.env.rng.bytes(RUN_ID_BYTES);
    this.lastUsedAt = context.env.clock.now();
    this.#context = context;
    this.#host = host;
    this.#inbox = new Inbox(context.holdings.of(peer), {
      deliver: (service, bytes, reliable) => host.deliver(peer, service, bytes, reliable),
      onCredit: service => this.#tellCredit(service),
    });
    this.#quarantine = new Quarantine(() => context.env.rng.float());
    this.#succession = new Succession<SecureSession>(context.self, peer, {
      requeue: parcels => this.#requeue(parcels),
      onCurrent: session => this.#onCurrent(session),
    });
    this.#renewal = new Renewal(context.sessionLifetimeMs, () => context.env.rng.float());
    this.connector = new Connector(context, setups, peer, {
      candidates: () => this.candidates(),
      wanted: () => this.wanted,
      onSession: (result, end, rttMs) => this.install(result, end, 'initiator', rttMs),
    });
    this.#keeper = new PathKeeper(context, setups, count => this.candidates(count));
  }

  /** The session of the newest keys that both ends use. */
  get session(): SecureSession | undefined {
    return this.#succession.current;
  }

  /** A session is up and the peer has said who it is. */
  get up(): boolean {
    return this.session?.established === true;
  }

  /** Nothing waits for it, here. */
  get isIdle(): boolean {
    return this.outbox.empty && this.#waiters === 0;
  }

  /** Whether the peer may begin a handshake now: undefined, or why not. */
  refuses(now: Instant): 'superseded' | 'limit' | undefined {
    if (!this.connector.yields) return 'superseded';
    return this.#handshakes.take(now) ? undefined : 'limit';
  }

  /** Whether a session is worth having. */
  get wanted(): boolean {
    if (this.session !== undefined) {
      return this.#succession.next === undefined && this.#renewal.isDue(this.#context.env.clock.now());
    }
    if (!this.outbox.empty || this.#waiters > 0) return true;
    // Both ends lost it. Whoever answered last time waits to be asked again: a backend that lost a thousand clients would
    // begin a thousand handshakes beside theirs, and the dearer half of each.
    return this.#remoteRun !== undefined && this.#beganLast;
  }

  /** Candidate paths: the one that works first, those in quarantine or over a suspect link last. */
  candidates(count?: number): readonly Candidate[] {
    const now = this.#context.env.clock.now();
    const active = this.session?.flow.active?.key;
    const { suspicion } = this.#context;
    const comesLast = (route: Route): boolean => {
      return this.#quarantine.bars(route.join('>'), now) || suspicion.crosses(this.peer, route, now);
    };
    const found = this.#host.candidates(this.peer, comesLast, count);
    return [...found].sort((a, b) => Number(b.route.join('>') === active) - Number(a.route.join('>') === active));
  }

  /** For how long the route is barred from voluntary use; 0 when it is not. */
  barredForMs(route: Route, now: Instant): number {
    return this.#quarantine.remainingMs(route.join('>'), now);
  }

  /** Why a candidate carries nothing, for explanations. */
  whyUnused(route: Route, now: Instant): string {
    if (this.session === undefined) return 'no session yet';
    const barredForMs = this.barredForMs(route, now);
    if (barredForMs > 0) return `quarantined for ${Math.round(barredForMs)} ms`;
    return this.#keeper.whyUnset(route.join('>'), now);
  }

  /** Somebody waits for the session without having anything to send. Returns how to stop waiting. */
  want(): () => void {
    this.#waiters += 1;
    this.lastUsedAt = this.#context.env.clock.now();
    this.connector.start();
    let waiting = true;
    return () => {
      if (waiting) this.#waiters -= 1;
      waiting = false;
    };
  }

  send(service: Service, bytes: Uint8Array, options: SendOptions): boolean {
    const { clock } = this.#context.env;
    const expiresAt = options.ttlMs === undefined ? undefined : after(clock.now(), options.ttlMs);
    if (!this.outbox.push(service, bytes, options, expiresAt)) {
      this.#refused = true;
      return false;
    }
    if (this.session === undefined) this.connector.start();
    else if (!this.#flushing) {
      this.#flushing = true;
      clock.defer(this.#flush);
    }
    return true;
  }

  /** One turn's messages leave together. */
  readonly #flush = (): void => {
    this.#flushing = false;
    this.lastUsedAt = this.#context.env.clock.now();
    this.#succession.carrier?.pump();
  };

  /** What an ended session had under way. */
  #requeue(parcels: readonly Parcel[]): void {
    this.outbox.requeue(parcels);
    for (const { credits } of parcels) for (const service of credits) this.#tellCredit(service);
  }

  /** The application has taken a message that `deliver` of the host had kept. */
  taken(service: Service, bytes: number, reliable: boolean): void {
    this.#inbox.taken(service, bytes, reliable);
  }

  #tellCredit(service: Service): void {
    this.#untoldCredits.add(service);
    this.#context.env.clock.defer(this.#tellCredits);
  }

  /** Without a session nobody is told; a new one begins with what is still to be told. */
  readonly #tellCredits = (): void => {
    const { carrier } = this.#succession;
    if (carrier?.established !== true || this.#untoldCredits.size === 0) return;
    carrier.tellCredits([...this.#untoldCredits]);
    this.#untoldCredits.clear();
  };

  /** A handshake succeeded. What another session has under way goes on until this one takes over. */
  install(result: HandshakeResult, end: PathEnd, role: 'initiator' | 'responder', rttMs: number): void {
    this.connector.stop();
    this.#beganLast = role === 'initiator';
    const session = new SecureSession({
      context: this.#context,
      peer: this.peer,
      result,
      role,
      host: this,
      quarantine: this.#quarantine,
    });
    if (!this.#succession.install(session)) {
      end.close('superseded');
      return;
    }
    this.#context.env.log.info('session-installed', { peer: this.peer, role, suite: result.suite });
    session.addPath(role === 'initiator' ? (session.allotPathId() ?? 0) : 0, end, rttMs);
  }

  /** A path joins the session, when its message proves that its sender has the keys. */
  join(end: PathEnd, message: Uint8Array): void {
    const session = this.#succession.byTag(message.subarray(0, SESSION_TAG_BYTES));
    const id = session?.openJoin(message.subarray(SESSION_TAG_BYTES));
    if (session === undefined || id === undefined) {
      end.close('refused');
      return;
    }
    end.sendMessage(concat(session.tag, session.sealJoin(id, end)));
    session.addPath(id, end, session.flow.active?.rtt.smoothedMs ?? 50);
  }

  #onCurrent(session: SecureSession): void {
    this.#keeper.stop();
    this.#pathlessSince = undefined;
    this.#renewal.onSession(session);
  }

  #endSessions(reason: 'superseded' | 'done', tell: boolean): void {
    this.#keeper.stop();
    this.#succession.end(reason, tell);
  }

  // ---------------------------------------------------------------- SessionHost

  carries(session: SecureSession): boolean {
    return session === this.#succession.carrier;
  }

  onHello(session: SecureSession, runId: Uint8Array): void {
    const known = this.#remoteRun;
    const isNewRun = known !== undefined && !equalBytes(known, runId);
    const isRenewal = this.up && session !== this.session && !isNewRun;
    if (!this.#succession.onHello(session, isNewRun, this.#context.env.clock.now())) return;
    this.#lostSince = undefined;
    if (known === undefined || isNewRun) {
      this.#remoteRun = runId.slice();
      this.#inbox.restart();
      this.#untoldCredits.clear();
    }
    if (isNewRun) {
      this.outbox.restart();
      this.#host.onState(this.peer, 'down', 'the peer restarted');
    }
    this.#host.onState(this.peer, 'up', isRenewal ? 'new keys' : `session ${session.role}`);
    this.#tellCredits();
    this.keepPaths();
  }

  onChunk(chunk: Chunk, now: Instant): Reception {
    this.lastUsedAt = now;
    return this.#inbox.receive(chunk, now);
  }

  onRun(run: Run, now: Instant): Reception {
    this.lastUsedAt = now;
    return this.#inbox.receiveRun(run);
  }

  onCredit({ service, limit }: Credit): void {
    if (this.outbox.grant(service, limit)) this.onSettled();
  }

  creditOf(service: Service): number | undefined {
    return this.#inbox.tell(service);
  }

  onSettled(): void {
    if (this.#refused) {
      this.#refused = false;
      this.#host.onRoom(this.peer);
    }
    this.#host.onProgress(this.peer);
  }

  onRoute(event: RouteEvent): void {
    this.events.push(event);
    if (this.events.length > KEPT_EVENTS) this.events.shift();
    this.#host.onRoute(event);
  }

  onPathUp(session: SecureSession): void {
    if (session === this.session) this.#pathlessSince = undefined;
    this.#succession.poll(this.#context.env.clock.now());
  }

  onPathLost(session: SecureSession): void {
    this.#succession.poll(this.#context.env.clock.now());
    if (session === this.session) this.keepPaths();
  }

  onEnd(): void {
    this.#endSessions('done', false);
    this.#forgetPeer('the peer closed the session');
  }

  // ---------------------------------------------------------------- upkeep

  /** Keeps several paths set up; when none is left and none can be joined, a new handshake is tried. */
  keepPaths(): void {
    const { session } = this;
    if (session === undefined) {
      this.connector.nudge();
      return;
    }
    if (session.paths.length > 0) this.#pathlessSince = undefined;
    else this.#pathlessSince ??= this.#context.env.clock.now();
    if (session.role === 'initiator' && session.established) this.#keeper.keep(session);
  }

  /** Four times a second. False when the peer is gone and the link can be dropped. */
  maintain(now: Instant): boolean {
    this.#succession.poll(now);
    const { session } = this;
    if (session !== undefined) {
      session.probeIdlePaths(now);
      if (session.paths.length === 0) this.#replacePathless(now);
      else if (this.#renewal.isOverdue(now) || session.overused) this.#endSessions('superseded', false);
    }
    if (this.session !== undefined) this.keepPaths();
    if (this.wanted && !this.connector.waiting) this.connector.start();
    if (this.session !== undefined) return true;
    if (this.outbox.expire(now)) this.onSettled();
    if (this.#remoteRun !== undefined) {
      this.#lostSince ??= now;
      if (now - this.#lostSince > PEER_LOST_MS) this.#forgetPeer('no path for a minute');
    }
    return this.wanted || this.#remoteRun !== undefined;
  }

  /** Paths can join only what both ends still have; after a second without any, a new session is the safe way. */
  #replacePathless(now: Instant): void {
    this.#pathlessSince ??= now;
    if (now - this.#pathlessSince < 1_000) return;
    this.#lostSince = this.#pathlessSince;
    this.#endSessions('done', false);
  }

  #forgetPeer(cause: string): void {
    const wasKnown = this.#remoteRun !== undefined;
    this.#remoteRun = undefined;
    this.#lostSince = undefined;
    this.outbox.clear();
    this.#inbox.restart();
    this.#untoldCredits.clear();
    this.runId = this.#context.env.rng.bytes(RUN_ID_BYTES); // numbers begin anew, and the peer may not have forgotten
    if (wasKnown) this.#host.onState(this.peer, 'down', cause);
  }

  close(cause: string): void {
    this.connector.stop();
    this.#endSessions('done', true);
    this.#forgetPeer(cause);
  }
}
