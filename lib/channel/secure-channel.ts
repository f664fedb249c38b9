/** The transport phase: what is sealed, opened, queued, acknowledged and ended over one authenticated connection. */
import { EMPTY } from '../bytes.js';
import { after, type Cancel, type Env, type Instant } from '../env.js';
import { HopfairError } from '../errors.js';
import type { Certificate, PeerId } from '../identity/index.js';
import type { CipherState } from '../noise/index.js';
import type { Connection } from '../transport.js';
import { END_DONE, END_NOT_ADMITTED, isKnownReason, type Refusal, refusalOf } from './end-reason.js';
import { HeldMessages } from './held-messages.js';
import type { KeyRefresh, RefreshOutput } from './key-refresh.js';
import type { LengthBuckets } from './length-buckets.js';
import { LivenessWatch } from './liveness.js';
import { ReceiveCredit } from './receive-credit.js';
import { lengthOf, rankOf } from './record.js';
import { RecordSender } from './record-sender.js';
import { RoomWaiters } from './room-waiters.js';
import { SectionReader, type SectionSink } from './section-reader.js';
import type {
  Channel,
  ChannelHandler,
  ChannelLimits,
  ChannelSendOptions,
  ChannelStats,
  HandshakeResult,
  Role,
} from './types.js';

/** `held`: authenticated, not yet admitted. `ending`: our end is to be sent after the queue. `ended`: it was. */
type State = 'held' | 'open' | 'ending' | 'ended' | 'closed';

export interface SecureChannelOptions {
  readonly env: Env;
  readonly role: Role;
  readonly connection: Connection;
  readonly result: HandshakeResult;
  readonly limits: ChannelLimits;
  readonly buckets: LengthBuckets | undefined;
  readonly refresh: KeyRefresh;
  /** Processor time that a key refresh took. */
  readonly onHandshakeCost: (ms: number) => void;
  /** Called once, when the first record of the peer has opened. */
  readonly onConfirmed: () => void;
  /** Called once, before the handler's `onClose`. */
  readonly onEnded: (cause: HopfairError | undefined) => void;
}

const NO_OPTIONS: ChannelSendOptions = {};

/**
 * The channel takes over the connection's handler and the handshake's result, and answers for destroying both. The face,
 * receiving and ending are here; `RecordSender` does the sending.
 */
export class SecureChannel implements Channel {
  readonly role: Role;
  readonly peer: PeerId;
  readonly remoteAddress: string;
  readonly handshakeHash: Uint8Array;
  readonly #env: Env;
  readonly #connection: Connection;
  readonly #result: HandshakeResult;
  readonly #limits: ChannelLimits;
  readonly #options: SecureChannelOptions;
  readonly #sender: RecordSender;
  readonly #refresh: KeyRefresh;
  #rx: CipherState;
  #certificate: Certificate;
  readonly #liveness: LivenessWatch;
  readonly #reader: SectionReader;
  readonly #held: HeldMessages;
  readonly #credit: ReceiveCredit;
  readonly #roomWaiters = new RoomWaiters();
  #handler: ChannelHandler | undefined;
  #state: State = 'held';
  #confirmed = false;
  #endReason: number = END_DONE;
  #revoked: HopfairError | undefined;
  #ending: { readonly cause: HopfairError | undefined } | undefined;
  #cancelTimer: Cancel;
  readonly #leave: Cancel | undefined;
  #closeDeadline: Instant | undefined;

  #sentMessages = 0;
  #sentBytes = 0;
  #receivedMessages = 0;
  #receivedBytes = 0;
  #receivedRecords = 0;

