/** The transport phase: what is sealed, opened, queued, acknowledged and ended over one authenticated connection. */
import { EMPTY } from '../bytes.js';
import { after, type Cancel, type Env, type Instant } from '../env.js';
import { HopfairError, requireArgument } from '../errors.js';
import type { Certificate, PeerId } from '../identity/index.js';
import type { Connection } from '../transport.js';
import { HeldMessages } from './held-messages.js';
import { LivenessWatch } from './liveness.js';
import { ReceiveLane } from './receive-lane.js';
import {
  ACK_BYTES,
  END_DONE,
  END_NOT_ADMITTED,
  INITIAL_CREDIT_BYTES,
  KIND,
  LANES,
  MESSAGE_HEADER_BYTES,
  PRIORITIES,
  readU24,
  readU64,
  SECTION_HEADER_BYTES,
  TAG_BYTES,
  writeSectionHeader,
  writeU64,
} from './record.js';
import { RekeySchedule } from './rekey-schedule.js';
import { SendLane } from './send-lane.js';
import { SendWindow } from './send-window.js';
import type {
  Channel,
  ChannelHandler,
  ChannelLimits,
  ChannelSendOptions,
  ChannelStats,
  HandshakeResult,
  Priority,
  Role,
} from './types.js';

/** A cut smaller than this waits for more room, unless it is all that is left. */
const MIN_CUT_BYTES = 4_096;
/** Part of the queue that only urgent messages may use. */
const URGENT_RESERVE_SHARE = 0.125;
/** One record takes a quarter of the window of bulk, so that urgent messages pass between small pieces on slow paths. */
const BULK_CUT_SHIFT = 2;
/** An ack, an ask, and an end or a rekey. */
const MAX_CONTROL_BYTES = 32;
const URGENT = 0;
const NORMAL = 1;
const BULK = 2;
/** Above every real length. */
const UNLIMITED = Number.POSITIVE_INFINITY;

/** `held`: authenticated, not yet admitted. `ending`: our end is to be sent after the queue. `ended`: it was. */
type State = 'held' | 'open' | 'ending' | 'ended' | 'closed';

export interface SecureChannelOptions {
  readonly env: Env;
  readonly role: Role;
  readonly connection: Connection;
  readonly result: HandshakeResult;
  readonly limits: ChannelLimits;
  /** Called once, when the first record of the peer has opened. */
  readonly onConfirmed: () => void;
  /** Called once, before the handler's `onClose`. */
  readonly onEnded: (cause: HopfairError | undefined) => void;
}

const protocolError = (why: string): HopfairError =>
  new HopfairError('DECODE_FAILED', `the peer broke the protocol: ${why}`);

/**
 * Nothing here is allocated per message; per record, the parts and what the AEAD returns. The channel takes over the
 * connection's handler and the handshake's result, and answers for destroying both.
 */
export class SecureChannel implements Channel {
  readonly role: Role;
  readonly peer: PeerId;
  readonly remoteAddress: string;
  readonly certificate: Certificate;
  readonly handshakeHash: Uint8Array;
  readonly #env: Env;
  readonly #connection: Connection;
  readonly #result: HandshakeResult;
  readonly #limits: ChannelLimits;
  readonly #options: SecureChannelOptions;
  readonly #maxRecordBytes: number;
  readonly #maxQueueBytes: number;

  readonly #lanes: readonly SendLane[] = PRIORITIES.map((_, rank) => new SendLane(rank));
  readonly #window = new SendWindow();
  readonly #rekeys: RekeySchedule;
  readonly #liveness: LivenessWatch;
  readonly #parts: Uint8Array[] = [];
  readonly #control = new Uint8Array(MAX_CONTROL_BYTES);
  #queued = 0;
  #flushScheduled = false;
  #connectionFull = false;
  #refusedSend = false;
  #ackDue = false;
  #askDue = false;
  #endReason: number = END_DONE;

