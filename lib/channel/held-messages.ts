/** The side of a channel that faces its application: holds messages while there is no handler or it has paused. */
import type { Clock } from '../env.js';
import type { HopfairError } from '../errors.js';
import { MessageStore } from './message-store.js';
import { PRIORITIES } from './record.js';
import type { ChannelHandler, Priority } from './types.js';

/**
 * Delivers in order, never from within a call of attach, pause or resume, and `onClose` exactly once, as the last. What
 * it may come to hold is bounded by the credit that the channel grants.
 */
export class HeldMessages {
  readonly #clock: Clock;
  readonly #onReleased: () => void;
  #handler: ChannelHandler | undefined;
  readonly #store = new MessageStore();
  #paused = false;
  #releasing = false;
  #end: { readonly cause: HopfairError | undefined } | undefined;
  #closed = false;

  constructor(clock: Clock, onReleased: () => void) {
    this.#clock = clock;
    this.#onReleased = onReleased;
  }

  /** Headers included, as they were charged. */
  get bytes(): number {
    return this.#store.bytes;
  }

  get isEmpty(): boolean {
    return this.#store.isEmpty;
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

  deliver(message: Uint8Array, rank: number): void {
    const handler = this.#handler;
    if (handler === undefined || this.#paused || !this.#store.isEmpty) this.#store.push(message, rank);
    else handler.onMessage(message, PRIORITIES[rank] as Priority);
  }

  /** Nothing is delivered any more but `onClose`. */
  end(cause: HopfairError | undefined): void {
    this.#end = { cause };
    this.#store.clear();
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
    const deliver = (message: Uint8Array, rank: number): void => {
      handler.onMessage(message, PRIORITIES[rank] as Priority);
    };
    while (!this.#store.isEmpty && !this.#paused && this.#end === undefined) this.#store.shift(deliver);
    if (this.#end === undefined) this.#onReleased();
    else {
      this.#closed = true;
      handler.onClose(this.#end.cause);
    }
  };
}
