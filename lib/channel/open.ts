/** From a connection to a channel: the handshake with its time limits, then admission. */
import { copyOf } from '../bytes.js';
import type { Cancel, Instant } from '../env.js';
import { HopfairError, requireArgument } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { Connection } from '../transport.js';
import { END_NOT_ADMITTED, END_UNDECIDED } from './end-reason.js';
import type { HandshakeTicket } from './gate.js';
import { HandshakeDriver } from './handshake.js';
import { KeyRefresh, requireRefreshInterval } from './key-refresh.js';
import { LengthBuckets } from './length-buckets.js';
import { INITIAL_CREDIT_BYTES } from './record.js';
import { SecureChannel } from './secure-channel.js';
import type { ChannelEvents, ChannelLimits, ChannelOptions, HandshakeResult, HandshakeStep, Role } from './types.js';

/**
 * Opens a channel over a fresh connection, as the one who dialled or the one who was dialled. Exactly one of the events
 * follows, unless the returned function is called first: it gives up and closes the connection.
 *
 * @example
 * openChannel(connection, { env, crypto, identity, networkId, role: 'initiator', expectedPeer }, {
 *   onChannel: channel => channel.attach(handler),
 *   onFailed: error => retryLater(error),
 * });
 */
export function openChannel(connection: Connection, options: ChannelOptions, events: ChannelEvents): Cancel {
  const limits = completeLimits(options.limits);
  let opening: Opening | undefined;
  let ticket: HandshakeTicket | undefined;
  if (options.role === 'responder' && options.gate !== undefined) {
    ticket = options.gate.enter(connection.remoteAddress, () => opening?.evict());
    if (ticket === undefined) return turnAway(connection, options, events);
  }
  const begun = new Opening(connection, options, limits, events, ticket);
  opening = begun;
  return () => begun.abandon();
}

const completed = new WeakMap<Partial<ChannelLimits>, ChannelLimits>();

/** All channels of one node share one object of limits: with its eighty names it would be the largest part of each. */
function completeLimits(chosen: Partial<ChannelLimits> = LIMITS): ChannelLimits {
  const known = completed.get(chosen);
  if (known !== undefined) return known;
  const limits: ChannelLimits = { ...LIMITS, ...chosen };
  requireArgument(limits.maxMessageBytes >= MIN_RECORD_BYTES, 'maxMessageBytes is below 8,192');
  requireArgument(limits.maxChannelReceiveBytes >= INITIAL_CREDIT_BYTES, 'maxChannelReceiveBytes is below 131,072');
  requireArgument(limits.maxChannelQueueBytes >= 2 * limits.maxChannelMessageBytes, 'the queue holds no two messages');
  requireRefreshInterval(limits.keyRefreshIntervalMs);
  completed.set(chosen, limits);
  return limits;
}

/** Nothing is spent on it: not even a handler. */
function turnAway(connection: Connection, { env }: ChannelOptions, events: ChannelEvents): Cancel {
  let isCancelled = false;
  connection.destroy();
  env.clock.defer(() => {
    if (!isCancelled) events.onFailed(TURNED_AWAY);
  });
  return () => {
    isCancelled = true;
  };
}

const limitExceeded = (why: string): HopfairError => new HopfairError('LIMIT_EXCEEDED', why, { retryable: true });
// Made once: under attack there would be thousands, and each would have its stack walked.
const TURNED_AWAY: HopfairError = limitExceeded('too many handshakes');
const EVICTED: HopfairError = limitExceeded('too many half-open connections');
const NO_TIME: HopfairError = limitExceeded('no processor time is left for handshakes');
const OUT_OF_TURN: HopfairError = new HopfairError(
  'HANDSHAKE_FAILED',
  'a second message before the first was answered',
);

/** A record has room for more than what lanes wait for before they are cut. */
const MIN_RECORD_BYTES = 8_192;

const nothing: Cancel = () => undefined;

class Opening {
  readonly #connection: Connection;
  readonly #options: ChannelOptions;
  readonly #limits: ChannelLimits;
  readonly #events: ChannelEvents;
  /** Undefined once the outcome is known. */
  #driver: HandshakeDriver | undefined;
  readonly #ticket: HandshakeTicket | undefined;
  readonly #buckets: LengthBuckets | undefined;
  #channel: SecureChannel | undefined;
  #leaveAdmission: (() => void) | undefined;
  readonly #begunAt: Instant;
  #cancelTimeout: Cancel;
  #isFirst = true;
  /** The first message waits for its turn. */
  #isWaiting = false;
  #settled = false;

