/**
 * The promise-shaped face of the messages between two peers. What its reader has not taken is held, and is credit that the
 * sender does not get (credit.ts): a reader that is slow makes `send` at the other end wait.
 */
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { AsyncQueue } from './async-queue.js';
import type { Service } from './messaging.js';
import type { SendMessageOptions, Session } from './types.js';

export const SESSION_SERVICE: Service = 'hopfair/session';

export interface SessionOutlet {
  send(bytes: Uint8Array, options: SendMessageOptions): boolean;
  untilProgress(signal?: AbortSignal): Promise<void>;
  /** The reader has taken a message of this length. */
  onTaken(bytes: number, reliable: boolean): void;
}

interface Unread {
  readonly bytes: Uint8Array;
  readonly reliable: boolean;
}

export class SessionHandle implements Session {
  readonly peer: PeerId;
  readonly #outlet: SessionOutlet;
  readonly #unread = new AsyncQueue<Unread>();
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

  receive(bytes: Uint8Array, reliable: boolean): void {
    this.#unread.push({ bytes, reliable });
  }

  async *messages(signal?: AbortSignal): AsyncIterableIterator<Uint8Array> {
    for (;;) {
      const next = await this.#unread.next(signal);
      if (next === undefined) return;
      this.#outlet.onTaken(next.bytes.length, next.reliable);
      yield next.bytes;
    }
  }

  close(): void {
    this.#closed = true;
    this.#unread.end();
  }
}
