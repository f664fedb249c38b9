/**
 * What is to be sent to one peer: messages by class, cut into chunks when a packet is made, and kept until every chunk is
 * receipted. It outlives sessions: what a lost session had under way is requeued, and the receiver's sequence numbers
 * tell repetitions apart. Bounded in bytes.
 */
import type { Instant } from '../env.js';
import { LIMITS } from '../limits.js';
import type { FlowInput } from '../route/index.js';
import { type Chunk, chunkOverheadBytes, MAX_DATA_PAYLOAD_BYTES, NO_TTL } from '../wire/index.js';
import type { DeliveryClass, Service } from './messaging.js';

export interface OutMessage {
  readonly service: Service;
  readonly class: DeliveryClass;
  readonly bytes: Uint8Array;
  /** Undefined for the reliable, ordered stream. */
  readonly expiresAt: Instant | undefined;
  sequence: number;
  /** What was cut into chunks so far. */
  cut: number;
  /** What needs nothing more: receipted or expired. */
  settled: number;
}

export interface ChunkRef {
  readonly message: OutMessage;
  readonly offset: number;
  readonly length: number;
}

/** Room for hello, receipts and the flag byte beside the chunks. */
const PACKET_RESERVE_BYTES = 1_200;
const MAX_CHUNKS_PER_PACKET = 128;
const CLASSES = ['critical', 'normal', 'bulk'] as const satisfies readonly DeliveryClass[];

export class Outbox {
  readonly #queues: Record<DeliveryClass, OutMessage[]> = { critical: [], normal: [], bulk: [] };
  /** Chunks that a lost session had under way; they go first. */
  #resend: ChunkRef[] = [];
  readonly #unsettled = new Set<OutMessage>();
  readonly #sequences = new Map<Service, number>();
  #expiringSequence = 0;
  #bytes = 0;

  /** Bytes of all messages that are not settled. */
  get bytes(): number {
    return this.#bytes;
  }

  get empty(): boolean {
    return this.#unsettled.size === 0;
  }

