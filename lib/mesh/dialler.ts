/**
 * Keeps channels to the addresses that this node was told to dial: dials, waits and dials again, and says at each step
 * what it does, why, and when it tries next.
 */
import type { Cancel, Instant } from '../env.js';
import { after } from '../env.js';
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import type { Connection, Transport, TransportLimits } from '../transport.js';
import type { MeshContext } from './context.js';
import { isWordless, needsHelp, Redial } from './redial.js';
import type { ConnectionEvent, ConnectionSnapshot, ConnectionState, PeerAddress } from './types.js';

/** Who must answer a dialled connection. */
export interface Expectations {
  readonly expectedPeer?: PeerId;
  /** Its static key, when it is known: the handshake is IK. */
  readonly remoteStatic?: Uint8Array;
}

export interface DiallerHost {
  isConnected(peer: PeerId): boolean;
  /** Makes a channel of the connection; `done` is called once, with the peer or with what went wrong. */
  open(connection: Connection, expectations: Expectations, done: (outcome: PeerId | HopfairError) => void): void;
  onConnection(event: ConnectionEvent): void;
}

interface Target extends PeerAddress {
  readonly redial: Redial;
  state: ConnectionState;
  /** Whom the last channel to this address reached. */
  reached: PeerId | undefined;
  cause: HopfairError | undefined;
  nextTryAt: Instant | undefined;
  cancelRetry: Cancel | undefined;
  cancelDial: Cancel | undefined;
  busy: boolean;
}

export class Dialler {
  readonly #context: MeshContext;
  readonly #transports: readonly Transport[];
  readonly #limits: TransportLimits;
  readonly #host: DiallerHost;
  readonly #targets: Target[] = [];
  #closed = false;

  constructor(context: MeshContext, transports: readonly Transport[], limits: TransportLimits, host: DiallerHost) {
    this.#context = context;
    this.#transports = transports;
    this.#limits = limits;
    this.#host = host;
  }

  get connections(): readonly ConnectionSnapshot[] {
    return this.#targets.map(target => ({ ...describe(target), state: target.state }));
  }

  /** Throws ADDRESS_INVALID when no transport takes the address. */
  transportFor(address: string): Transport {
    const scheme = address.split(':', 1)[0] ?? '';
    const transport = this.#transports.find(candidate => candidate.schemes.includes(scheme));
    if (transport === undefined) throw new HopfairError('ADDRESS_INVALID', `no transport takes "${address}"`);
    return transport;
  }

  /** Keeps a channel to this address from now on. Throws ADDRESS_INVALID when no transport takes it. */
  keep({ peer, address }: PeerAddress): void {
    this.transportFor(address);
    const target: Target = {
      address,
      ...(peer !== undefined && { peer }),
      redial: new Redial(),
      state: 'connecting',
      reached: undefined,
      cause: undefined,
      nextTryAt: undefined,
      cancelRetry: undefined,
      cancelDial: undefined,
      busy: false,
    };
    this.#targets.push(target);
    this.#dial(target);
  }

  /** A channel with the peer is up, whoever dialled it. */
  peerUp(peer: PeerId): void {
    for (const target of this.#targets) if (whom(target) === peer && !target.busy) this.#onConnected(target);
  }

  peerDown(peer: PeerId, cause: HopfairError): void {
    for (const target of this.#targets) if (whom(target) === peer && !target.busy) this.#retryLater(target, cause);
  }

  /** Who was not admitted may be now. */
  membershipChanged(): void {
    for (const target of this.#targets) {
      if (target.cause?.code !== 'NOT_ADMITTED' || target.cancelRetry === undefined) continue;
      target.cancelRetry();
      this.#dial(target);
    }
  }

  close(): void {
    this.#closed = true;
    for (const { cancelRetry, cancelDial } of this.#targets) {
      cancelRetry?.();
      cancelDial?.();
    }
  }

  #dial(target: Target): void {
    target.cancelRetry = undefined;
    target.nextTryAt = undefined;
    const peer = whom(target);
    if (this.#closed || target.busy) return;
    if (peer !== undefined && this.#host.isConnected(peer)) {
      this.#onConnected(target);
      return;
    }
    this.#enter(target, 'connecting', undefined);
    const { knownPeers, env } = this.#context;
    this.#connect(target, peer === undefined ? undefined : knownPeers.staticKey(peer, env.clock.unix()));
  }

  #connect(target: Target, remoteStatic: Uint8Array | undefined): void {
    target.busy = true;
    const expectations: Expectations = {
      ...(target.peer !== undefined && { expectedPeer: target.peer }),
      ...(remoteStatic !== undefined && { remoteStatic }),
    };
    target.cancelDial = this.transportFor(target.address).dial(target.address, this.#limits, {
      onConnection: connection => {
        target.cancelDial = undefined;
        this.#host.open(connection, expectations, outcome => this.#onOutcome(target, expectations, outcome));
      },
      onError: error => {
        target.cancelDial = undefined;
        this.#onFailed(target, error);
      },
    });
  }

