/**
 * The topics of this node: numbers and signs what is published, sends it to the subscribers, and keeps a bounded history
 * for those who missed something (overlay.md point 19).
 */
import { fromUtf8 } from '../bytes.js';
import { requireArgument } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import type { PubSubMessage } from '../wire/index.js';
import { encodePubSub, type Flush, flushSigningBody, MAX_FLUSH_MESSAGES, MAX_TOPIC_NAME_BYTES } from '../wire/index.js';
import type { MeshContext } from './context.js';

interface Topic {
  readonly name: string;
  /** Sequence number of the next publication. */
  next: number;
  pending: Uint8Array[];
  readonly history: Flush[];
  historyMessages: number;
  readonly subscribers: Set<PeerId>;
}

type Request = Extract<PubSubMessage, { kind: 'subscribe' | 'unsubscribe' | 'fill' }>;
/** False when the subscriber's queue is full: it will find the gap and ask. */
type Send = (to: PeerId, bytes: Uint8Array) => boolean;

/** Leaves room for the names and lengths around the messages. */
const MAX_FLUSH_BYTES = LIMITS.maxApplicationMessageBytes / 2;
const MAX_MESSAGE_BYTES = MAX_FLUSH_BYTES;
const MAX_TOPICS = 1_024;
const MAX_SUBSCRIBERS = 1_024;
const DEFAULT_HISTORY = 1_024;

export class Publisher {
  readonly #context: MeshContext;
  readonly #send: Send;
  readonly #historyLimit: number;
  readonly #epoch: number;
  readonly #topics = new Map<string, Topic>();
  #flushing = false;

  constructor(context: MeshContext, send: Send, historyLimit: number = DEFAULT_HISTORY) {
    this.#context = context;
    this.#historyLimit = historyLimit;
    this.#send = send;
    this.#epoch = context.env.clock.unix();
  }

  publish(name: string, bytes: Uint8Array): { readonly epoch: number; readonly sequence: number } {
    requireArgument(fromUtf8(name).length <= MAX_TOPIC_NAME_BYTES, `a topic has ${MAX_TOPIC_NAME_BYTES} bytes at most`);
    requireArgument(bytes.length <= MAX_MESSAGE_BYTES, `a publication has ${MAX_MESSAGE_BYTES} bytes at most`);
    const topic = this.#topic(name);
    requireArgument(topic !== undefined, `a node has ${MAX_TOPICS} topics at most`);
    topic.pending.push(bytes);
    if (!this.#flushing) {
      this.#flushing = true;
      this.#context.env.clock.defer(this.flush);
    }
    return { epoch: this.#epoch, sequence: topic.next + topic.pending.length - 1 };
  }

  #topic(name: string): Topic | undefined {
    let topic = this.#topics.get(name);
    if (topic === undefined && this.#topics.size < MAX_TOPICS) {
      topic = { name, next: 1, pending: [], history: [], historyMessages: 0, subscribers: new Set() };
      this.#topics.set(name, topic);
    }
    return topic;
  }

  /** Signs and sends what was published in this turn. */
  readonly flush = (): void => {
    this.#flushing = false;
    for (const topic of this.#topics.values()) {
      while (topic.pending.length > 0) this.#flushSome(topic);
    }
  };

  #flushSome(topic: Topic): void {
    let count = 0;
    let bytes = 0;
    for (const message of topic.pending) {
      if (count > 0 && (count === MAX_FLUSH_MESSAGES || bytes + message.length > MAX_FLUSH_BYTES)) break;
      count += 1;
      bytes += message.length + 4;
    }
    const messages = topic.pending.splice(0, count);
    const { crypto, identity } = this.#context;
    const hash = crypto.hash('SHA256');
    const place = { name: topic.name, first: topic.next, messages };
    const signature = identity.sign(
      'publication',
      this.#epoch,
      flushSigningBody(place, message => hash.digest(message)),
    );
    const flush: Flush = { ...place, epoch: this.#epoch, signature };
    topic.next += count;
    this.#keep(topic, flush);
    const encoded = encodePubSub({ kind: 'flush', ...flush });
    for (const subscriber of topic.subscribers) this.#send(subscriber, encoded);
  }

  #keep(topic: Topic, flush: Flush): void {
    topic.history.push(flush);
    topic.historyMessages += flush.messages.length;
    while (topic.historyMessages > this.#historyLimit && topic.history.length > 1) {
      topic.historyMessages -= topic.history.shift()?.messages.length ?? 0;
    }
  }

  onRequest(from: PeerId, request: Request): void {
    if (request.kind === 'unsubscribe') {
      this.#topics.get(request.name)?.subscribers.delete(from);
      return;
    }
    if (request.kind === 'fill') {
      const topic = this.#topics.get(request.name);
      if (topic !== undefined) this.#fill(topic, from, request);
      return;
    }
    const topic = this.#topic(request.name);
    if (topic === undefined || (!topic.subscribers.has(from) && topic.subscribers.size >= MAX_SUBSCRIBERS)) return;
    topic.subscribers.add(from);
    const subscribed = { kind: 'subscribed', name: topic.name, epoch: this.#epoch, next: topic.next } as const;
    this.#send(from, encodePubSub(subscribed));
  }

  /** Sends the signed flushes that hold what is missing, and says what nobody can have any more. */
  #fill(topic: Topic, to: PeerId, { epoch, from, to: last }: Extract<Request, { kind: 'fill' }>): void {
    const oldest = topic.history[0]?.first ?? topic.next;
    const { name } = topic;
    if (epoch !== this.#epoch || from < oldest) {
      const gone = epoch === this.#epoch ? Math.min(last, oldest - 1) : last;
      this.#send(to, encodePubSub({ kind: 'unavailable', name, epoch, from, to: gone }));
    }
    if (epoch !== this.#epoch) return;
    for (const flush of topic.history) {
      if (flush.first > last || flush.first + flush.messages.length <= from) continue;
      if (!this.#send(to, encodePubSub({ kind: 'flush', ...flush }))) return;
    }
  }

  /** The subscriber is gone; it subscribes again when it is back. */
  peerDown(peer: PeerId): void {
    for (const topic of this.#topics.values()) topic.subscribers.delete(peer);
  }
}
