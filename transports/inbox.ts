/**
 * Transports carry messages and know nothing of what is in them. They import the transport interface, errors and limits
 * of lib, and nothing above. This file is what they share: the side of a connection that faces its handler.
 */
import type { HopfairError } from '../lib/errors.js';
import type { ConnectionHandler } from '../lib/transport.js';

/** Above this many buffered bytes `send` answers false. */
export const HIGH_WATER_BYTES = 262_144;

/** What an inbox needs of the connection that it belongs to. */
export interface Source {
  /** Stops and resumes reading from the network. */
  stop(): void;
  start(): void;
}

/**
 * Hands messages to the handler in order, holds them while there is none or it has paused, and ends with `onClose`
 * exactly once. The source is stopped while messages are held, so an inbox holds what one read brought and no more.
 */
export class Inbox {
  readonly #source: Source;
  readonly #later: (fn: () => void) => void;
  #handler: ConnectionHandler | undefined;
  #held: Uint8Array[] = [];
  #paused = false;
  #muted = false;
  #shut = false;
  #pumping = false;
  #ended = false;
  #finished = false;
  #cause: HopfairError | undefined;

  /** `later` runs a function after the present call, without delay. The source is taken to be stopped at first. */
  constructor(source: Source, later: (fn: () => void) => void) {
    this.#source = source;
    this.#later = later;
  }

  attach(handler: ConnectionHandler): void {
    this.#handler = handler;
    this.#wake();
  }

  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#source.stop();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#wake();
  }

  /** Drops held messages and all that come: the connection was closed from this side. */
  mute(): void {
    this.#muted = true;
    this.#held = [];
  }

  /** Takes nothing more: what comes after a broken message is not believed. What is held is still delivered. */
  shut(): void {
    this.#shut = true;
  }

  deliver(message: Uint8Array): void {
    if (this.#shut || this.#muted || this.#ended) return;
    if (this.#handler === undefined || this.#paused || this.#held.length > 0) this.#held.push(message);
    else this.#handler.onMessage(message);
  }

  drained(): void {
    if (!this.#muted && !this.#ended) this.#handler?.onDrain();
  }

  /** The connection is gone. Held messages are still delivered before `onClose`. */
  end(cause: HopfairError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cause = cause;
    this.#finish();
  }

  #wake(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    this.#later(() => {
      this.#pumping = false;
      this.#pump();
    });
  }

  #pump(): void {
    const handler = this.#handler;
    if (handler === undefined) return;
    let next = 0;
    while (next < this.#held.length && !this.#paused) handler.onMessage(this.#held[next++] as Uint8Array);
    this.#held.splice(0, next);
    if (this.#ended) this.#finish();
    else if (!this.#paused) this.#source.start();
  }

  #finish(): void {
    if (this.#finished || this.#handler === undefined || this.#pumping || this.#held.length > 0) return;
    this.#finished = true;
    this.#handler.onClose(this.#cause);
  }
}