  #onOutcome(target: Target, { remoteStatic }: Expectations, outcome: PeerId | HopfairError): void {
    if (outcome instanceof HopfairError) {
      if (remoteStatic === undefined || outcome.code === 'NOT_ADMITTED') this.#onFailed(target, outcome);
      else this.#onKeyFailed(target, outcome);
      return;
    }
    target.busy = false;
    target.reached = outcome;
    if (this.#host.isConnected(outcome)) this.#onConnected(target);
    else this.#retryLater(target, new HopfairError('CHANNEL_CLOSED', 'it did not last', { retryable: true }));
  }

  /**
   * IK failed: the peer has another key now, perhaps. XX on a new connection, at once and under the same policy. But who
   * closes without a word has no time for handshakes, and is not asked again at once.
   */
  #onKeyFailed(target: Target, error: HopfairError): void {
    const { env, knownPeers } = this.#context;
    env.log.debug('known-key-failed', { address: target.address, code: error.code });
    const peer = whom(target);
    if (peer !== undefined) knownPeers.distrustKey(peer);
    if (isWordless(error)) {
      this.#onFailed(target, error);
      return;
    }
    target.busy = false;
    if (!this.#closed) this.#connect(target, undefined);
  }

  #onFailed(target: Target, error: HopfairError): void {
    target.busy = false;
    const peer = whom(target);
    if (peer !== undefined && this.#host.isConnected(peer)) this.#onConnected(target);
    else this.#retryLater(target, error);
  }

  #onConnected(target: Target): void {
    target.cancelRetry?.();
    target.cancelRetry = undefined;
    target.nextTryAt = undefined;
    target.redial.connected(this.#context.env.clock.now());
    if (target.state !== 'connected') this.#enter(target, 'connected', undefined);
  }

  #retryLater(target: Target, error: HopfairError): void {
    if (this.#closed) return;
    const { clock, rng } = this.#context.env;
    const now = clock.now();
    // An admission that failed says why in its cause.
    const cause = error.cause instanceof HopfairError && error.code === 'NOT_ADMITTED' ? error.cause : error;
    target.cancelRetry?.();
    const waitMs = target.redial.failed(cause, now) * rng.float();
    target.nextTryAt = after(now, waitMs);
    target.cancelRetry = clock.schedule(waitMs, () => this.#dial(target));
    this.#enter(target, needsHelp(cause) ? 'refused' : 'waiting', cause);
  }

  #enter(target: Target, state: ConnectionState, cause: HopfairError | undefined): void {
    const { clock, log } = this.#context.env;
    target.state = state;
    target.cause = cause;
    log.debug('connection', { address: target.address, state, code: cause?.code, cause: cause?.message });
    const now = clock.now();
    const nextTryInMs = target.nextTryAt === undefined ? undefined : target.nextTryAt - now;
    this.#host.onConnection({
      ...describe(target),
      state,
      atMs: now,
      ...(nextTryInMs !== undefined && { nextTryInMs }),
    });
  }
}

const whom = ({ peer, reached }: Target): PeerId | undefined => peer ?? reached;

function describe(target: Target): Omit<ConnectionSnapshot, 'state'> {
  const { address, cause, nextTryAt, redial } = target;
  const peer = whom(target);
  return {
    address,
    failures: redial.failures,
    ...(peer !== undefined && { peer }),
    ...(cause !== undefined && { cause: { code: cause.code, message: cause.message } }),
    ...(nextTryAt !== undefined && { nextTryAtMs: nextTryAt }),
  };
}
