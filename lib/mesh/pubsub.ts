/** Publish/subscribe as one service of the mesh. */
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { decodePubSub, type PubSubMessage } from '../wire/index.js';
import type { PubSubContext } from './context.js';
import { FillLimits } from './flush-store.js';
import type { Messaging, Service } from './messaging.js';
import { Publisher, type PublisherOptions } from './publisher.js';
import { Subscriber } from './subscriber.js';

const SERVICE: Service = 'hopfair/pubsub';

export class PubSub {
  readonly publisher: Publisher;
  readonly subscriber: Subscriber;

  /** `rttMs` tells what was measured towards a peer, if there is a session with it. */
  constructor(
    context: PubSubContext,
    messaging: Messaging,
    options: PublisherOptions,
    rttMs: (peer: PeerId) => number | undefined,
  ) {
    const { log } = context.env;
    const send = (to: PeerId, bytes: Uint8Array): boolean => {
      try {
        return messaging.send(to, SERVICE, bytes);
      } catch (error) {
        // Revoked since it subscribed, or this node is closing.
        log.info('publication-not-sent', { to, cause: String(error) });
        return false;
      }
    };
    const fills = new FillLimits();
    this.publisher = new Publisher(context, { send, rttMs }, fills, options);
    this.subscriber = new Subscriber(context, { send, rttMs }, fills);
    messaging.serve(SERVICE, (from, bytes) => {
      let message: PubSubMessage;
      try {
        message = decodePubSub(bytes);
      } catch (error) {
        if (!(error instanceof HopfairError)) throw error;
        log.warn('publication-malformed', { from, cause: error.message });
        return;
      }
      this.#onMessage(context.self, from, message);
    });
    messaging.onPeer((peer, state) => {
      if (state === 'up') this.subscriber.peerUp(peer);
      else {
        this.publisher.peerDown(peer);
        this.subscriber.peerDown(peer);
      }
    });
  }

  #onMessage(self: PeerId, from: PeerId, message: PubSubMessage): void {
    const isRequest = message.kind === 'subscribe' || message.kind === 'unsubscribe';
    if (isRequest || (message.kind === 'fill' && message.publisher === self)) {
      if (message.publisher === self) this.publisher.onRequest(from, message);
    } else this.subscriber.onMessage(from, message);
  }

  close(): void {
    this.publisher.end();
    this.subscriber.close();
  }
}