  readonly #receiveLanes: readonly ReceiveLane[];
  readonly #held: HeldMessages;
  #handler: ChannelHandler | undefined;
  #state: State = 'held';
  #confirmed = false;
  #peerEnded = false;
  #received = 0;
  #granted: number = INITIAL_CREDIT_BYTES;
  #ending: { readonly cause: HopfairError | undefined } | undefined;
  #cancelTimer: Cancel;
  #closeDeadline: Instant | undefined;

  #sentMessages = 0;
  #sentBytes = 0;
  #sentRecords = 0;
  #receivedMessages = 0;
  #receivedBytes = 0;
  #receivedRecords = 0;

  constructor(options: SecureChannelOptions) {
    const { env, connection, result, limits, role } = options;
    this.role = role;
    this.peer = result.peer;
    this.remoteAddress = connection.remoteAddress;
    this.certificate = result.certificate;
    this.handshakeHash = result.handshakeHash;
    this.#env = env;
    this.#connection = connection;
    this.#result = result;
    this.#limits = limits;
    this.#options = options;
    this.#maxRecordBytes = limits.maxMessageBytes - TAG_BYTES;
    this.#maxQueueBytes = limits.maxChannelQueueBytes;
    const now = env.clock.now();
    this.#rekeys = new RekeySchedule(now);
    this.#liveness = new LivenessWatch(limits, now);
    this.#held = new HeldMessages(env.clock, () => this.#onReleased());
    this.#receiveLanes = PRIORITIES.map(
      (_, rank) => new ReceiveLane(limits.maxChannelMessageBytes, message => this.#onMessage(message, rank)),
    );
    this.#cancelTimer = env.clock.schedule(limits.pingIntervalMs, this.#onTimer);
  }

  get closed(): boolean {
    return this.#state === 'closed';
  }

