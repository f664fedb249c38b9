/**
 * The subscriptions of this node: checks the signature of each flush, finds gaps, asks for what is missing, and says
 * honestly when nobody holds it any more (overlay.md point 19).
 */
import type { Cancel } from '../env.js';
import { requireArgument } from '../errors.js';
import { type PeerId, parsePeerId, verifySignature } from '../identity/index.js';
import { encodePubSub, type Flush, flushSigningBody, type PubSubMessage } from '../wire/index.js';
import { AsyncQueue } from './async-queue.js';
import type { MeshContext } from './context.js';
import type { Publication, SubscribeOptions } from './types.js';

type Answer = Extract<PubSubMessage, { kind: 'subscribed' | 'flush' | 'unavailable' }>;

/** A subscription is asked for again until it is confirmed, and a gap until it is filled. */
const RETRY_MS = 2_000;
/** Publications that wait for those before them. */
const MAX_EARLY = 4_096;
/** Publications that wait for the reader; what comes then is a gap that was not recovered. */
const MAX_UNREAD = 65_536;

class Subscription {
  readonly publisher: PeerId;
  readonly name: string;
  readonly queue: AsyncQueue<Publication> = new AsyncQueue<Publication>();
  readonly #request: (message: PubSubMessage) => void;
  /** What comes next; undefined until the publisher has said where the topic stands. */
  #position: { epoch: number; next: number } | undefined;
  readonly #early = new Map<number, Uint8Array>();
  #filling: { from: number; to: number } | undefined;
  #unreadGap: { epoch: number; from: number; to: number } | undefined;
  confirmed = false;

  constructor(
    publisher: PeerId,
    name: string,
    from: SubscribeOptions['from'],
    request: (message: PubSubMessage) => void,
  ) {
    this.publisher = publisher;
    this.name = name;
    this.#request = request;
    if (from !== undefined) this.#position = { epoch: from.epoch, next: from.sequence };
  }

  /** Asks for the topic from where we are. */
  subscribe(): void {
    this.confirmed = false;
    const from = this.#position && { epoch: this.#position.epoch, sequence: this.#position.next };
    this.#request({ kind: 'subscribe', name: this.name, from });
  }

