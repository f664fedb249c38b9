/**
 * What comes from one peer: chunks in any order and number, messages out once each, those of a service in the order of
 * their sending. What arrives too early is kept, bounded in bytes and in number.
 */
import type { Instant } from '../env.js';
import { LIMITS } from '../limits.js';
import { ReplayWindow } from '../route/index.js';
import type { Chunk } from '../wire/index.js';
import type { Service } from './messaging.js';

type Deliver = (service: Service, bytes: Uint8Array) => void;

interface Assembly {
  readonly buffer: Uint8Array;
  readonly seen: Set<number>;
  received: number;
  expiresAt: Instant | undefined;
}

interface Stream {
  /** The sequence number that is delivered next. */
  next: number;
  readonly early: Map<number, Assembly>;
}

const MAX_SERVICES = 64;
/** How far ahead of the next message one may be. */
const MAX_AHEAD = 16_384;
const MAX_EXPIRING = 256;

export class Inbox {
  readonly #deliver: Deliver;
  #streams = new Map<Service, Stream>();
  #expiring = new Map<number, Assembly>();
  #expiringSeen = new ReplayWindow();
  #bytes = 0;

  constructor(deliver: Deliver) {
    this.#deliver = deliver;
  }

  /** Bytes kept for messages that are not whole or not next. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The peer began anew. */
  restart(): void {
    this.#streams = new Map();
    this.#expiring = new Map();
    this.#expiringSeen = new ReplayWindow();
    this.#bytes = 0;
  }

  /** False when there is no room for the chunk: it must not be receipted, so that it comes again. */
  receive(chunk: Chunk, now: Instant): boolean {
    return chunk.ttlMs === undefined ? this.#receiveOrdered(chunk) : this.#receiveExpiring(chunk, chunk.ttlMs, now);
  }

  #receiveOrdered(chunk: Chunk): boolean {
    let stream = this.#streams.get(chunk.service);
    if (stream === undefined) {
      if (this.#streams.size >= MAX_SERVICES) return false;
      stream = { next: 1, early: new Map() };
      this.#streams.set(chunk.service, stream);
    }
    const { sequence } = chunk;
    if (sequence < stream.next) return true; // a repetition
    if (sequence === stream.next && chunk.bytes.length === chunk.total && !stream.early.has(sequence)) {
      stream.next += 1;
      this.#deliver(chunk.service, chunk.bytes);
      this.#deliverReady(chunk.service, stream);
      return true;
    }
    if (sequence >= stream.next + MAX_AHEAD) return false;
    const assembly = this.#assembly(stream.early, chunk, sequence === stream.next);
    if (assembly === undefined) return false;
    add(assembly, chunk);
    this.#deliverReady(chunk.service, stream);
    return true;
  }

  #deliverReady(service: Service, stream: Stream): void {
    for (;;) {
      const assembly = stream.early.get(stream.next);
      if (assembly === undefined || assembly.received < assembly.buffer.length) return;
      stream.early.delete(stream.next);
      stream.next += 1;
      this.#bytes -= assembly.buffer.length;
      this.#deliver(service, assembly.buffer);
    }
  }

  #receiveExpiring(chunk: Chunk, ttlMs: number, now: Instant): boolean {
    const { sequence } = chunk;
    if (!this.#expiringSeen.fresh(sequence)) return true;
    if (chunk.bytes.length === chunk.total) {
      this.#expiringSeen.accept(sequence);
      this.#forget(sequence);
      this.#deliver(chunk.service, chunk.bytes);
      return true;
    }
    if (this.#expiring.size >= MAX_EXPIRING) this.#forgetExpired(now);
    if (this.#expiring.size >= MAX_EXPIRING && !this.#expiring.has(sequence)) return false;
    const assembly = this.#assembly(this.#expiring, chunk, false);
    if (assembly === undefined) return false;
    assembly.expiresAt = (now + ttlMs) as Instant;
    add(assembly, chunk);
    if (assembly.received === assembly.buffer.length) {
      this.#expiringSeen.accept(sequence);
      this.#forget(sequence);
      this.#deliver(chunk.service, assembly.buffer);
    }
    return true;
  }

  #forget(sequence: number): void {
    const assembly = this.#expiring.get(sequence);
    if (assembly === undefined) return;
    this.#expiring.delete(sequence);
    this.#bytes -= assembly.buffer.length;
  }

  #forgetExpired(now: Instant): void {
    for (const [sequence, assembly] of this.#expiring) {
      if (assembly.expiresAt !== undefined && now >= assembly.expiresAt) this.#forget(sequence);
    }
  }

  /** The message that everything else waits for always finds room. */
  #assembly(assemblies: Map<number, Assembly>, chunk: Chunk, isNext: boolean): Assembly | undefined {
    const known = assemblies.get(chunk.sequence);
    if (known !== undefined) return known.buffer.length === chunk.total ? known : undefined;
    if (!isNext && this.#bytes + chunk.total > LIMITS.maxSessionQueueBytes) return undefined;
    const assembly = {
      buffer: new Uint8Array(chunk.total),
      seen: new Set<number>(),
      received: 0,
      expiresAt: undefined,
    };
    this.#bytes += chunk.total;
    assemblies.set(chunk.sequence, assembly);
    return assembly;
  }
}

/** A sender cuts a message only once, so the offset names the chunk; one that overlaps spoils its own message only. */
function add(assembly: Assembly, chunk: Chunk): void {
  if (assembly.seen.has(chunk.offset) || assembly.received + chunk.bytes.length > assembly.buffer.length) return;
  assembly.seen.add(chunk.offset);
  assembly.buffer.set(chunk.bytes, chunk.offset);
  assembly.received += chunk.bytes.length;
}