  get stats(): ChannelStats {
    const { minRttMs } = this.#window;
    return {
      sentMessages: this.#sentMessages,
      sentBytes: this.#sentBytes,
      sentRecords: this.#sentRecords,
      receivedMessages: this.#receivedMessages,
      receivedBytes: this.#receivedBytes,
      receivedRecords: this.#receivedRecords,
      expiredMessages: this.#lanes.reduce((sum, lane) => sum + lane.expired, 0),
      queuedBytes: this.#queued,
      heldBytes: this.#held.bytes,
      unacknowledgedBytes: this.#window.unacknowledged,
      windowBytes: this.#window.bytes,
      minRttMs: minRttMs === UNLIMITED ? undefined : minRttMs,
    };
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
    const parts = message instanceof Uint8Array ? undefined : message;
    const length = parts === undefined ? (message as Uint8Array).length : lengthOf(parts);
    requireArgument(length <= this.#limits.maxChannelMessageBytes, `a message of ${length} bytes is too large`);
    const rank = rankOf(options?.priority);
    const room = rank === URGENT ? this.#maxQueueBytes : this.#maxQueueBytes * (1 - URGENT_RESERVE_SHARE);
    if (this.#queued + length + MESSAGE_HEADER_BYTES > room) {
      this.#refusedSend = true;
      return false;
    }
    const lane = this.#lanes[rank] as SendLane;
    const ttlMs = options?.ttlMs;
    if (parts === undefined && ttlMs === undefined) lane.pushOne(message as Uint8Array);
    else {
      const deadline = ttlMs === undefined ? UNLIMITED : after(this.#env.clock.now(), ttlMs);
      lane.push(parts ?? [message as Uint8Array], length, deadline);
    }
    this.#queued += length + MESSAGE_HEADER_BYTES;
    this.#sentMessages++;
    this.#sentBytes += length;
    this.#scheduleFlush();
    return true;
  }

  close(): void {
    this.#beginEnd(END_DONE);
  }

  destroy(cause?: HopfairError): void {
    this.#finish(cause);
  }

  /** The peer may have its channel now. */
  admit(): void {
    if (this.#state !== 'held') return;
    this.#state = 'open';
    // IK's responder waits for a record before it believes in its initiator.
    if (this.role === 'initiator') this.#askDue = true;
    this.#scheduleFlush();
  }

  /** The peer is told, in an authenticated end, that it may not. */
  refuse(): void {
    if (this.#state === 'held') this.#beginEnd(END_NOT_ADMITTED);
  }

  // Called by the connection.

  onRecord(record: Uint8Array): void {
    if (this.#state === 'closed') return;
    const plaintext = this.#result.rx.decryptWithAd(EMPTY, record);
    if (plaintext === undefined) {
      this.#finish(new HopfairError('DECRYPT_FAILED', 'a record did not authenticate'));
      return;
    }
    this.#receivedRecords++;
    this.#liveness.onHeard(this.#env.clock.now());
    const broken = this.#readSections(plaintext);
    if (broken !== undefined) this.#finish(protocolError(broken));
    if (this.#confirmed) return;
    this.#confirmed = true;
    this.#options.onConfirmed();
  }

  onConnectionDrain(): void {
    this.#connectionFull = false;
    this.#flush();
  }

  onConnectionClose(cause: HopfairError | undefined): void {
    if (this.#state === 'closed') return;
    if (this.#peerEnded && this.#state === 'ended') {
      this.#finishWhenDelivered(undefined);
      return;
    }
    const message = 'the connection ended without the authenticated end';
    this.#finishWhenDelivered(new HopfairError('CHANNEL_TRUNCATED', message, { cause, retryable: true }));
  }

  // Receiving.

  /** Returns what is wrong with the record, if anything. */
  #readSections(plaintext: Uint8Array): string | undefined {
    let at = 0;
    while (at < plaintext.length) {
      if (plaintext.length - at < SECTION_HEADER_BYTES) return 'a section header is cut off';
      const kind = plaintext[at] as number;
      const start = at + SECTION_HEADER_BYTES;
      at = start + readU24(plaintext, at + 1);
      if (at > plaintext.length) return 'a section is cut off';
      const broken =
        kind < LANES ? this.#onLaneSection(kind, plaintext, start, at) : this.#onControl(kind, plaintext, start, at);
      if (broken !== undefined) return broken;
      if (this.#state === 'closed') return undefined; // by a handler, in between
    }
    return undefined;
  }

  #onLaneSection(rank: number, plaintext: Uint8Array, start: number, end: number): string | undefined {
    if (this.#peerEnded) return 'a message follows the end';
    this.#received += end - start;
    if (this.#received > this.#granted) return 'more was sent than was granted';
    if (!(this.#receiveLanes[rank] as ReceiveLane).push(plaintext, start, end)) return 'a message is too large';
    if (!this.#ackDue && this.#state !== 'closed' && this.#isCreditWorthTelling()) this.#oweAck();
    return undefined;
  }

  #onControl(kind: number, plaintext: Uint8Array, start: number, end: number): string | undefined {
    const length = end - start;
    switch (kind) {
      case KIND.ack: {
        if (length !== ACK_BYTES) return 'an ack of a wrong length';
        const now = this.#env.clock.now();
        const possible = this.#window.onAck(readU64(plaintext, start), readU64(plaintext, start + 8), now);
        if (possible && this.#queued > 0) this.#scheduleFlush();
        return possible ? undefined : 'an ack that cannot be';
      }
      case KIND.ask:
        this.#oweAck();
        return undefined;
      case KIND.rekey:
        if (end !== plaintext.length) return 'something follows a rekey in its record';
        this.#result.rx.rekey();
        return undefined;
      case KIND.end:
        if (length !== 1 || this.#peerEnded) return 'an end of a wrong length, or a second one';
        this.#onPeerEnd(plaintext[start] as number);
        return undefined;
      default:
        return 'an unknown kind of section';
    }
  }

  #onMessage(message: Uint8Array, rank: number): void {
    if (this.#state === 'closed') return;
    this.#receivedMessages++;
    this.#receivedBytes += message.length;
    this.#held.deliver(message, rank);
  }

  #onPeerEnd(reason: number): void {
    this.#peerEnded = true;
    if (reason === END_NOT_ADMITTED) {
      this.#finishWhenDelivered(new HopfairError('NOT_ADMITTED', 'the peer did not admit this one'));
    } else if (this.#state === 'ended') this.#finishWhenDelivered(undefined);
    else this.#beginEnd(END_DONE);
  }

  /** Held messages were delivered: there may be credit to grant, or an end to complete. */
  #onReleased(): void {
    if (this.#state === 'closed') return;
    if (this.#ending !== undefined && this.#held.isEmpty) this.#finish(this.#ending.cause);
    else if (this.#isCreditWorthTelling()) this.#oweAck();
  }

  get #credit(): number {
    return Math.max(this.#granted, this.#received - this.#held.bytes + this.#limits.maxChannelReceiveBytes);
  }

  #isCreditWorthTelling(): boolean {
    return this.#credit - this.#granted > this.#limits.maxChannelReceiveBytes / 2 && this.#received > 0;
  }

  #oweAck(): void {
    this.#ackDue = true;
    this.#scheduleFlush();
  }

  // Sending.

  #scheduleFlush(): void {
    if (this.#flushScheduled || this.#state === 'held' || this.#state === 'closed') return;
    this.#flushScheduled = true;
    this.#env.clock.defer(this.#flush);
  }

  readonly #flush = (): void => {
    this.#flushScheduled = false;
    if (this.#state === 'held' || this.#state === 'closed') return;
    const now = this.#env.clock.now();
    while (!this.#connectionFull && this.#sendRecord(now)) if (this.closed) return;
    if (this.#refusedSend && this.#queued <= this.#maxQueueBytes / 2) {
      this.#refusedSend = false;
      this.#handler?.onDrain();
    }
  };

  /** Seals and sends one record of everything that may leave; false when there is nothing. */
  #sendRecord(now: Instant): boolean {
    const parts = this.#parts;
    parts.length = 0;
    let room = this.#maxRecordBytes - this.#control.length;
    for (let rank = 0; rank < LANES; rank++) room -= this.#takeFrom(rank, room, now);
    const asks = this.#askDue || (parts.length > 0 && this.#window.shouldAsk(this.#isStuck()));
    const ends = this.#state === 'ending' && this.#queued === 0;
    if (parts.length === 0 && !asks && !this.#ackDue && !ends) return false;
    const rekeys = !ends && this.#rekeys.isDue(now);
    this.#putControl(now, asks, ends, rekeys);
    const sealed = this.#result.tx.encryptPartsWithAd(EMPTY, parts);
    this.#rekeys.onSealed(this.#maxRecordBytes - room);
    if (rekeys) {
      this.#result.tx.rekey();
      this.#rekeys.onRekeyed(now);
    }
    this.#sentRecords++;
    if (!this.#connection.send(sealed)) this.#connectionFull = this.#connection.bufferedBytes > 0;
    if (ends) this.#onEndSent();
    return true;
  }

  /** Moves what one lane may send into the parts of the record; returns the room that it used. */
  #takeFrom(rank: number, room: number, now: Instant): number {
    const lane = this.#lanes[rank] as SendLane;
    const waiting = lane.bytes;
    if (waiting === 0) return 0;
    const window = this.#window;
    let max = Math.min(room - SECTION_HEADER_BYTES, window.room(PRIORITIES[rank] as Priority));
    if (rank === BULK) max = Math.min(max, Math.max(window.bytes >>> BULK_CUT_SHIFT, MIN_CUT_BYTES));
    if (max < waiting && max < MIN_CUT_BYTES) {
      if (window.creditLeft > max) window.onLimited();
      return 0;
    }
    const taken = lane.take(max, now, this.#parts);
    this.#queued -= waiting - lane.bytes;
    window.onSent(taken);
    return taken === 0 ? 0 : taken + SECTION_HEADER_BYTES;
  }

  /** Whether what is next must wait for an ack: lower lanes have no more room than it has. */
  #isStuck(): boolean {
    for (let rank = 0; rank < LANES; rank++) {
      const waiting = (this.#lanes[rank] as SendLane).bytes;
      if (waiting > 0) return this.#window.room(PRIORITIES[rank] as Priority) < Math.min(waiting, MIN_CUT_BYTES);
    }
    return false;
  }

  /** Control goes in front, but for what must be last: the rekey and the end. */
  #putControl(now: Instant, asks: boolean, ends: boolean, rekeys: boolean): void {
    const control = this.#control;
    let at = 0;
    if (this.#ackDue) {
      this.#ackDue = false;
      this.#granted = this.#credit;
      writeSectionHeader(control, at, KIND.ack, ACK_BYTES);
      writeU64(control, at + SECTION_HEADER_BYTES, this.#received);
      writeU64(control, at + SECTION_HEADER_BYTES + 8, this.#granted);
      at += SECTION_HEADER_BYTES + ACK_BYTES;
    }
    if (asks) {
      this.#askDue = false;
      this.#window.onAsk(now);
      writeSectionHeader(control, at, KIND.ask, 0);
      at += SECTION_HEADER_BYTES;
    }
    if (at > 0) this.#parts.unshift(control.subarray(0, at));
    if (!ends && !rekeys) return;
    const last = at;
    writeSectionHeader(control, at, ends ? KIND.end : KIND.rekey, ends ? 1 : 0);
    at += SECTION_HEADER_BYTES;
    if (ends) control[at++] = this.#endReason;
    this.#parts.push(control.subarray(last, at));
  }

  // Ending.

  #beginEnd(reason: number): void {
    if (this.#state !== 'held' && this.#state !== 'open') return;
    this.#state = 'ending';
    this.#endReason = reason;
    this.#closeDeadline = after(this.#env.clock.now(), this.#limits.closeTimeoutMs);
    this.#cancelTimer();
    this.#cancelTimer = this.#env.clock.schedule(this.#limits.closeTimeoutMs, this.#onTimer);
    this.#scheduleFlush();
  }

  #onEndSent(): void {
    this.#state = 'ended';
    if (this.#peerEnded || this.#endReason === END_NOT_ADMITTED) this.#finishWhenDelivered(undefined);
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
    this.#result.destroy();
    for (const lane of this.#lanes) lane.clear();
    this.#queued = 0;
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
    const isStarved = this.#queued > 0 && this.#window.creditLeft < MIN_CUT_BYTES;
    const verdict = this.#liveness.check(now, isStarved);
    if (verdict === 'dead') {
      this.#finish(new HopfairError('TIMEOUT', 'the peer is silent or takes nothing', { retryable: true }));
      return;
    }
    if (verdict === 'silent' && this.#state !== 'held') {
      this.#askDue = true;
      this.#scheduleFlush();
    }
    if (this.#queued === 0) for (const lane of this.#lanes) lane.shrink();
    const next = this.#closeDeadline === undefined ? this.#limits.pingIntervalMs : this.#closeDeadline - now;
    this.#cancelTimer = this.#env.clock.schedule(next, this.#onTimer);
  };
}

function rankOf(priority: Priority | undefined): number {
  return priority === undefined || priority === 'normal' ? NORMAL : priority === 'urgent' ? URGENT : BULK;
}

function lengthOf(parts: readonly Uint8Array[]): number {
  let length = 0;
  for (let i = 0; i < parts.length; i++) length += (parts[i] as Uint8Array).length;
  return length;
}