  constructor(options: SecureChannelOptions) {
    const { env, connection, result, limits, role } = options;
    this.role = role;
    this.peer = result.peer;
    this.remoteAddress = connection.remoteAddress;
    this.handshakeHash = result.handshakeHash;
    this.#env = env;
    this.#connection = connection;
    this.#result = result;
    this.#rx = result.rx;
    this.#certificate = result.certificate;
    this.#refresh = options.refresh;
    this.#limits = limits;
    this.#options = options;
    this.#liveness = new LivenessWatch(limits, result.throttledTimers, env.clock.now());
    this.#held = new HeldMessages(env.clock, () => this.#onReleased());
    this.#credit = new ReceiveCredit(limits.maxChannelReceiveBytes, () => this.#held.bytes);
    this.#sender = new RecordSender({
      env,
      connection,
      tx: result.tx,
      limits,
      buckets: options.buckets,
      credit: this.#credit,
      onRoom: () => {
        if (!this.#sender.hasRefused) this.#roomWaiters.release();
        this.#handler?.onDrain();
      },
      onEndSent: () => this.#onEndSent(),
    });
    this.#reader = new SectionReader(this.#sink(), this.#credit, limits.maxChannelMessageBytes);
    this.#cancelTimer = env.clock.schedule(limits.pingIntervalMs, this.#onTimer);
    this.#leave = env.attend?.();
  }

  get certificate(): Certificate {
    return this.#certificate;
  }

  get closed(): boolean {
    return this.#state === 'closed';
  }

  get confirmed(): boolean {
    return this.#confirmed;
  }

  get ending(): boolean {
    return this.#state === 'ending' || this.#state === 'ended' || this.#state === 'closed';
  }

  get stats(): ChannelStats {
    const { window, queuedBytes, records, expired, dropped } = this.#sender;
    const { minRttMs } = window;
    return {
      sentMessages: this.#sentMessages,
      sentBytes: this.#sentBytes,
      sentRecords: records,
      receivedMessages: this.#receivedMessages,
      receivedBytes: this.#receivedBytes,
      receivedRecords: this.#receivedRecords,
      keyRefreshes: this.#refresh.refreshes,
      expiredMessages: expired,
      droppedMessages: dropped,
      queuedBytes,
      heldBytes: this.#held.bytes,
      unacknowledgedBytes: window.unacknowledged,
      windowBytes: window.bytes,
      minRttMs: Number.isFinite(minRttMs) ? minRttMs : undefined,
    };
  }

  get queuedBytes(): number {
    return this.#sender.queuedBytes;
  }

  get headroomBytes(): number {
    return this.#sender.headroomBytes;
  }

  requestRoom(headroomBytes: number): void {
    this.#sender.requestRoom(headroomBytes);
  }

  exportSecret(label: string, length: number): Uint8Array {
    if (this.closed) throw new HopfairError('INVALID_STATE', 'the channel is closed');
    return this.#result.exportSecret(label, length);
  }

  attach(handler: ChannelHandler): void {
    this.#handler = handler;
    this.#held.attach(handler);
  }

  pause(): void {
    this.#held.pause();
  }

  resume(): void {
    this.#held.resume();
  }

  send(message: Uint8Array | readonly Uint8Array[], options?: ChannelSendOptions): boolean {
    if (this.#state !== 'open') return false;
    const length = message instanceof Uint8Array ? message.length : lengthOf(message);
    if (length > this.#limits.maxChannelMessageBytes) throw tooLarge(length);
    const { priority, ttlMs, whenFull } = options ?? NO_OPTIONS;
    if (!this.#sender.queue(message, length, rankOf(priority), ttlMs, whenFull === 'dropStalest')) return false;
    this.#sentMessages++;
    this.#sentBytes += length;
    return true;
  }

  holdMessages(): void {
    this.#sender.holdMessages();
  }

  releaseMessages(): void {
    this.#sender.releaseMessages();
  }

  whenRoom(signal?: AbortSignal): Promise<void> {
    if (this.#state !== 'open')
      return Promise.reject(new HopfairError('CHANNEL_CLOSED', 'the channel takes no messages'));
    return this.#sender.hasRefused ? this.#roomWaiters.wait(signal) : Promise.resolve();
  }

  close(): void {
    this.#beginEnd(END_DONE);
  }

  revoke(): void {
    if (this.#state === 'closed') return;
    this.#revoked = new HopfairError('NOT_ADMITTED', `${this.peer} was revoked`);
    this.#sender.endNow(END_NOT_ADMITTED);
    this.#finish(this.#revoked);
  }

  destroy(cause?: HopfairError): void {
    this.#finish(cause);
  }

  /** The peer may have its channel now. */
  admit(): void {
    if (this.#state !== 'held') return;
    this.#state = 'open';
    // IK's responder waits for a record before it believes in its initiator.
    if (this.role === 'initiator') this.#sender.ask();
    this.#sender.uncork();
    if (this.#reader.ended) this.#beginEnd(END_DONE);
  }

  /** The peer is told, in an authenticated end, that it may not, or that nobody could say. */
  refuse(reason: Refusal): void {
    if (this.#state === 'held') this.#beginEnd(reason);
  }

  // Called by the connection.

  onRecord(record: Uint8Array): void {
    if (this.#state === 'closed') return;
    const plaintext = this.#rx.decryptWithAd(EMPTY, record);
    if (plaintext === undefined) {
      this.#finish(new HopfairError('DECRYPT_FAILED', 'a record did not authenticate'));
      return;
    }
    this.#receivedRecords++;
    this.#liveness.onHeard(this.#env.clock.now());
    const broken = this.#reader.read(plaintext);
    if (broken !== undefined) this.#finish(new HopfairError('DECODE_FAILED', `the peer broke the protocol: ${broken}`));
    if (this.#confirmed) return;
    this.#confirmed = true;
    this.#options.onConfirmed();
    this.#handler?.onConfirmed?.();
  }

  onConnectionDrain(): void {
    this.#sender.onConnectionDrain();
  }

  onConnectionClose(cause: HopfairError | undefined): void {
    if (this.#state === 'closed') return;
    if (this.#reader.ended && this.#state === 'ended') {
      this.#finishWhenDelivered(undefined);
      return;
    }
    const message = 'the connection ended without the authenticated end';
    this.#finishWhenDelivered(new HopfairError('CHANNEL_TRUNCATED', message, { cause, retryable: true }));
  }

  // Receiving.

  #sink(): SectionSink {
    return {
      isClosed: () => this.#state === 'closed',
      onMessage: (message, rank) => this.#onMessage(message, rank),
      onAck: (received, credit) => this.#sender.onAck(received, credit),
      onAckDue: () => this.#sender.oweAck(),
      onRekey: () => this.#rx.rekey(),
      onRefresh: (number, isLast, piece) => this.#onRefresh(now => this.#refresh.onPiece(number, isLast, piece, now)),
      onSwitch: () => this.#onSwitch(),
      onEnd: reason => this.#onPeerEnd(reason),
    };
  }

  /** Lets the refresh take a step, and does what comes of it. */
  #onRefresh(take: (now: Instant) => RefreshOutput | undefined): void {
    const { clock } = this.#env;
    const begun = clock.now();
    const output = take(begun);
    if (output === undefined) return;
    this.#options.onHandshakeCost(clock.now() - begun);
    const { message, tx, certificate, error } = output;
    if (message !== undefined) this.#sender.sendRefresh(message.number, message.bytes);
    if (tx !== undefined) this.#sender.switchTo(tx);
    this.#certificate = certificate ?? this.#certificate;
    if (error !== undefined) this.#finish(error);
  }

  #onSwitch(): boolean {
    const rx = this.#refresh.onSwitch(this.#env.clock.now());
    if (rx === undefined) return false;
    this.#rx.destroy();
    this.#rx = rx;
    return true;
  }

  #onMessage(message: Uint8Array, rank: number): void {
    if (this.#state === 'closed') return;
    this.#receivedMessages++;
    this.#receivedBytes += message.length;
    this.#held.deliver(message, rank);
  }

  #onPeerEnd(reason: number): string | undefined {
    if (!isKnownReason(reason)) return 'an end of an unknown reason';
    const refusal = refusalOf(reason);
    if (refusal !== undefined || this.#state === 'ended') this.#finishWhenDelivered(refusal);
    else if (this.#state !== 'held') {
      // Before admission nobody has what the peer sent: it is told that all arrived once that is true.
      this.#beginEnd(END_DONE);
      this.#handler?.onEnding?.();
    }
    return undefined;
  }

  /** Held messages were delivered: there may be credit to grant, or an end to complete. */
  #onReleased(): void {
    if (this.#state === 'closed') return;
    if (this.#ending !== undefined && this.#held.isEmpty) this.#finish(this.#ending.cause);
    else if (this.#credit.isWorthTelling()) this.#sender.oweAck();
  }

  // Ending.

  #beginEnd(reason: number): void {
    if (this.#state !== 'held' && this.#state !== 'open') return;
    this.#state = 'ending';
    this.#endReason = reason;
    this.#closeDeadline = after(this.#env.clock.now(), this.#limits.closeTimeoutMs);
    this.#cancelTimer();
    this.#cancelTimer = this.#env.clock.schedule(this.#limits.closeTimeoutMs, this.#onTimer);
    this.#sender.end(reason);
    this.#roomWaiters.end();
  }

  #onEndSent(): void {
    this.#state = 'ended';
    if (this.#revoked !== undefined) this.#finish(this.#revoked);
    else if (this.#reader.ended || this.#endReason !== END_DONE) this.#finishWhenDelivered(undefined);
  }

  #finishWhenDelivered(cause: HopfairError | undefined): void {
    if (this.#held.isEmpty || this.#state === 'held') {
      this.#finish(cause);
      return;
    }
    this.#state = 'ended';
    this.#ending ??= { cause };
  }

  #finish(cause: HopfairError | undefined): void {
    if (this.#state === 'closed') return;
    const wasOrderly = this.#state === 'ended';
    this.#state = 'closed';
    this.#cancelTimer();
    this.#leave?.();
    this.#sender.stop();
    this.#refresh.destroy();
    this.#rx.destroy();
    this.#result.destroy();
    this.#roomWaiters.end();
    if (wasOrderly) this.#connection.close();
    else this.#connection.destroy();
    this.#options.onEnded(cause);
    this.#held.end(cause);
  }

  readonly #onTimer = (): void => {
    if (this.#state === 'closed') return;
    const now = this.#env.clock.now();
    if (this.#closeDeadline !== undefined && now >= this.#closeDeadline) {
      this.#finish(new HopfairError('TIMEOUT', 'the peer did not end in time'));
      return;
    }
    const verdict = this.#liveness.check(now, this.#sender.isStarved);
    if (verdict === 'dead') {
      this.#finish(new HopfairError('TIMEOUT', 'the peer is silent or takes nothing', { retryable: true }));
      return;
    }
    if (verdict === 'silent' && this.#state !== 'held') this.#sender.ask();
    if (this.#state === 'open') this.#onRefresh(at => this.#refresh.tick(at));
    if (!this.closed) this.#cancelTimer = this.#env.clock.schedule(this.#untilNextLook(now), this.#onTimer);
  };

  #untilNextLook(now: Instant): number {
    if (this.#closeDeadline !== undefined) return this.#closeDeadline - now;
    if (this.#state !== 'open') return this.#limits.pingIntervalMs;
    return Math.min(this.#limits.pingIntervalMs, this.#refresh.nextDeadline - now);
  }
}

const tooLarge = (length: number): HopfairError =>
  new HopfairError('INVALID_ARGUMENT', `a message of ${length} bytes is too large`);
