/** A message until its last byte is receipted, the list of all such messages of one peer, and what one packet takes of them. */
import type { Instant } from '../env.js';
import { type Chunk, NO_TTL, type Numbering, type Run } from '../wire/index.js';
import type { Fifo } from './fifo.js';
import type { DeliveryClass, Service } from './messaging.js';

/** What one service sends to one peer. Numbers are those of this pair of runs. */
export interface OutStream {
  readonly service: Service;
  /** The last number given, by numbering. */
  ordered: number;
  unordered: number;
  /** What all reliable messages so far cost (credit.ts), and how much of it the receiver takes at present. */
  queued: number;
  limit: number;
  /** Messages beyond the limit, in the order of sending. */
  readonly parked: OutMessage[];
}

/** Messages that may share packets: of one class, over equally many paths. */
export interface Lane {
  readonly class: DeliveryClass;
  readonly paths: number;
  readonly queue: Fifo<OutMessage>;
  /** Pieces that a lost session had under way; they go first, cut as they were. */
  readonly pieces: Fifo<Piece>;
}

export interface OutMessage {
  readonly stream: OutStream;
  readonly lane: Lane;
  readonly numbering: Numbering;
  readonly bytes: Uint8Array;
  readonly expiresAt: Instant | undefined;
  sequence: number;
  /** Where it ends in the credit of its stream. */
  end: number;
  /** What was cut into pieces so far, and what of them was receipted. */
  cut: number;
  settled: number;
  /** Neither receipted, nor expired, nor given up. */
  live: boolean;
  previous: OutMessage | undefined;
  next: OutMessage | undefined;
}

/** Part of a message, or a whole one that expires: its remaining time is told with it. */
export interface Piece {
  readonly message: OutMessage;
  readonly offset: number;
  readonly length: number;
}

/** All live messages, in the order of sending: a list that costs no more than its links. */
export class LiveMessages {
  #first: OutMessage | undefined;
  #last: OutMessage | undefined;

  get empty(): boolean {
    return this.#first === undefined;
  }

  add(message: OutMessage): void {
    message.live = true;
    message.previous = this.#last;
    if (this.#last === undefined) this.#first = message;
    else this.#last.next = message;
    this.#last = message;
  }

  remove(message: OutMessage): void {
    message.live = false;
    if (message.previous === undefined) this.#first = message.next;
    else message.previous.next = message.next;
    if (message.next === undefined) this.#last = message.previous;
    else message.next.previous = message.previous;
    message.previous = undefined;
    message.next = undefined;
  }

  *[Symbol.iterator](): IterableIterator<OutMessage> {
    for (let message = this.#first; message !== undefined; ) {
      const { next } = message; // the one that is yielded may be removed
      yield message;
      message = next;
    }
  }
}

/** What one packet carries, however often it is sent. Opaque to the flow. */
export interface Parcel {
  readonly class: DeliveryClass;
  readonly paths: number;
  readonly runs: readonly Run[];
  /** The messages of the runs. */
  readonly whole: readonly OutMessage[];
  readonly pieces: readonly Piece[];
  /** Services whose credit it tells. */
  readonly credits: readonly Service[];
  /** What it counts in a window. */
  readonly bytes: number;
  /** When the last of it is worthless; undefined while something in it is reliable. */
  readonly expiresAt: Instant | undefined;
}

/** What an empty packet counts in a window. */
const EMPTY_PACKET_BYTES = 16;

/** Says nothing but that the path works, and which credit there is. */
export const emptyParcel = (credits: readonly Service[] = []): Parcel => ({
  class: 'normal',
  paths: 1,
  runs: [],
  whole: [],
  pieces: [],
  credits,
  bytes: EMPTY_PACKET_BYTES,
  expiresAt: undefined,
});

const NOTHING: readonly Chunk[] = [];

/** The pieces as they travel now: what expired stays behind. */
export function chunksOf({ pieces }: Parcel, now: Instant): readonly Chunk[] {
  if (pieces.length === 0) return NOTHING;
  const chunks: Chunk[] = [];
  for (const { message, offset, length } of pieces) {
    const { expiresAt } = message;
    if (expiresAt !== undefined && now >= expiresAt) continue;
    chunks.push({
      service: message.stream.service,
      numbering: message.numbering,
      sequence: message.sequence,
      offset,
      total: message.bytes.length,
      ttlMs: expiresAt === undefined ? 0 : expiresAt - now,
      bytes: message.bytes.subarray(offset, offset + length),
    });
  }
  return chunks;
}

/** What the header tells relays: the longest remaining time, when everything in the packet expires. */
export function headerTtlMs({ expiresAt }: Parcel, now: Instant): number {
  if (expiresAt === undefined) return NO_TTL;
  return Math.min(Math.max(Math.ceil(expiresAt - now), 0), NO_TTL - 1);
}
