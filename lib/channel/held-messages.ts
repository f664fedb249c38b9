/** The side of a channel that faces its application: holds messages while there is no handler or it has paused. */
import type { Clock } from '../env.js';
import type { HopfairError } from '../errors.js';
import type { ChannelHandler, Priority } from './types.js';

/**
 * Delivers in order, never from within a call of attach, pause or resume, and `onClose` exactly once, as the last. What
 * it may come to hold is bounded by the credit that the channel grants.
 */
export class HeldMessages {
  readonly #clock: Clock;
  readonly #onReleased: () => void;
  #handler: ChannelHandler | undefined;
  #messages: Uint8Array[] = [];
  #priorities: Priority[] = [];
  #bytes = 0;
  #paused = false;
  #releasing = false;
  #end: { readonly cause: HopfairError | undefined } | undefined;
  #closed = false;

  constructor(clock: Clock, onReleased: () => void) {
    this.#clock = clock;
    this.#onReleased = onReleased;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#messages.length === 0;
  }

  attach(handler: ChannelHandler): void {
    this.#handler = handler;
    this.#scheduleRelease();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#scheduleRelease();
  }

  deliver(message: Uint8Array, priority: Priority): void {
    if (this.#handler !== undefined && !this.#paused && this.#messages.length === 0) {
      this.#handler.onMessage(message, priority);
      return;
    }
    this.#messages.push(message);
    this.#priorities.push(priority);
    this.#bytes += message.length;
  }

  /** Nothing is delivered any more but `onClose`. */
  end(cause: HopfairError | undefined): void {
    this.#end = { cause };
    this.#messages = [];
    this.#priorities = [];
    this.#bytes = 0;
    this.#scheduleRelease();
  }

  #scheduleRelease(): void {
    if (this.#releasing || this.#handler === undefined || this.#closed) return;
    this.#releasing = true;
    this.#clock.defer(this.#release);
  }

  readonly #release = (): void => {
    this.#releasing = false;
    const handler = this.#handler;
    if (handler === undefined || this.#closed) return;
    let next = 0;
    while (next < this.#messages.length && !this.#paused && this.#end === undefined) {
      const message = this.#messages[next] as Uint8Array;
      this.#bytes -= message.length;
      handler.onMessage(message, this.#priorities[next++] as Priority);
    }
    this.#messages.splice(0, next);
    this.#priorities.splice(0, next);
    if (this.#end === undefined) this.#onReleased();
    else {
      this.#closed = true;
      handler.onClose(this.#end.cause);
    }
  };
}
