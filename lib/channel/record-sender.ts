/** The sending half of a channel: lanes, window and control sections become records, one flush a turn. */
import { EMPTY } from '../bytes.js';
import type { Env, Instant } from '../env.js';
import type { CipherState } from '../noise/index.js';
import type { Connection } from '../transport.js';
import type { LengthBuckets } from './length-buckets.js';
import type { ReceiveCredit } from './receive-credit.js';
import {
  ACK_BYTES,
  BULK,
  KIND,
  LANES,
  MESSAGE_HEADER_BYTES,
  MIN_CUT_BYTES,
  NORMAL,
  PRIORITIES,
  SECTION_HEADER_BYTES,
  TAG_BYTES,
  URGENT,
  writeSectionHeader,
  writeU64,
} from './record.js';
import { RefreshOutbox } from './refresh-outbox.js';
import { RekeySchedule } from './rekey-schedule.js';
import { SendLane } from './send-lane.js';
import { SendWindow } from './send-window.js';
import type { ChannelLimits, Priority } from './types.js';

/** Part of the queue that only urgent messages may use. */
const URGENT_RESERVE_SHARE = 0.125;
/** One record takes a quarter of the window of bulk, so that urgent messages pass between small pieces on slow paths. */
const BULK_CUT_SHIFT = 2;
/** An ack, an ask, and an end or a rekey. */
const MAX_CONTROL_BYTES = 32;

/** Written and sealed in one go: one for all channels. */
const CONTROL = new Uint8Array(MAX_CONTROL_BYTES);

export interface RecordSenderOptions {
  readonly env: Env;
  readonly connection: Connection;
  /** What records are sealed with; destroyed by `stop`, or when another takes its place. */
  readonly tx: CipherState;
  readonly limits: ChannelLimits;
  /** Lengths that records are padded to. */
  readonly buckets: LengthBuckets | undefined;
  /** What acks tell. */
  readonly credit: ReceiveCredit;
  /** There is room again after `queue` refused, or after `requestRoom`. */
  readonly onRoom: () => void;
  /** The end has been handed to the connection; nothing but acks follows it. */
  readonly onEndSent: () => void;
}

/** Nothing is allocated per message; per record, the parts and what the AEAD returns. */
export class RecordSender {
  readonly #options: RecordSenderOptions;
  readonly #maxRecordBytes: number;
  readonly #maxQueueBytes: number;
  readonly #lanes: readonly SendLane[] = PRIORITIES.map((_, rank) => new SendLane(rank));
  readonly #window = new SendWindow();
  readonly #rekeys: RekeySchedule;
  readonly #refresh = new RefreshOutbox();
  #tx: CipherState;
  /** Seals what follows the messages of the refresh that wait. */
  #nextTx: CipherState | undefined;
  readonly #parts: Uint8Array[] = [];
  #phase: 'corked' | 'flowing' | 'stopped' = 'corked';
  #queued = 0;
  #records = 0;
  #flushScheduled = false;
  #connectionFull = false;
  #hasRefused = false;
  #roomWanted: number | undefined;
  #messagesHeld = false;
  #ackDue = false;
  #askDue = false;
  #endReason: number | undefined;
  #endSent = false;

  constructor(options: RecordSenderOptions) {
    const { limits, env } = options;
    this.#options = options;
    this.#tx = options.tx;
    const { buckets } = options;
    const longest = buckets === undefined ? limits.maxMessageBytes : buckets.largest - SECTION_HEADER_BYTES;
    this.#maxRecordBytes = longest - TAG_BYTES;
    this.#maxQueueBytes = limits.maxChannelQueueBytes;
    this.#rekeys = new RekeySchedule(env.clock.now());
  }

  get window(): Readonly<Pick<SendWindow, 'bytes' | 'unacknowledged' | 'minRttMs'>> {
    return this.#window;
  }

  get queuedBytes(): number {
    return this.#queued;
  }

  /** Bytes that would leave at once beyond the urgent and normal ones that wait; negative while those must wait. */
  get headroomBytes(): number {
    const isStopped = this.#phase !== 'flowing' || this.#connectionFull || this.#messagesHeld;
    const room = isStopped ? 0 : Math.max(0, this.#window.room('normal'));
    return room - (this.#lanes[URGENT] as SendLane).bytes - (this.#lanes[NORMAL] as SendLane).bytes;
  }

  /** `onRoom` is called once, when the headroom is above this; not before some of what waits has left. */
  requestRoom(headroomBytes: number): void {
    this.#roomWanted = headroomBytes;
  }

  get records(): number {
    return this.#records;
  }

  get expired(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.expired, 0);
  }

  get dropped(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.dropped, 0);
  }

  /** A message was refused, and the queue has not become half empty since. */
  get hasRefused(): boolean {
    return this.#hasRefused;
  }