  /** False, having queued nothing, when the queue is full. */
  push(service: Service, bytes: Uint8Array, trafficClass: DeliveryClass, expiresAt: Instant | undefined): boolean {
    if (this.#bytes + bytes.length > LIMITS.maxSessionQueueBytes) return false;
    const message: OutMessage = {
      service,
      class: trafficClass,
      bytes,
      expiresAt,
      sequence: this.#allotSequence(service, expiresAt !== undefined),
      cut: 0,
      settled: 0,
    };
    this.#unsettled.add(message);
    this.#bytes += bytes.length;
    this.#queues[trafficClass].push(message);
    return true;
  }

  #allotSequence(service: Service, expires: boolean): number {
    if (expires) return ++this.#expiringSequence;
    const sequence = (this.#sequences.get(service) ?? 0) + 1;
    this.#sequences.set(service, sequence);
    return sequence;
  }

  /** The class of the most urgent thing that waits. */
  get waiting(): DeliveryClass | undefined {
    if (this.#resend.length > 0) return this.#resend[0]?.message.class;
    return CLASSES.find(trafficClass => this.#queues[trafficClass].length > 0);
  }

  /** Chunks of one class for one packet; messages that expired are dropped on the way. */
  take(trafficClass: DeliveryClass, now: Instant): ChunkRef[] {
    const chunks: ChunkRef[] = [];
    let room = MAX_DATA_PAYLOAD_BYTES - PACKET_RESERVE_BYTES;
    const fits = (service: Service, length: number): boolean =>
      chunks.length < MAX_CHUNKS_PER_PACKET && room >= chunkOverheadBytes(service) + Math.min(length, 1);
    while (this.#resend.length > 0) {
      const chunk = this.#resend[0] as ChunkRef;
      if (this.#dropExpired(chunk.message, now)) {
        this.#resend.shift();
        continue;
      }
      const cost = chunk.length + chunkOverheadBytes(chunk.message.service);
      if (chunk.message.class !== trafficClass || room < cost) return chunks;
      this.#resend.shift();
      room -= cost;
      chunks.push(chunk);
    }
    const queue = this.#queues[trafficClass];
    let taken = 0;
    for (const message of queue) {
      if (!fits(message.service, message.bytes.length - message.cut)) break;
      if (!this.#dropExpired(message, now)) {
        const overhead = chunkOverheadBytes(message.service);
        const length = Math.min(message.bytes.length - message.cut, room - overhead);
        chunks.push({ message, offset: message.cut, length });
        message.cut += length;
        room -= length + overhead;
        if (message.cut < message.bytes.length) break;
      }
      taken += 1;
    }
    queue.splice(0, taken);
    return chunks;
  }

  /** Drops what expired while nothing could be sent; true if there was any. */
  expire(now: Instant): boolean {
    let any = false;
    for (const message of this.#unsettled) any = this.#dropExpired(message, now) || any;
    if (!any) return false;
    for (const trafficClass of CLASSES) {
      this.#queues[trafficClass] = this.#queues[trafficClass].filter(message => this.#unsettled.has(message));
    }
    return true;
  }

  #dropExpired(message: OutMessage, now: Instant): boolean {
    if (message.expiresAt === undefined || now < message.expiresAt) return false;
    this.#remove(message);
    return true;
  }

  /** The chunk was receipted, or nobody waits for it any more. */
  settle(chunk: ChunkRef): void {
    const { message } = chunk;
    message.settled += chunk.length;
    if (message.settled >= message.bytes.length) this.#remove(message);
  }

  #remove(message: OutMessage): void {
    if (this.#unsettled.delete(message)) this.#bytes -= message.bytes.length;
  }

  /** Chunks of a lost session, in their old order. */
  requeue(chunks: readonly ChunkRef[]): void {
    this.#resend = [...chunks.filter(chunk => this.#unsettled.has(chunk.message)), ...this.#resend];
  }

  /** The peer began anew and knows nothing: everything that is not settled is sent again from its start. */
  restart(): void {
    this.#resend = [];
    this.#sequences.clear();
    this.#expiringSequence = 0;
    for (const trafficClass of CLASSES) this.#queues[trafficClass].length = 0;
    for (const message of this.#unsettled) {
      message.cut = 0;
      message.settled = 0;
      message.sequence = this.#allotSequence(message.service, message.expiresAt !== undefined);
      this.#queues[message.class].push(message);
    }
  }

  clear(): void {
    this.#unsettled.clear();
    this.#bytes = 0;
    this.restart();
  }
}

/** The chunk as it travels now. */
export function chunkOf({ message, offset, length }: ChunkRef, now: Instant): Chunk {
  return {
    service: message.service,
    sequence: message.sequence,
    offset,
    total: message.bytes.length,
    ttlMs: message.expiresAt === undefined ? undefined : message.expiresAt - now,
    bytes: message.bytes.subarray(offset, offset + length),
  };
}

/** What a flow is told of the chunks of one packet. */
export function submissionOf(chunks: readonly ChunkRef[]): FlowInput<readonly ChunkRef[]> {
  let bytes = 0;
  let expiresAt: Instant | undefined = chunks[0]?.message.expiresAt;
  for (const { message, length } of chunks) {
    bytes += length + chunkOverheadBytes(message.service);
    if (expiresAt === undefined || message.expiresAt === undefined) expiresAt = undefined;
    else if (message.expiresAt > expiresAt) expiresAt = message.expiresAt;
  }
  return { kind: 'submit', payload: chunks, bytes, class: chunks[0]?.message.class ?? 'normal', expiresAt };
}

/** What the header tells relays: the longest remaining time, when everything in the frame expires. */
export function frameTtlMs(chunks: readonly ChunkRef[], now: Instant): number {
  let ttlMs = 0;
  for (const { message } of chunks) {
    if (message.expiresAt === undefined) return NO_TTL;
    ttlMs = Math.max(ttlMs, message.expiresAt - now);
  }
  return chunks.length === 0 ? NO_TTL : Math.min(Math.ceil(ttlMs), NO_TTL - 1);
}
