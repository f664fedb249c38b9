/** Publish/subscribe as one service of the mesh. */
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { decodePubSub, type PubSubMessage } from '../wire/index.js';
import type { MeshContext } from './context.js';
import type { Messaging, Service } from './messaging.js';
import { Publisher } from './publisher.js';
import { isAnswer, Subscriber } from './subscriber.js';

const SERVICE: Service = 'hopfair/pubsub';

export class PubSub {
  readonly publisher: Publisher;
  readonly subscriber: Subscriber;

  constructor(context: MeshContext, messaging: Messaging, history?: number) {
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
    this.publisher = new Publisher(context, send, history);
    this.subscriber = new Subscriber(context, send);
    messaging.serve(SERVICE, (from, bytes) => {
      let message: PubSubMessage;
      try {
        message = decodePubSub(bytes);
      } catch (error) {
        if (!(error instanceof HopfairError)) throw error;
        log.warn('publication-malformed', { from, cause: error.message });
        return;
      }
      if (isAnswer(message)) this.subscriber.onAnswer(from, message);
      else this.publisher.onRequest(from, message);
    });
    messaging.onPeer((peer, state) => {
      if (state === 'up') this.subscriber.peerUp(peer);
      else {
        this.publisher.peerDown(peer);
        this.subscriber.peerDown(peer);
      }
    });
  }
}