  /** What is outstanding is asked for again. */
  retry(): void {
    if (!this.confirmed) this.subscribe();
    else if (this.#filling !== undefined) this.#askFor(this.#filling);
  }

  onSubscribed(epoch: number, next: number): void {
    this.confirmed = true;
    if (this.#position === undefined) this.#position = { epoch, next };
    else if (this.#position.epoch !== epoch) this.#newEpoch(epoch);
    if (this.#position.next < next) this.#missing(next - 1);
  }

  /** The publisher restarted. What it had published before and we had not got died with it. */
  #newEpoch(epoch: number): void {
    const old = this.#position;
    if (old === undefined || epoch < old.epoch) return;
    this.#push({ kind: 'gap', epoch: old.epoch, from: old.next, to: undefined, recovered: false });
    this.#early.clear();
    this.#filling = undefined;
    this.#position = { epoch, next: 1 };
  }

  onFlush({ epoch, first, messages }: Flush): void {
    if (this.#position === undefined) return; // 'subscribed' comes first
    if (epoch !== this.#position.epoch) this.#newEpoch(epoch);
    const position = this.#position;
    if (epoch !== position.epoch) return;
    for (const [i, bytes] of messages.entries()) {
      const sequence = first + i;
      if (sequence < position.next) continue;
      if (sequence === position.next) {
        position.next += 1;
        this.#push({ kind: 'message', epoch, sequence, bytes });
      } else if (this.#early.size < MAX_EARLY) this.#early.set(sequence, bytes);
    }
    this.#deliverEarly();
    const expected = first + messages.length - 1;
    if (position.next <= expected) this.#missing(first - 1);
  }

  #deliverEarly(): void {
    const position = this.#position;
    if (position === undefined) return;
    for (let bytes = this.#early.get(position.next); bytes !== undefined; bytes = this.#early.get(position.next)) {
      this.#early.delete(position.next);
      this.#push({ kind: 'message', epoch: position.epoch, sequence: position.next, bytes });
      position.next += 1;
    }
    if (this.#filling !== undefined && position.next > this.#filling.to) this.#filling = undefined;
  }

  /** Everything up to `to` that we lack is asked for, once at a time. */
  #missing(to: number): void {
    const position = this.#position;
    if (position === undefined || to < position.next) return;
    if (this.#filling !== undefined && to <= this.#filling.to) return;
    const from = this.#filling === undefined ? position.next : this.#filling.to + 1;
    this.#push({ kind: 'gap', epoch: position.epoch, from, to, recovered: true });
    this.#filling = { from: position.next, to };
    this.#askFor({ from, to });
  }

  #askFor({ from, to }: { readonly from: number; readonly to: number }): void {
    const position = this.#position;
    if (position === undefined) return;
    const wanted = { epoch: position.epoch, from: Math.max(from, position.next), to };
    if (wanted.from <= to) this.#request({ kind: 'fill', name: this.name, ...wanted });
  }

  onUnavailable(epoch: number, from: number, to: number): void {
    const position = this.#position;
    if (position === undefined || epoch !== position.epoch || from > position.next || to < position.next) return;
    this.#push({ kind: 'gap', epoch, from: position.next, to, recovered: false });
    position.next = to + 1;
    this.#deliverEarly();
  }

  #push(publication: Publication): void {
    if (this.queue.length < MAX_UNREAD) {
      if (this.#unreadGap !== undefined) this.queue.push({ kind: 'gap', ...this.#unreadGap, recovered: false });
      this.#unreadGap = undefined;
      this.queue.push(publication);
    } else if (publication.kind === 'message') {
      const { epoch, sequence } = publication;
      this.#unreadGap = { epoch, from: this.#unreadGap?.from ?? sequence, to: sequence };
    }
  }
}

export class Subscriber {
  readonly #context: MeshContext;
  readonly #send: (to: PeerId, bytes: Uint8Array) => void;
  readonly #subscriptions = new Map<string, Subscription>();
  #cancelRetry: Cancel | undefined;

  constructor(context: MeshContext, send: (to: PeerId, bytes: Uint8Array) => void) {
    this.#context = context;
    this.#send = send;
  }

  async *subscribe(topic: string, { from, signal }: SubscribeOptions): AsyncIterableIterator<Publication> {
    const subscription = this.#begin(topic, from);
    try {
      for (;;) {
        const next = await subscription.queue.next(signal);
        if (next === undefined) return;
        yield next;
      }
    } finally {
      this.#end(topic, subscription);
    }
  }

  #begin(topic: string, from: SubscribeOptions['from']): Subscription {
    const slash = topic.indexOf('/');
    requireArgument(slash > 0, 'a topic is publisherId/name');
    requireArgument(!this.#subscriptions.has(topic), `${topic} is subscribed already`);
    const publisher = parsePeerId(topic.slice(0, slash));
    const name = topic.slice(slash + 1);
    const request = (message: PubSubMessage): void => this.#send(publisher, encodePubSub(message));
    const subscription = new Subscription(publisher, name, from, request);
    this.#subscriptions.set(topic, subscription);
    subscription.subscribe();
    this.#retryLater();
    return subscription;
  }

  #end(topic: string, subscription: Subscription): void {
    if (this.#subscriptions.get(topic) !== subscription) return;
    this.#subscriptions.delete(topic);
    this.#send(subscription.publisher, encodePubSub({ kind: 'unsubscribe', name: subscription.name }));
  }

  #retryLater(): void {
    if (this.#cancelRetry !== undefined) return;
    this.#cancelRetry = this.#context.env.clock.schedule(RETRY_MS, () => {
      this.#cancelRetry = undefined;
      for (const subscription of this.#subscriptions.values()) subscription.retry();
      if (this.#subscriptions.size > 0) this.#retryLater();
    });
  }

  /** A session with the publisher came up: it may be another run of it, which knows nothing of us. */
  peerUp(peer: PeerId): void {
    for (const subscription of this.#subscriptions.values()) {
      if (subscription.publisher === peer) subscription.subscribe();
    }
  }

  peerDown(peer: PeerId): void {
    for (const subscription of this.#subscriptions.values()) {
      if (subscription.publisher === peer) subscription.confirmed = false;
    }
  }

  onAnswer(from: PeerId, answer: Answer): void {
    const subscription = this.#subscriptions.get(`${from}/${answer.name}`);
    if (subscription === undefined) return;
    if (answer.kind === 'subscribed') subscription.onSubscribed(answer.epoch, answer.next);
    else if (answer.kind === 'unavailable') subscription.onUnavailable(answer.epoch, answer.from, answer.to);
    else if (this.#verify(from, answer)) subscription.onFlush(answer);
    else this.#context.env.log.warn('publication-forged', { publisher: from, name: answer.name });
  }

  #verify(publisher: PeerId, flush: Flush): boolean {
    const { crypto, networkId } = this.#context;
    const hash = crypto.hash('SHA256');
    const body = flushSigningBody(flush, message => hash.digest(message));
    const context = { kind: 'publication', networkId, epoch: flush.epoch } as const;
    return verifySignature(crypto, publisher, context, body, flush.signature);
  }

  close(): void {
    this.#cancelRetry?.();
    for (const subscription of this.#subscriptions.values()) subscription.queue.end();
    this.#subscriptions.clear();
  }
}

/** Whether the message is for the publisher or for a subscriber. */
export function isAnswer(message: PubSubMessage): message is Answer {
  return message.kind === 'subscribed' || message.kind === 'flush' || message.kind === 'unavailable';
}
