/**
 * What comes from one peer: messages in any order and number, whole or in pieces; out once each, those of an ordered
 * stream in the order of their sending. What cannot be delivered yet is kept, within what the node may hold of a peer;
 * beyond that it is refused, is not receipted, and comes again.
 */
import type { Instant } from '../env.js';
import { LIMITS } from '../limits.js';
import { ReplayWindow } from '../route/index.js';
import type { Chunk, Run } from '../wire/index.js';
import { Assembly } from './assembly.js';
import { Grant, messageCost } from './credit.js';
import type { Holding } from './holdings.js';
import type { Service } from './messaging.js';
import { SeenNumbers } from './seen-numbers.js';

export interface InboxHost {
  /** False when the application will say later, by `taken`, that it has the message. */
  deliver(service: Service, bytes: Uint8Array, reliable: boolean): boolean;
  /** The sender of this service should be told its limit. */
  onCredit(service: Service): void;
}

/** `refused`: there was no room for it; it must not be receipted. `seen`: it came before. */
export type Reception = 'new' | 'seen' | 'refused';

interface Stream {
  readonly service: Service;
  readonly grant: Grant;
  /** The number that is delivered next, of those in order, and what came before its turn or in part. */
  next: number;
  readonly early: Map<number, Assembly>;
  /** Of those without order. */
  readonly seen: SeenNumbers;
  readonly partial: Map<number, Assembly>;
}

const MAX_SERVICES = 64;
const MAX_EXPIRING = 256;

export class Inbox {
  readonly #host: InboxHost;
  readonly #holding: Holding;
  readonly #streams = new Map<Service, Stream>();
  readonly #expiring = new Map<number, Assembly>();
  #expiringSeen = new ReplayWindow();
  #restarts = 0;

  constructor(holding: Holding, host: InboxHost) {
    this.#holding = holding;
    this.#host = host;
  }

  /** The peer began anew, or is gone. What waits for its reader stays. */
  restart(): void {
    this.#restarts += 1;
    for (const { early, partial } of this.#streams.values()) {
      for (const assemblies of [early, partial]) for (const assembly of assemblies.values()) this.#drop(assembly);
    }
    for (const assembly of this.#expiring.values()) this.#drop(assembly);
    this.#streams.clear();
    this.#expiring.clear();
    this.#expiringSeen = new ReplayWindow();
  }

  #drop(assembly: Assembly): void {
    this.#holding.add(-assembly.cost);
  }

