/**
 * The topics of this node and who may have them: only topics that it opened or published on exist for others, and the
 * application is asked about each subscriber (overlay.md point 19).
 */
import { fromUtf8 } from '../bytes.js';
import { after, type Cancel, type Instant } from '../env.js';
import { requireArgument } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import { encodePubSub, MAX_TOPIC_NAME_BYTES, type PubSubMessage, type SubscriptionRefusal } from '../wire/index.js';
import type { PubSubContext } from './context.js';
import type { FillLimits } from './flush-store.js';
import { PendingSubscriptions } from './pending-subscriptions.js';
import { SubscriberAdmission } from './subscriber-admission.js';
import { MAX_PUBLICATION_BYTES, type SendTo, Topic } from './topic.js';
import type { AdmitSubscriber } from './types.js';

type Request = Extract<PubSubMessage, { kind: 'subscribe' | 'unsubscribe' | 'fill' }>;
type Subscribe = Extract<Request, { kind: 'subscribe' }>;

export interface PublisherOptions {
  readonly publicationHistory?: number | undefined;
  readonly publicationFanOut?: number | undefined;
  readonly admitSubscriber?: AdmitSubscriber | undefined;
}

/** A forwarder that drops is noticed by those who were told what they should have: at the soonest after this. */
const MIN_ANNOUNCE_MS = 20;

export class Publisher {
  readonly #context: PubSubContext;
  readonly #send: SendTo;
  readonly #rttMs: (peer: PeerId) => number | undefined;
  readonly #fills: FillLimits;
  readonly #options: PublisherOptions;
  readonly #epoch: number;
  readonly #topics = new Map<string, Topic>();
  readonly #waiting = new PendingSubscriptions<Subscribe>();
  readonly #admission: SubscriberAdmission;
  readonly #unflushed = new Set<Topic>();
  /** Topics of which somebody has to be told how far they are. */
  readonly #news = new Set<Topic>();
  #flushing = false;
  #announceNotBefore: Instant;
  #cancelAnnounce: Cancel | undefined;

  constructor(
    context: PubSubContext,
    outlet: { readonly send: SendTo; readonly rttMs: (peer: PeerId) => number | undefined },
    fills: FillLimits,
    options: PublisherOptions,
  ) {
    this.#context = context;
    this.#send = outlet.send;
    this.#rttMs = outlet.rttMs;
    this.#fills = fills;
    this.#options = options;
    this.#admission = new SubscriberAdmission(context.env, options.admitSubscriber);
    this.#epoch = context.runEpoch;
    this.#announceNotBefore = context.env.clock.now();
  }

