/**
 * The orders of one stream that are on their way, oldest first. Each is sealed on the id of the one before it; when one
 * is gone, those behind it can never be emitted and are sealed again on the last order that still counts.
 */
import type { Instant, UnixMs } from '../env.js';
import { invariant } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import type { Envelope } from '../order/envelope.js';
import type { OrderDraft } from '../order/sealing.js';
import type { SignedIds } from '../order/submission.js';
import type { OrderFacts, OrderId } from '../order/types.js';
import { ReceiptState } from './receipt.js';
import type { OrderTally } from './tally.js';

/** An order as it is sealed at present: what is sent, and sent again unchanged. */
export interface SealedOrder {
  readonly envelope: Envelope;
  readonly tally: OrderTally;
  /** The batch in which it left: its signature covers the id. Undefined until it has left. */
  signed: SignedIds | undefined;
  retryAt: Instant;
  retryMs: number;
}

export class OutgoingOrder {
  readonly stream: OutgoingStream;
  readonly payload: Uint8Array;
  readonly expiry: UnixMs;
  readonly state: ReceiptState = new ReceiptState();
  #sealed: SealedOrder | undefined;
  #facts: OrderFacts | undefined;

  constructor(stream: OutgoingStream, payload: Uint8Array, expiry: UnixMs) {
    this.stream = stream;
    this.payload = payload;
    this.expiry = expiry;
  }

  /** Undefined while it waits to be sealed, or sealed again. */
  get sealed(): SealedOrder | undefined {
    return this.#sealed;
  }

  set sealed(sealed: SealedOrder | undefined) {
    this.#sealed = sealed;
    if (sealed !== undefined) this.#facts = sealed.envelope;
  }

  /** As it was sealed last. */
  get facts(): OrderFacts {
    invariant(this.#facts !== undefined, 'an order is sealed before its receipt is handed out');
    return this.#facts;
  }
}

/** An order of a stream that was emitted: its successor names it. */
export interface EmittedOrder {
  readonly sequence: number;
  readonly id: OrderId;
}

export class OutgoingStream {
  readonly #sender: PeerId;
  readonly #key: string;
  #orders: OutgoingOrder[] = [];
  #last: EmittedOrder | undefined;

  /** `last`: where an earlier run of this client left the stream. */
  constructor(sender: PeerId, key: string, last?: EmittedOrder) {
    this.#sender = sender;
    this.#key = key;
    this.#last = last;
  }

  add(order: OutgoingOrder): void {
    this.#orders.push(order);
  }

  /** What to seal for an order; those before it are sealed. */
  draft(order: OutgoingOrder): OrderDraft {
    const before = this.#orders[this.#orders.indexOf(order) - 1]?.sealed?.envelope ?? this.#last;
    return {
      sender: this.#sender,
      stream: this.#key,
      sequence: (before?.sequence ?? 0) + 1,
      prev: before?.id,
      expiry: order.expiry,
      payload: order.payload,
    };
  }

  /** The order is in the log. */
  emitted(order: OutgoingOrder): void {
    const { sequence, id } = order.sealed?.envelope ?? {};
    if (id !== undefined && sequence !== undefined && sequence > (this.#last?.sequence ?? 0))
      this.#last = { sequence, id };
    this.remove(order);
  }

  /** Takes the order and all behind it back to be sealed again; returns what they were sealed as. */
  unsealFrom(order: OutgoingOrder): readonly SealedOrder[] {
    const dead: SealedOrder[] = [];
    for (const follower of this.#orders.slice(this.#orders.indexOf(order))) {
      if (follower.sealed !== undefined) dead.push(follower.sealed);
      follower.sealed = undefined;
    }
    return dead;
  }

  /** The order will never be emitted. */
  remove(order: OutgoingOrder): void {
    this.#orders = this.#orders.filter(other => other !== order);
  }
}