  /** Messages wait for credit that the peer does not grant. */
  get isStarved(): boolean {
    return this.#queued > 0 && this.#window.creditLeft < MIN_CUT_BYTES;
  }

  /** Nothing leaves before. */
  uncork(): void {
    if (this.#phase !== 'corked') return;
    this.#phase = 'flowing';
    this.#scheduleFlush();
  }

  /** Nothing leaves any more. */
  stop(): void {
    this.#phase = 'stopped';
    for (const lane of this.#lanes) lane.clear();
    this.#queued = 0;
    this.#refresh.clear();
    this.#tx.destroy();
    this.#nextTx?.destroy();
  }

  /** Queues one message of `length` bytes, or answers false. */
  queue(
    message: Uint8Array | readonly Uint8Array[],
    length: number,
    rank: number,
    ttlMs: number | undefined,
    dropsStalest: boolean,
  ): boolean {
    const room = rank === URGENT ? this.#maxQueueBytes : this.#maxQueueBytes * (1 - URGENT_RESERVE_SHARE);
    const excess = this.#queued + length + MESSAGE_HEADER_BYTES - room;
    if (excess > 0 && !(dropsStalest && this.#makeRoom(excess, rank))) {
      this.#hasRefused = true;
      return false;
    }
    const lane = this.#lanes[rank] as SendLane;
    const isOne = message instanceof Uint8Array;
    if (isOne && ttlMs === undefined) lane.pushOne(message);
    else {
      const deadline = ttlMs === undefined ? Number.POSITIVE_INFINITY : this.#options.env.clock.now() + ttlMs;
      lane.push(isOne ? [message] : message, length, deadline);
    }
    this.#queued += length + MESSAGE_HEADER_BYTES;
    this.#scheduleFlush();
    return true;
  }

  /** Messages are queued and wait until `releaseMessages` or `end`; acks and asks leave all the same. */
  holdMessages(): void {
    this.#messagesHeld = true;
  }

  releaseMessages(): void {
    if (!this.#messagesHeld) return;
    this.#messagesHeld = false;
    this.#scheduleFlush();
  }

  oweAck(): void {
    this.#ackDue = true;
    this.#scheduleFlush();
  }

  /** A message of a key refresh. Nothing of the sort follows the end. */
  sendRefresh(number: number, bytes: Uint8Array): void {
    if (this.#endSent) return;
    this.#refresh.push(number, bytes);
    this.#scheduleFlush();
  }

  /** Seals with this key after the messages of the refresh, and answers for destroying it. */
  switchTo(tx: CipherState): void {
    this.#nextTx?.destroy();
    this.#nextTx = tx;
    this.#scheduleFlush();
  }

  /** Asks for an ack even when nothing else is sent: a ping. */
  ask(): void {
    this.#askDue = true;
    this.#scheduleFlush();
  }

  /** The authenticated end follows what is queued. */
  end(reason: number): void {
    this.#endReason = reason;
    this.#messagesHeld = false;
    this.uncork();
    this.#scheduleFlush();
  }

  /** The authenticated end leaves at once, and what is queued never does. */
  endNow(reason: number): void {
    if (this.#endSent || this.#phase === 'stopped') return;
    for (const lane of this.#lanes) lane.clear();
    this.#queued = 0;
    this.#endReason = reason;
    this.#phase = 'flowing';
    this.#sendRecord(this.#options.env.clock.now());
  }

  /** False when the ack claims what cannot be. */
  onAck(received: number, credit: number): boolean {
    const isPossible = this.#window.onAck(received, credit, this.#options.env.clock.now());
    if (isPossible && this.#queued > 0) this.#scheduleFlush();
    return isPossible;
  }

  onConnectionDrain(): void {
    this.#connectionFull = false;
    this.#flush();
  }

  /** Drops the oldest of the lowest lanes down to this rank; nothing when that would not be enough. */
  #makeRoom(excess: number, rank: number): boolean {
    let droppable = 0;
    for (let i = LANES - 1; i >= rank && droppable < excess; i--)
      droppable += (this.#lanes[i] as SendLane).droppableBytes;
    if (droppable < excess) return false;
    let missing = excess;
    for (let i = LANES - 1; i >= rank; i--) {
      while (missing > 0) {
        const dropped = (this.#lanes[i] as SendLane).dropStalest();
        if (dropped === 0) break;
        this.#queued -= dropped;
        missing -= dropped;
      }
    }
    return true;
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled || this.#phase !== 'flowing') return;
    this.#flushScheduled = true;
    this.#options.env.clock.defer(this.#flush);
  }

  readonly #flush = (): void => {
    this.#flushScheduled = false;
    const now = this.#options.env.clock.now();
    while (this.#phase === 'flowing' && !this.#connectionFull && this.#sendRecord(now));
    if (this.#phase !== 'flowing') return;
    const takesAgain = this.#hasRefused && this.#queued <= this.#maxQueueBytes / 2;
    const hasRoom = this.#roomWanted !== undefined && this.headroomBytes > this.#roomWanted;
    if (takesAgain) this.#hasRefused = false;
    if (hasRoom) this.#roomWanted = undefined;
    if (takesAgain || hasRoom) this.#options.onRoom();
  };

  /** Seals and sends one record of everything that may leave; false when there is nothing. */
  #sendRecord(now: Instant): boolean {
    const { connection, onEndSent } = this.#options;
    const tx = this.#tx;
    const parts = this.#parts;
    parts.length = 0;
    let room = this.#maxRecordBytes - MAX_CONTROL_BYTES;
    if (!this.#refresh.isEmpty) room -= this.#refresh.take(room, parts);
    if (!this.#messagesHeld) for (let rank = 0; rank < LANES; rank++) room -= this.#takeFrom(rank, room, now);
    const asks = this.#askDue || (parts.length > 0 && this.#isAskDue());
    const ends = this.#endReason !== undefined && !this.#endSent && this.#queued === 0 && this.#refresh.isEmpty;
    const switches = this.#nextTx !== undefined && this.#refresh.isEmpty && !ends && !this.#endSent;
    if (parts.length === 0 && !asks && !this.#ackDue && !ends && !switches) return false;
    const rekeys = !ends && !switches && this.#rekeys.isDue(now);
    const used = this.#maxRecordBytes - room;
    const padding = this.#putControl(
      now,
      asks,
      used - MAX_CONTROL_BYTES,
      ends ? KIND.end : switches ? KIND.switch : rekeys ? KIND.rekey : undefined,
    );
    const sealed = tx.encryptPartsWithAd(EMPTY, parts);
    this.#rekeys.onSealed(used + padding);
    if (rekeys) tx.rekey();
    if (switches) this.#switch();
    if (rekeys || switches) this.#rekeys.onRekeyed(now);
    this.#records++;
    if (!connection.send(sealed)) this.#connectionFull = connection.bufferedBytes > 0;
    if (ends) {
      this.#endSent = true;
      onEndSent();
    }
    return true;
  }

  #switch(): void {
    if (this.#nextTx === undefined) return;
    this.#tx.destroy();
    this.#tx = this.#nextTx;
    this.#nextTx = undefined;
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
    window.onSent(taken, now);
    return taken === 0 ? 0 : taken + SECTION_HEADER_BYTES;
  }

  #isAskDue(): boolean {
    return this.#window.shouldAsk(this.#isStuck(), (this.#lanes[BULK] as SendLane).bytes > 0);
  }

  /** Whether what is next must wait for an ack: lower lanes have no more room than it has. */
  #isStuck(): boolean {
    for (let rank = 0; rank < LANES; rank++) {
      const waiting = (this.#lanes[rank] as SendLane).bytes;
      if (waiting > 0) return this.#window.room(PRIORITIES[rank] as Priority) < Math.min(waiting, MIN_CUT_BYTES);
    }
    return false;
  }

  /**
   * Control goes in front of the `body`, but for what must be last: a change of keys, or the end. Returns the bytes of
   * padding, which goes before it.
   */
  #putControl(now: Instant, asks: boolean, body: number, lastKind: number | undefined): number {
    const control = CONTROL;
    let at = 0;
    if (this.#ackDue) {
      this.#ackDue = false;
      const { credit } = this.#options;
      writeSectionHeader(control, at, KIND.ack, ACK_BYTES);
      writeU64(control, at + SECTION_HEADER_BYTES, credit.received);
      writeU64(control, at + SECTION_HEADER_BYTES + 8, credit.grant());
      at += SECTION_HEADER_BYTES + ACK_BYTES;
    }
    if (asks) {
      this.#askDue = false;
      this.#window.onAsk(now);
      writeSectionHeader(control, at, KIND.ask, 0);
      at += SECTION_HEADER_BYTES;
    }
    if (at > 0) this.#parts.unshift(control.subarray(0, at));
    const ends = lastKind === KIND.end;
    const lastBytes = lastKind === undefined ? 0 : SECTION_HEADER_BYTES + (ends ? 1 : 0);
    const padding = this.#options.buckets?.pad(at + body + lastBytes, this.#parts) ?? 0;
    if (lastKind === undefined) return padding;
    const last = at;
    writeSectionHeader(control, at, lastKind, ends ? 1 : 0);
    at += SECTION_HEADER_BYTES;
    if (ends) control[at++] = this.#endReason ?? 0;
    this.#parts.push(control.subarray(last, at));
    return padding;
  }
}
