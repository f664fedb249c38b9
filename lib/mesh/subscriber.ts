/** The subscriptions of this node: who gets which message, whose signature is checked, and the timer of them all. */
import type { Instant } from '../env.js';
import { requireArgument } from '../errors.js';
import { parsePeerId, verifySignature } from '../identity/index.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import { type Flush, flushSigningBody, type PubSubMessage } from '../wire/index.js';
import { Alarm } from './alarm.js';
import type { PubSubContext } from './context.js';
import type { FillLimits } from './flush-store.js';
import { PublicationQueue } from './publication-queue.js';
import { Subscription, type SubscriptionHost } from './subscription.js';
import type { SendTo } from './topic.js';
import type { Publication, SubscribeOptions } from './types.js';

export interface SubscriberOutlet {
  readonly send: SendTo;
  readonly rttMs: (peer: PeerId) => number | undefined;
}

export class Subscriber {
  readonly #context: PubSubContext;
  readonly #outlet: SubscriberOutlet;
  readonly #fills: FillLimits;
  readonly #host: SubscriptionHost;
  readonly #alarm: Alarm;
  readonly #subscriptions = new Map<string, Subscription>();

  constructor(context: PubSubContext, outlet: SubscriberOutlet, fills: FillLimits) {
    this.#context = context;
    this.#outlet = outlet;
    this.#fills = fills;
    const { clock, log } = context.env;
    this.#alarm = new Alarm(clock, () => this.#tick());
    this.#host = {
      crypto: context.crypto,
      send: outlet.send,
      now: () => clock.now(),
      rttMs: outlet.rttMs,
      verify: flush => this.#verify(flush),
      wake: at => this.#alarm.set(at),
      warn: (event, from) => log.warn(event, { from }),
    };
  }

  subscribe(topic: string, { from, fillFrom = [], signal }: SubscribeOptions): AsyncIterableIterator<Publication> {
    const full = topic.includes('/') ? topic : this.#context.membership.aliasOf(topic);
    requireArgument(full !== undefined, `${topic} is neither publisherId/name nor an alias`);
    const slash = full.indexOf('/');
    requireArgument(slash > 0, 'a topic is publisherId/name');
    requireArgument(!this.#subscriptions.has(full), `${full} is subscribed already`);
    requireArgument(fillFrom.length <= LIMITS.maxFillPeers, `${LIMITS.maxFillPeers} peers at most fill gaps`);
    const isSafe = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
    requireArgument(
      from === undefined || (isSafe(from.epoch) && isSafe(from.sequence)),
      'a position is an epoch and a sequence number',
    );
    const publisher = parsePeerId(full.slice(0, slash));
    requireArgument(publisher !== this.#context.self, 'a node does not subscribe to a topic of its own');
    for (const peer of fillFrom) parsePeerId(peer);
    const stop = (): void => queue.end();
    const queue = new PublicationQueue(() => {
      signal?.removeEventListener('abort', stop);
      if (this.#subscriptions.get(full) !== subscription) return;
      this.#subscriptions.delete(full);
      subscription.end();
    });
    const name = full.slice(slash + 1);
    const subscription = new Subscription({ publisher, name }, queue, this.#host, from, [...fillFrom]);
    this.#subscriptions.set(full, subscription);
    if (signal?.aborted) queue.end();
    else {
      signal?.addEventListener('abort', stop, { once: true });
      subscription.subscribe();
    }
    return queue;
  }

  #tick(): void {
    const now = this.#context.env.clock.now();
    let next: Instant | undefined;
    for (const subscription of this.#subscriptions.values()) {
      if ((subscription.deadline ?? Number.POSITIVE_INFINITY) <= now) subscription.tick(now);
      const { deadline } = subscription;
      if (deadline !== undefined && (next === undefined || deadline < next)) next = deadline;
    }
    this.#alarm.set(next);
  }

  /** A session with the publisher came up: it may be another run of it, which knows nothing of us. */
  peerUp(peer: PeerId): void {
    for (const subscription of this.#subscriptions.values()) {
      if (subscription.topic.publisher === peer) subscription.subscribe();
    }
  }

  peerDown(peer: PeerId): void {
    for (const subscription of this.#subscriptions.values()) {
      if (subscription.topic.publisher === peer) subscription.lost();
    }
  }

  onMessage(from: PeerId, message: Exclude<PubSubMessage, { kind: 'subscribe' | 'unsubscribe' }>): void {
    const subscription = this.#subscriptions.get(`${message.publisher}/${message.name}`);
    if (subscription === undefined) return;
    switch (message.kind) {
      case 'flush':
        subscription.onFlush(from, message);
        return;
      case 'fill': {
        const { clock } = this.#context.env;
        const send = (bytes: Uint8Array): boolean =>
          this.#fills.take(from, bytes.length, clock.now()) && this.#outlet.send(from, bytes);
        subscription.serve(message, send);
        return;
      }
      case 'unavailable':
        subscription.onUnavailable(from, message);
        return;
    }
    // Who may have the topic, and from whom, is for its publisher alone to say.
    if (from !== message.publisher) return;
    switch (message.kind) {
      case 'subscribed':
        subscription.onSubscribed(message);
        break;
      case 'key':
        subscription.onKey(message);
        break;
      case 'announce':
        subscription.onAnnounce(message);
        break;
      case 'forward':
        subscription.onForward(message.children.filter(child => child !== this.#context.self));
        break;
      case 'refused':
        subscription.onRefused(message.reason);
    }
  }

  #verify({ publisher, epoch, header, sealed, signature }: Flush): boolean {
    const { crypto, networkId } = this.#context;
    const body = flushSigningBody(header, crypto.hash('SHA256').digest(sealed));
    return verifySignature(crypto, publisher, { kind: 'publication', networkId, epoch }, body, signature);
  }

  close(): void {
    this.#alarm.stop();
    for (const subscription of [...this.#subscriptions.values()]) subscription.queue.end();
  }
}