  constructor(
    connection: Connection,
    options: ChannelOptions,
    limits: ChannelLimits,
    events: ChannelEvents,
    ticket: HandshakeTicket | undefined,
  ) {
    const { env, role } = options;
    this.#connection = connection;
    this.#options = options;
    this.#limits = limits;
    this.#events = events;
    this.#ticket = ticket;
    const { lengthBuckets } = options;
    this.#buckets = lengthBuckets && new LengthBuckets(lengthBuckets, limits.maxMessageBytes);
    const driver = new HandshakeDriver({
      ...options,
      throttledTimers: this.#throttledTimers,
      context: 'channel',
      random: length => env.rng.bytes(length),
      now: env.clock.unix(),
      limits,
    });
    this.#driver = driver;
    this.#begunAt = env.clock.now();
    const isInitiator = role === 'initiator';
    const first = isInitiator ? driver.start() : undefined;
    const timeoutMs = isInitiator ? limits.handshakeTimeoutMs : limits.firstHandshakeTimeoutMs;
    this.#cancelTimeout = env.clock.schedule(timeoutMs, this.#onTimeout);
    connection.limitMessages(isInitiator ? limits.maxHandshakeBytes : limits.maxFirstHandshakeBytes);
    connection.attach({
      onMessage: message => this.#onMessage(message),
      onDrain: () => this.#channel?.onConnectionDrain(),
      onClose: cause => this.#onClose(cause),
    });
    if (first !== undefined) connection.send([first]);
  }

  /** Another needs the place. */
  evict(): void {
    const isPending = this.#settle(false);
    this.#connection.destroy();
    if (isPending) this.#events.onFailed(EVICTED);
  }