  publish(name: string, bytes: Uint8Array): { readonly epoch: number; readonly sequence: number } {
    requireArgument(bytes.length <= MAX_PUBLICATION_BYTES, `a publication has ${MAX_PUBLICATION_BYTES} bytes at most`);
    const topic = this.#topics.get(name) ?? this.openTopic(name);
    const sequence = topic.push(bytes);
    this.#unflushed.add(topic);
    if (!this.#flushing) {
      this.#flushing = true;
      this.#context.env.clock.defer(this.flush);
    }
    return { epoch: this.#epoch, sequence };
  }

  /** From now on the topic exists for others; those who asked for it before are answered. */
  openTopic(name: string): Topic {
    const known = this.#topics.get(name);
    if (known !== undefined) return known;
    const nameBytes = fromUtf8(name).length;
    requireArgument(
      nameBytes > 0 && nameBytes <= MAX_TOPIC_NAME_BYTES,
      `a topic has 1 to ${MAX_TOPIC_NAME_BYTES} bytes`,
    );
    requireArgument(this.#topics.size < LIMITS.maxTopics, `a node has ${LIMITS.maxTopics} topics at most`);
    const { publicationHistory = LIMITS.publicationHistory, publicationFanOut = LIMITS.publicationFanOut } =
      this.#options;
    const topic = new Topic(this.#context, {
      name,
      epoch: this.#epoch,
      history: publicationHistory,
      fanOut: publicationFanOut,
      rttMs: this.#rttMs,
      send: this.#send,
    });
    this.#topics.set(name, topic);
    for (const [peer, request] of this.#waiting.take(name)) this.#onSubscribe(peer, request);
    return topic;
  }

  /** False when it was not subscribed. It reads nothing that is published from now on. */
  removeSubscriber(name: string, peer: PeerId): boolean {
    const topic = this.#topics.get(name);
    const wasWaiting = this.#waiting.delete(peer, name) !== undefined;
    topic?.flush(); // what was published before is its own
    this.#admission.forget(peer, name);
    if (topic?.remove(peer, 'removed') !== true && !wasWaiting) return false;
    this.#refuse(peer, name, 'removed');
    return true;
  }

  /** Seals, signs and sends what was published in this turn. */
  readonly flush = (): void => {
    this.#flushing = false;
    for (const topic of this.#unflushed) {
      topic.flush();
      this.#announceLater(topic);
    }
    this.#unflushed.clear();
  };

  // ---------------------------------------------------------------- requests of others

  onRequest(from: PeerId, request: Request): void {
    const topic = this.#topics.get(request.name);
    switch (request.kind) {
      case 'subscribe':
        this.#onSubscribe(from, request);
        return;
      case 'unsubscribe':
        this.#waiting.delete(from, request.name);
        this.#admission.forget(from, request.name);
        if (topic?.remove(from, 'left') === true) this.#announceLater(topic);
        return;
      case 'fill': {
        if (topic?.has(from) !== true) return;
        if (request.late) topic.complain(from);
        const { clock } = this.#context.env;
        topic.fill(request, bytes => this.#fills.take(from, bytes.length, clock.now()) && this.#send(from, bytes));
        this.#announceLater(topic);
      }
    }
  }

  #onSubscribe(from: PeerId, request: Subscribe): void {
    const { name } = request;
    const topic = this.#topics.get(name);
    if (topic === undefined) {
      if (!this.#waiting.set(from, name, request)) this.#refuse(from, name, 'limit');
    } else if (topic.has(from)) this.#admit(topic, from, request);
    else if (topic.subscribers >= LIMITS.maxSubscribers) this.#refuse(from, name, 'limit');
    else {
      this.#admission.ask(from, name, verdict => {
        if (this.#topics.get(name) !== topic) return;
        if (verdict !== 'admitted') this.#refuse(from, name, verdict);
        else if (topic.subscribers >= LIMITS.maxSubscribers) this.#refuse(from, name, 'limit');
        else this.#admit(topic, from, request);
      });
    }
  }

  #admit(topic: Topic, peer: PeerId, { from }: Subscribe): void {
    topic.admit(peer, from?.epoch === this.#epoch ? from.sequence : undefined);
    this.#announceLater(topic);
  }

  #refuse(peer: PeerId, name: string, reason: SubscriptionRefusal): void {
    this.#context.env.log.info('subscription-refused', { peer, name, reason });
    this.#send(peer, encodePubSub({ kind: 'refused', publisher: this.#context.self, name, reason }));
  }

  /** The subscriber is gone, or a member no more; it subscribes again when it is back. */
  peerDown(peer: PeerId): void {
    const { membership, env } = this.#context;
    const cause = membership.isAdmitted(peer, env.clock.unix()) ? 'left' : 'removed';
    this.#waiting.deletePeer(peer);
    this.#admission.forgetPeer(peer);
    for (const topic of this.#topics.values()) if (topic.remove(peer, cause)) this.#announceLater(topic);
  }

  // ---------------------------------------------------------------- announcements

  #announceLater(topic: Topic): void {
    if (topic.hasNews) this.#news.add(topic);
    if (this.#cancelAnnounce !== undefined || this.#news.size === 0) return;
    const { clock } = this.#context.env;
    this.#cancelAnnounce = clock.schedule(Math.max(0, this.#announceNotBefore - clock.now()), this.#announce);
  }

  readonly #announce = (): void => {
    this.#cancelAnnounce = undefined;
    const topics = [...this.#news];
    this.#news.clear();
    let told = 0;
    for (const topic of topics) told += topic.announce();
    const waitMs = Math.max(MIN_ANNOUNCE_MS, (told * 1000) / LIMITS.announcementsPerSecond);
    this.#announceNotBefore = after(this.#context.env.clock.now(), waitMs);
    for (const topic of topics) this.#announceLater(topic);
  };

  end(): void {
    this.#cancelAnnounce?.();
    this.#admission.end();
    for (const topic of this.#topics.values()) topic.close();
    this.#topics.clear();
    this.#unflushed.clear();
    this.#news.clear();
  }
}