  #stream(service: Service): Stream | undefined {
    let stream = this.#streams.get(service);
    if (stream === undefined) {
      if (this.#streams.size >= MAX_SERVICES) return undefined;
      const grant = new Grant(this.#holding.unread(service));
      stream = { service, grant, next: 1, early: new Map(), seen: new SeenNumbers(), partial: new Map() };
      this.#streams.set(service, stream);
    }
    return stream;
  }

  // ---------------------------------------------------------------- credit

  /** The application has taken a message of this length that `deliver` left with it. */
  taken(service: Service, bytes: number, reliable: boolean): void {
    const cost = messageCost(bytes);
    this.#holding.takeUnread(service, cost);
    const stream = this.#streams.get(service);
    if (stream?.grant.take(cost, reliable)) this.#host.onCredit(service);
  }

  /** What the sender is to be told of a service. */
  tell(service: Service): number | undefined {
    return this.#streams.get(service)?.grant.tell();
  }

  get services(): IterableIterator<Service> {
    return this.#streams.keys();
  }

  // ---------------------------------------------------------------- whole messages

  receiveRun(run: Run): Reception {
    const stream = this.#stream(run.service);
    if (stream === undefined) return 'refused';
    const restarts = this.#restarts;
    let reception: Reception = 'seen';
    for (let i = 0; i < run.messages.length; i++) {
      if (this.#restarts !== restarts) break; // the application ended it all when it was given a message
      const bytes = run.messages[i] as Uint8Array;
      const one = run.ordered
        ? this.#receiveOrdered(stream, run.first + i, bytes)
        : this.#receiveUnordered(stream, run.first + i, bytes);
      if (one === 'refused' || reception === 'refused') reception = 'refused';
      else if (one === 'new') reception = 'new';
    }
    return reception;
  }

  #receiveOrdered(stream: Stream, sequence: number, bytes: Uint8Array): Reception {
    if (sequence < stream.next) return 'seen';
    if (sequence > stream.next) return this.#addPiece(stream.early, sequence, 0, bytes.length, bytes, false);
    if (!this.#deliver(stream, bytes)) return 'refused';
    if (stream.early.size > 0) this.#forget(stream.early, sequence);
    stream.next += 1;
    if (stream.early.size > 0) this.#deliverReady(stream);
    return 'new';
  }

  #receiveUnordered(stream: Stream, sequence: number, bytes: Uint8Array): Reception {
    const { seen } = stream;
    if (seen.has(sequence)) return 'seen';
    if (seen.isAhead(sequence) || !this.#deliver(stream, bytes)) return 'refused';
    if (stream.partial.size > 0) this.#forget(stream.partial, sequence);
    seen.add(sequence);
    return 'new';
  }

  /** False when the reader might leave it here and there is no room for that. */
  #deliver(stream: Stream, bytes: Uint8Array): boolean {
    const cost = messageCost(bytes.length);
    if (!this.#holding.hasRoom(cost, true)) return false;
    if (!this.#host.deliver(stream.service, bytes, true)) this.#holding.addUnread(stream.service, cost);
    else if (stream.grant.take(cost, true)) this.#host.onCredit(stream.service);
    return true;
  }

  // ---------------------------------------------------------------- pieces

  receive(chunk: Chunk, now: Instant): Reception {
    if (chunk.numbering === 'expiring') return this.#receiveExpiring(chunk, now);
    const stream = this.#stream(chunk.service);
    if (stream === undefined) return 'refused';
    const { sequence, offset, total, bytes } = chunk;
    if (chunk.numbering === 'ordered') {
      if (sequence < stream.next) return 'seen';
      const reception = this.#addPiece(stream.early, sequence, offset, total, bytes, sequence === stream.next);
      if (reception === 'new') this.#deliverReady(stream);
      return reception;
    }
    const { seen, partial } = stream;
    if (seen.has(sequence)) return 'seen';
    if (seen.isAhead(sequence)) return 'refused';
    const reception = this.#addPiece(partial, sequence, offset, total, bytes, sequence === seen.floor);
    const assembly = partial.get(sequence);
    if (!assembly?.whole) return reception;
    seen.add(sequence);
    this.#release(stream, partial, sequence, assembly);
    return 'new';
  }

  #addPiece(
    assemblies: Map<number, Assembly>,
    sequence: number,
    offset: number,
    total: number,
    bytes: Uint8Array,
    isNext: boolean,
  ): Reception {
    let assembly = assemblies.get(sequence);
    if (assembly === undefined) {
      const cost = messageCost(total);
      if (!isNext && assemblies.size >= LIMITS.maxMessagesAhead) return 'refused';
      if (!this.#holding.hasRoom(cost, isNext)) return 'refused';
      assembly = new Assembly(total, cost);
      assemblies.set(sequence, assembly);
      this.#holding.add(cost);
    }
    if (assembly.total !== total) return 'refused';
    return assembly.add(offset, bytes) ? 'new' : 'seen';
  }

  #deliverReady(stream: Stream): void {
    for (;;) {
      const assembly = stream.early.get(stream.next);
      if (assembly === undefined || !assembly.whole) return;
      this.#release(stream, stream.early, stream.next++, assembly);
    }
  }

  /** A message that is whole: it had its room while it was not, and keeps it until it is taken. */
  #release(stream: Stream, assemblies: Map<number, Assembly>, sequence: number, assembly: Assembly): void {
    assemblies.delete(sequence);
    this.#drop(assembly);
    if (!this.#host.deliver(stream.service, assembly.bytes, true)) {
      this.#holding.addUnread(stream.service, assembly.cost);
    } else if (stream.grant.take(assembly.cost, true)) this.#host.onCredit(stream.service);
  }

  // ---------------------------------------------------------------- what expires

  #receiveExpiring(chunk: Chunk, now: Instant): Reception {
    const { service, sequence, total, offset, bytes } = chunk;
    if (!this.#expiringSeen.fresh(sequence)) return 'seen';
    if (bytes.length === total) {
      this.#forget(this.#expiring, sequence);
      this.#deliverExpiring(service, sequence, bytes);
      return 'new';
    }
    if (this.#expiring.size >= MAX_EXPIRING) this.#forgetExpired(now);
    if (this.#expiring.size >= MAX_EXPIRING && !this.#expiring.has(sequence)) return 'refused';
    const reception = this.#addPiece(this.#expiring, sequence, offset, total, bytes, false);
    const assembly = this.#expiring.get(sequence);
    if (assembly === undefined) return reception;
    assembly.expiresAt = (now + chunk.ttlMs) as Instant;
    if (assembly.whole) {
      this.#forget(this.#expiring, sequence);
      this.#deliverExpiring(service, sequence, assembly.bytes);
    }
    return reception;
  }

  /** Best effort: what the application does not take now, and there is no room for, is dropped. */
  #deliverExpiring(service: Service, sequence: number, bytes: Uint8Array): void {
    this.#expiringSeen.accept(sequence);
    const cost = messageCost(bytes.length);
    const isUnread = this.#holding.unread(service) + cost > LIMITS.serviceCreditBytes;
    if (isUnread || !this.#holding.hasRoom(cost, false)) return;
    if (!this.#host.deliver(service, bytes, false)) this.#holding.addUnread(service, cost);
  }

  #forget(assemblies: Map<number, Assembly>, sequence: number): void {
    const assembly = assemblies.get(sequence);
    if (assembly === undefined) return;
    assemblies.delete(sequence);
    this.#drop(assembly);
  }

  #forgetExpired(now: Instant): void {
    for (const [sequence, { expiresAt }] of this.#expiring) {
      if (expiresAt !== undefined && now >= expiresAt) this.#forget(this.#expiring, sequence);
    }
  }
}
