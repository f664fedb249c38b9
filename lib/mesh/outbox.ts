/**
 * What is to be sent to one peer: messages by lane, put into parcels when a packet is made, and kept until all of them is
 * receipted. It outlives sessions: what a lost session had under way is requeued, and the receiver's sequence numbers
 * tell repetitions apart. Bounded in bytes.
 */
import type { Instant } from '../env.js';
import { LIMITS } from '../limits.js';
import { FIRST_LIMIT, messageCost } from './credit.js';
import { Fifo } from './fifo.js';
import { CLASSES, type DeliveryClass, type SendOptions, type Service } from './messaging.js';
import { type Lane, LiveMessages, type OutMessage, type OutStream, type Parcel } from './out-message.js';
import { ParcelMaker } from './parcel-maker.js';

export class Outbox {
  /** By class and number of paths; most are never made. */
  readonly #lanes: (Lane | undefined)[] = [];
  readonly #streams = new Map<Service, OutStream>();
  readonly #live = new LiveMessages();
  #expiringSequence = 0;
  #bytes = 0;

  /** What all messages cost that are not settled. */
  get bytes(): number {
    return this.#bytes;
  }

  get empty(): boolean {
    return this.#live.empty;
  }

  /** False, having queued nothing, when the queue is full, or that of the service while its receiver takes nothing. */
  push(service: Service, bytes: Uint8Array, options: SendOptions, expiresAt: Instant | undefined): boolean {
    const cost = messageCost(bytes.length);
    if (this.#bytes + cost > LIMITS.maxSessionQueueBytes) return false;
    const stream = this.#stream(service);
    if (expiresAt === undefined && stream.queued + cost > stream.limit + LIMITS.serviceBacklogBytes) return false;
    const message: OutMessage = {
      stream,
      lane: this.#lane(options.class ?? 'normal', options.paths ?? 1),
      numbering: expiresAt !== undefined ? 'expiring' : options.ordered === false ? 'unordered' : 'ordered',
      bytes,
      expiresAt,
      sequence: 0,
      end: 0,
      cut: 0,
      settled: 0,
      live: true,
      previous: undefined,
      next: undefined,
    };
    this.#number(message, cost);
    this.#live.add(message);
    this.#bytes += cost;
    message.lane.queue.push(message);
    return true;
  }

  #stream(service: Service): OutStream {
    let stream = this.#streams.get(service);
    if (stream === undefined) {
      stream = { service, ordered: 0, unordered: 0, queued: 0, limit: FIRST_LIMIT, parked: [] };
      this.#streams.set(service, stream);
    }
    return stream;
  }

  #lane(trafficClass: DeliveryClass, paths: number): Lane {
    const at = CLASSES.indexOf(trafficClass) * LIMITS.maxPathsPerMessage + paths - 1;
    this.#lanes[at] ??= { class: trafficClass, paths, queue: new Fifo(), pieces: new Fifo() };
    return this.#lanes[at];
  }

  #number(message: OutMessage, cost: number): void {
    const { stream, numbering } = message;
    if (numbering === 'expiring') {
      message.sequence = ++this.#expiringSequence;
      return;
    }
    message.sequence = numbering === 'ordered' ? ++stream.ordered : ++stream.unordered;
    stream.queued += cost;
    message.end = stream.queued;
  }

  /** The lane of the most urgent thing that waits and may be sent. */
  get waiting(): Lane | undefined {
    for (const lane of this.#lanes) {
      if (lane !== undefined && (lane.queue.length > 0 || lane.pieces.length > 0)) return lane;
    }
    return undefined;
  }

  /** What fits into one packet; undefined when nothing was left after all. */
  take(lane: Lane, now: Instant): Parcel | undefined {
    const maker = new ParcelMaker(lane);
    for (let piece = lane.pieces.first; piece !== undefined; piece = lane.pieces.first) {
      const isWanted = piece.message.live && !this.#dropExpired(piece.message, now);
      if (isWanted && !maker.addPiece(piece)) return maker.finish();
      lane.pieces.shift();
    }
    for (let message = lane.queue.first; message !== undefined; message = lane.queue.first) {
      if (message.live && !this.#dropExpired(message, now)) {
        if (message.end > message.stream.limit) message.stream.parked.push(message);
        else if (!maker.add(message)) break;
      }
      lane.queue.shift();
    }
    return maker.finish();
  }

  /** The receiver of a service takes more. True when something may be sent that could not before. */
  grant(service: Service, limit: number): boolean {
    const stream = this.#streams.get(service);
    if (stream === undefined || limit <= stream.limit) return false;
    stream.limit = limit;
    const messages = stream.parked.splice(0);
    this.#prepend(messages);
    return messages.length > 0;
  }

  /** Puts messages before those that wait in their lanes. */
  #prepend(messages: readonly OutMessage[]): void {
    for (const lane of this.#lanes) lane?.queue.prepend(messages.filter(message => message.lane === lane));
  }

  /** Drops what expired while nothing could be sent; true if there was any. */
  expire(now: Instant): boolean {
    let any = false;
    for (const message of this.#live) any = this.#dropExpired(message, now) || any;
    if (any) for (const lane of this.#lanes) lane?.queue.keep(({ live }) => live);
    return any;
  }

  #dropExpired(message: OutMessage, now: Instant): boolean {
    if (message.expiresAt === undefined || now < message.expiresAt) return false;
    this.#remove(message);
    return true;
  }

  /** The parcel was receipted, or nobody waits for it any more. */
  settle(parcel: Parcel): void {
    for (const message of parcel.whole) this.#remove(message);
    for (const { message, length } of parcel.pieces) {
      message.settled += length;
      if (message.settled >= message.bytes.length) this.#remove(message);
    }
  }

  #remove(message: OutMessage): void {
    if (!message.live) return;
    this.#live.remove(message);
    this.#bytes -= messageCost(message.bytes.length);
  }

  /** Parcels of a lost session, in their old order. */
  requeue(parcels: readonly Parcel[]): void {
    this.#prepend(parcels.flatMap(({ whole }) => whole.filter(({ live }) => live)));
    const pieces = parcels.flatMap(parcel => parcel.pieces.filter(({ message }) => message.live));
    for (const lane of this.#lanes) lane?.pieces.prepend(pieces.filter(({ message }) => message.lane === lane));
  }

  /** The peer began anew and knows nothing: everything that is not settled is sent again from its start. */
  restart(): void {
    for (const lane of this.#lanes) {
      lane?.queue.clear();
      lane?.pieces.clear();
    }
    for (const stream of this.#streams.values()) {
      stream.ordered = 0;
      stream.unordered = 0;
      stream.queued = 0;
      stream.limit = FIRST_LIMIT;
      stream.parked.length = 0;
    }
    this.#expiringSequence = 0;
    for (const message of this.#live) {
      message.cut = 0;
      message.settled = 0;
      this.#number(message, messageCost(message.bytes.length));
      message.lane.queue.push(message);
    }
  }

  clear(): void {
    for (const message of this.#live) this.#live.remove(message);
    this.#bytes = 0;
    this.restart();
  }
}
