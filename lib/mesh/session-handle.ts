/** The promise-shaped face of the messages between two peers. */
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { AsyncQueue } from './async-queue.js';
import type { Service } from './messaging.js';
import type { SendMessageOptions, Session } from './types.js';

export const SESSION_SERVICE: Service = 'hopfair/session';

/** Messages that wait for a reader; beyond it they are dropped, since whoever does not read cannot be served. */
const MAX_UNREAD_BYTES = 4_194_304;

export interface SessionOutlet {
  send(bytes: Uint8Array, options: SendMessageOptions): boolean;
  untilProgress(signal?: AbortSignal): Promise<void>;
}

export class SessionHandle implements Session {
  readonly peer: PeerId;
  readonly #outlet: SessionOutlet;
  readonly #unread = new AsyncQueue<Uint8Array>();
  #unreadBytes = 0;
  #closed = false;

  constructor(peer: PeerId, outlet: SessionOutlet) {
    this.peer = peer;
    this.#outlet = outlet;
  }

  async send(bytes: Uint8Array, options: SendMessageOptions = {}): Promise<void> {
    for (;;) {
      if (options.signal?.aborted) throw new HopfairError('ABORTED', 'the caller aborted the send');
      if (this.#closed) throw new HopfairError('SESSION_CLOSED', `the session with ${this.peer} is closed`);
      if (this.#outlet.send(bytes, options)) return;
      await this.#outlet.untilProgress(options.signal);
    }
  }

  receive(bytes: Uint8Array): void {
    if (this.#unreadBytes + bytes.length > MAX_UNREAD_BYTES) return;
    this.#unreadBytes += bytes.length;
    this.#unread.push(bytes);
  }

  async *messages(signal?: AbortSignal): AsyncIterableIterator<Uint8Array> {
    for (;;) {
      const next = await this.#unread.next(signal);
      if (next === undefined) return;
      this.#unreadBytes -= next.length;
      yield next;
    }
  }

  close(): void {
    this.#closed = true;
    this.#unread.end();
  }
}
