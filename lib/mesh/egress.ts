/**
 * What leaves for one neighbour (overlay.md point 15). Data takes turns, this node's own too; control goes first, but takes
 * a twentieth of the bytes at most while data waits. What waits is bounded here and over all neighbours, what waits for
 * too long is dropped, and a neighbour that takes nothing holds up nobody else.
 */
import type { Channel, Priority } from '../channel/types.js';
import type { Clock } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import { dataTtl, NO_TTL, setDataTtl } from '../wire/index.js';
import type { EgressMemory } from './egress-memory.js';
import { FairQueue, type WaitingFrame } from './fair-queue.js';

/** Of data and control together, while both wait. */
const CONTROL_SHARE = 0.05;
const CONTROL_PER_DATA = CONTROL_SHARE / (1 - CONTROL_SHARE);
/** Control that may go first at once: the set-ups of a peer that restarts, some of them post-quantum. */
const CONTROL_BURST_BYTES = 65_536;
/** The channel holds no more than one frame that cannot leave: what waits here is still fair, what waits there is not. */
const MIN_HEADROOM_BYTES = -LIMITS.maxFrameBytes;

const URGENT = { priority: 'urgent' } as const;
const OPTIONS = { urgent: URGENT, normal: { priority: 'normal' }, bulk: { priority: 'bulk' } } as const;

export interface EgressCounters {
  /** Bytes of control that were handed to the channel. */
  controlSentBytes: number;
  /** Frames that made room for others, found none, or passed their ttl. */
  dropped: number;
  expired: number;
}

export class Egress {
  readonly #channelNow: () => Channel | undefined;
  readonly #clock: Clock;
  readonly #memory: EgressMemory;
  readonly #data = new FairQueue();
  readonly #control = new FairQueue();
  /** Bytes of control that may pass waiting data. */
  #allowance = CONTROL_BURST_BYTES;
  #closed = false;
  readonly counters: EgressCounters = { controlSentBytes: 0, dropped: 0, expired: 0 };

  /** `channelNow` gives the channel at present: one may follow another. */
  constructor(channelNow: () => Channel | undefined, clock: Clock, memory: EgressMemory) {
    this.#channelNow = channelNow;
    this.#clock = clock;
    this.#memory = memory;
    memory.add(this);
  }

  /** What waits here, as `FairQueue` counts it. */
  get bytes(): number {
    return this.#data.bytes + this.#control.bytes;
  }

  /** With what waits in the channel: all that is held for this neighbour, but for what the connection has taken. */
  get heldBytes(): number {
    return this.bytes + (this.#channel?.queuedBytes ?? 0);
  }

  /**
   * A data frame, whole or with its body apart, of a source behind this ingress. It is kept: the caller must not change it
   * afterwards. Bulk, which only a node's own traffic knows, goes straight to the channel: everything else overtakes it
   * there.
   */
  sendData(from: PeerId, source: PeerId, head: Uint8Array, body: Uint8Array | undefined, priority: Priority): void {
    const channel = this.#channel;
    if (channel === undefined) return;
    const bytes = head.length + (body?.length ?? 0);
    if (priority === 'bulk') {
      const fits = this.heldBytes + bytes <= LIMITS.maxEgressQueueBytes;
      if (!fits || !send(channel, head, body, priority)) this.counters.dropped += 1;
      return;
    }
    if (this.bytes === 0 && channel.headroomBytes > MIN_HEADROOM_BYTES) {
      this.#earn(bytes);
      if (!send(channel, head, body, priority)) this.counters.dropped += 1;
      return;
    }
    this.#wait(this.#data, from, source, { head: owned(head), body, priority, since: this.#clock.now(), bytes });
    while (this.heldBytes > LIMITS.maxEgressQueueBytes && !this.#data.isEmpty) this.dropOne();
    this.pump();
  }

  /** A control frame, on behalf of a source behind this ingress, or of this node. */
  sendControl(from: PeerId, source: PeerId, frame: Uint8Array): void {
    const channel = this.#channel;
    if (channel === undefined) return;
    if (this.bytes === 0 && channel.headroomBytes > MIN_HEADROOM_BYTES) {
      this.#handControl(channel, frame);
      return;
    }
    const since = this.#clock.now();
    this.#wait(this.#control, from, source, {
      head: frame,
      body: undefined,
      priority: 'urgent',
      since,
      bytes: frame.length,
    });
    while (this.#control.bytes > LIMITS.maxControlQueueBytes) this.#drop(this.#control);
    this.pump();
  }

  /** Sends while the channel has headroom; called again when it has some. */
  pump(): void {
    const channel = this.#channel;
    if (channel === undefined) return;
    while (this.bytes > 0) {
      if (channel.headroomBytes <= MIN_HEADROOM_BYTES) {
        channel.requestRoom(MIN_HEADROOM_BYTES);
        return;
      }
      const control = this.#control.peek();
      if (control !== undefined && (this.#data.isEmpty || control.bytes <= this.#allowance)) {
        if (!this.#data.isEmpty) this.#allowance -= control.bytes;
        this.#handControl(channel, this.#take(this.#control).head);
      } else this.#handData(channel, this.#take(this.#data));
    }
  }

  /** Of the largest ingress the largest source loses its oldest frame; control goes last. */
  dropOne(): void {
    this.#drop(this.#data.isEmpty ? this.#control : this.#data);
  }

  /** Drops what waits and takes nothing more: the neighbour is gone. */
  close(): void {
    this.#closed = true;
    this.#memory.remove(this);
    this.#memory.release(this.bytes);
    this.#data.clear();
    this.#control.clear();
  }

  get #channel(): Channel | undefined {
    return this.#closed ? undefined : this.#channelNow();
  }

  #wait(queue: FairQueue, from: PeerId, source: PeerId, frame: WaitingFrame): void {
    const before = queue.bytes;
    queue.push(from, source, frame);
    this.#memory.reserve(queue.bytes - before);
  }

  #take(queue: FairQueue): WaitingFrame {
    const before = queue.bytes;
    const frame = queue.take() as WaitingFrame;
    this.#memory.release(before - queue.bytes);
    return frame;
  }

  #drop(queue: FairQueue): void {
    this.#memory.release(queue.dropFromLargest());
    this.counters.dropped += 1;
  }

  #handControl(channel: Channel, frame: Uint8Array): void {
    if (channel.send(frame, URGENT)) this.counters.controlSentBytes += frame.length;
    else this.counters.dropped += 1;
  }

  #handData(channel: Channel, { head, body, priority, since, bytes }: WaitingFrame): void {
    const ttlMs = dataTtl(head);
    if (ttlMs !== NO_TTL) {
      const left = ttlMs - Math.ceil(this.#clock.now() - since);
      if (left <= 0) {
        this.counters.expired += 1;
        return;
      }
      setDataTtl(head, left);
    }
    this.#earn(bytes);
    if (!send(channel, head, body, priority)) this.counters.dropped += 1;
  }

  #earn(dataBytes: number): void {
    this.#allowance = Math.min(CONTROL_BURST_BYTES, this.#allowance + dataBytes * CONTROL_PER_DATA);
  }
}

function send(channel: Channel, head: Uint8Array, body: Uint8Array | undefined, priority: Priority): boolean {
  return channel.send(body === undefined ? head : [head, body], OPTIONS[priority]);
}

/** A small frame is a view of the record that it came in, which it would keep alive: it gets memory of its own. */
function owned(frame: Uint8Array): Uint8Array {
  return frame.buffer.byteLength > 2 * frame.length ? new Uint8Array(frame) : frame;
}
