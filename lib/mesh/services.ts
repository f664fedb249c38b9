/** Who gets which message: the handlers of this node by service, and what came before its handler was there. */
import type { Cancel, Logger } from '../env.js';
import { requireArgument } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import type { Service } from './messaging.js';

type Handler = (from: PeerId, bytes: Uint8Array) => void;

interface Held {
  readonly from: PeerId;
  readonly bytes: Uint8Array;
}

const MAX_SERVICE_CHARACTERS = 32;
const MAX_HELD_BYTES = 1_048_576;
const MAX_HELD_MESSAGES = 1_024;

export function requireService(service: Service): void {
  requireArgument(/^[\x21-\x7e]+$/.test(service), 'a service is named by printable ASCII characters');
  requireArgument(service.length <= MAX_SERVICE_CHARACTERS, `a service name has ${MAX_SERVICE_CHARACTERS} characters`);
}

export class Services {
  readonly #log: Logger;
  readonly #handlers = new Map<Service, Handler>();
  /** A peer may be faster than the application that starts here. */
  readonly #held = new Map<Service, Held[]>();
  #heldBytes = 0;
  #heldMessages = 0;
  /** Messages that were dropped because nobody serves them here. */
  unserved = 0;

  constructor(log: Logger) {
    this.#log = log;
  }

  serve(service: Service, handler: Handler): Cancel {
    requireService(service);
    requireArgument(!this.#handlers.has(service), `${service} is served already`);
    this.#handlers.set(service, handler);
    const held = this.#held.get(service) ?? [];
    this.#held.delete(service);
    for (const { from, bytes } of held) {
      this.#heldBytes -= bytes.length;
      this.#heldMessages -= 1;
      this.deliver(from, service, bytes);
    }
    return () => {
      if (this.#handlers.get(service) === handler) this.#handlers.delete(service);
    };
  }

  deliver(from: PeerId, service: Service, bytes: Uint8Array): void {
    const handler = this.#handlers.get(service);
    if (handler === undefined) {
      this.#hold(from, service, bytes);
      return;
    }
    try {
      handler(from, bytes);
    } catch (error) {
      // A mistake of the application must not look like one of the peer, nor stop the messages behind this one.
      this.#log.error('service-handler-threw', { service, from, cause: String(error) });
    }
  }

  #hold(from: PeerId, service: Service, bytes: Uint8Array): void {
    if (this.#heldBytes + bytes.length > MAX_HELD_BYTES || this.#heldMessages >= MAX_HELD_MESSAGES) {
      this.unserved += 1;
      this.#log.warn('message-for-nobody', { service, from, bytes: bytes.length, unserved: this.unserved });
      return;
    }
    const held = this.#held.get(service);
    if (held === undefined) this.#held.set(service, [{ from, bytes }]);
    else held.push({ from, bytes });
    this.#heldBytes += bytes.length;
    this.#heldMessages += 1;
  }
}