  get #throttledTimers(): boolean {
    const { throttledTimers, env } = this.#options;
    return throttledTimers ?? env.throttledTimers ?? false;
  }

  abandon(): void {
    if (this.#settle(false)) this.#connection.destroy();
  }

  #onMessage(message: Uint8Array): void {
    if (this.#channel !== undefined) {
      this.#channel.onRecord(message);
      return;
    }
    const driver = this.#driver;
    if (this.#settled || driver === undefined) return;
    const isFirst = this.#isFirst;
    this.#isFirst = false;
    if (isFirst && this.#options.role === 'responder') this.#onFirstMessage(driver, message);
    else if (this.#isWaiting) this.#onStep(driver.refuse(OUT_OF_TURN));
    else this.#onStep(this.#receive(driver, message));
  }

  /** The stranger has spoken in time; the rest of its handshake has a limit of its own. */
  #onFirstMessage(driver: HandshakeDriver, message: Uint8Array): void {
    const elapsedMs = this.#options.env.clock.now() - this.#begunAt;
    this.#restartTimeout(Math.max(this.#limits.handshakeTimeoutMs - elapsedMs, 1));
    if (this.#ticket === undefined) {
      this.#onStep(this.#receive(driver, message));
      return;
    }
    const kept = copyOf(message);
    this.#isWaiting = true;
    this.#ticket.onFirstMessage(mayBegin => {
      if (this.#settled) return;
      this.#isWaiting = false;
      // Without a word: a refusal would say that something has to change before it is tried again.
      if (mayBegin) this.#onStep(this.#receive(driver, kept));
      else this.#fail(NO_TIME);
    });
  }

  #receive(driver: HandshakeDriver, message: Uint8Array): HandshakeStep {
    const ticket = this.#ticket;
    return ticket === undefined ? driver.receive(message) : ticket.run(() => driver.receive(message));
  }

  #onStep(step: HandshakeStep): void {
    if (step.reply !== undefined) this.#connection.send([step.reply]);
    if (step.kind === 'failed') this.#fail(step.error);
    else if (step.kind === 'done') this.#onHandshake(step.result);
    else if (this.#ticket?.mayGoOn() === false) this.#fail(NO_TIME);
    else this.#connection.limitMessages(this.#limits.maxHandshakeBytes);
  }

  #onHandshake(result: HandshakeResult): void {
    const { env, role } = this.#options;
    this.#connection.limitMessages(this.#limits.maxMessageBytes);
    this.#channel = new SecureChannel({
      env,
      role,
      connection: this.#connection,
      result,
      limits: this.#limits,
      buckets: this.#buckets,
      refresh: this.#newRefresh(result),
      onHandshakeCost: ms => this.#options.gate?.charge(ms),
      onConfirmed: () => {
        if (!result.confirmed) this.#admit(result);
      },
      onEnded: cause => this.#onChannelEnded(cause),
    });
    if (result.confirmed) this.#admit(result);
  }

  /** Later handshakes on this channel: the same policy and suite, the same peer, and bound to the first one. */
  #newRefresh(result: HandshakeResult): KeyRefresh {
    const limits = this.#limits;
    const { env, identity } = this.#options;
    const newDriver = (role: Role, refreshes: number): HandshakeDriver => {
      // Only a first handshake is judged by `admit`: later ones leave out what it alone looks at.
      const { remoteStatic: _, capabilities: _c, attestation: _a, ...policy } = this.#options;
      return new HandshakeDriver({
        ...policy,
        throttledTimers: this.#throttledTimers,
        role,
        context: 'channel',
        expectedPeer: result.peer,
        suiteId: result.suiteId,
        binding: result.exportSecret(`hopfair/1 refresh ${refreshes}`, 32),
        random: length => env.rng.bytes(length),
        now: env.clock.unix(),
        limits,
      });
    };
    const answerTimeoutMs = Math.max(
      limits.handshakeTimeoutMs,
      result.throttledTimers ? limits.throttledPeerTimeoutMs : 0,
    );
    const { minKeyRefreshIntervalMs: minIntervalMs } = LIMITS;
    const { peer, certificate } = result;
    const self = identity.peer;
    const spread = env.rng.float();
    const { epoch } = certificate;
    return new KeyRefresh(
      { self, peer, epoch, limits, answerTimeoutMs, minIntervalMs, spread, newDriver },
      env.clock.now(),
    );
  }

  /** The peer is who it says. Whether it may come in is asked before anything of its is shown to the application. */
  #admit(result: HandshakeResult): void {
    if (this.#settled || this.#channel?.closed === true) return;
    this.#ticket?.leave();
    const { gate, role } = this.#options;
    if (role === 'responder' && gate !== undefined) {
      this.#leaveAdmission = gate.admissions.enter();
      if (this.#leaveAdmission === undefined) {
        this.#onUndecided('too many verdicts are awaited');
        return;
      }
    }
    this.#restartTimeout(this.#limits.admitTimeoutMs, () => this.#onUndecided('no verdict came in time'));
    const { admit = () => true } = this.#options;
    const { peer, certificate, capabilities, attestation, handshakeHash } = result;
    const { remoteAddress } = this.#connection;
    const evidence = { certificate, capabilities, attestation, handshakeHash, remoteAddress };
    let verdict: boolean | Promise<boolean>;
    try {
      verdict = admit(peer, evidence);
    } catch (cause) {
      this.#refuse(cause);
      return;
    }
    if (verdict === true) this.#open();
    else if (verdict === false) this.#refuse(undefined);
    else {
      verdict.then(
        admitted => (admitted ? this.#open() : this.#refuse(undefined)),
        (cause: unknown) => this.#refuse(cause),
      );
    }
  }

  #open(): void {
    const channel = this.#channel;
    if (channel === undefined || !this.#settle(true)) return;
    this.#ticket?.onAdmitted();
    channel.admit();
    this.#events.onChannel(channel);
  }

  #onUndecided(why: string): void {
    if (!this.#settle(true)) return;
    this.#channel?.refuse(END_UNDECIDED);
    this.#events.onFailed(new HopfairError('ADMISSION_UNDECIDED', why, { retryable: true }));
  }

  #refuse(cause: unknown): void {
    if (!this.#settle(true)) return;
    this.#channel?.refuse(END_NOT_ADMITTED);
    const peer = this.#channel?.peer;
    this.#events.onFailed(new HopfairError('NOT_ADMITTED', `${peer} was not admitted`, { cause }));
  }

  readonly #onTimeout = (): void => {
    this.#fail(new HopfairError('HANDSHAKE_TIMEOUT', 'the handshake took too long', { retryable: true }));
  };

  #onClose(cause: HopfairError | undefined): void {
    this.#ticket?.leave();
    if (this.#channel !== undefined) this.#channel.onConnectionClose(cause);
    else if (!this.#settled) {
      const why = cause ?? new HopfairError('CONNECTION_LOST', 'the other end closed it', { retryable: true });
      this.#fail(new HopfairError('HANDSHAKE_FAILED', 'the connection closed', { cause: why, retryable: true }));
    }
  }

  #onChannelEnded(cause: HopfairError | undefined): void {
    if (this.#settled) return;
    this.#fail(cause ?? new HopfairError('CHANNEL_CLOSED', 'the peer ended the channel at once', { retryable: true }));
  }

  #fail(error: HopfairError): void {
    if (!this.#settle(false)) return;
    // What was replied (a refusal in one byte) still leaves; who never reads it is cut off by the transport, or by the
    // next one who needs the place.
    this.#connection.close();
    this.#events.onFailed(error);
  }

  #restartTimeout(timeoutMs: number, onTimeout: () => void = this.#onTimeout): void {
    this.#cancelTimeout();
    this.#cancelTimeout = this.#options.env.clock.schedule(timeoutMs, onTimeout);
  }

  /** True the first time. */
  #settle(keepsChannel: boolean): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.#cancelTimeout();
    this.#cancelTimeout = nothing; // the timer is large, and would live as long as the channel
    if (!keepsChannel) this.#ticket?.onFailed();
    this.#leaveAdmission?.();
    this.#driver?.destroy();
    this.#driver = undefined;
    if (!keepsChannel) this.#channel?.destroy();
    return true;
  }
}
