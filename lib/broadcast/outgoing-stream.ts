/**
 * The orders of one stream that are on their way, oldest first. Each is sealed on the id of the one before it; when one
 * is gone, those behind it can never be emitted and are sealed again on the last order that still counts.
 */
import type { UnixMs } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import type { Envelope } from '../order/envelope.js';
import type { OrderDraft } from '../order/sealing.js';
import type { OrderId } from '../order/types.js';
import type { ReceiptState } from './receipt.js';
import type { OrderTally } from './tally.js';

/** An order as it is sealed at present: what is sent, and sent again unchanged. */
export interface SealedOrder {
  readonly envelope: Envelope;
  readonly tally: OrderTally;
}

export class OutgoingOrder {
  readonly stream: OutgoingStream;
  readonly payload: Uint8Array;
  readonly expiry: UnixMs;
  readonly receipt: ReceiptState;
  sealed: SealedOrder | undefined;

  constructor(stream: OutgoingStream, payload: Uint8Array, expiry: UnixMs, receipt: ReceiptState) {
    this.stream = stream;
    this.payload = payload;
    this.expiry = expiry;
    this.receipt = receipt;
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

  get orders(): readonly OutgoingOrder[] {
    return this.#orders;
  }

  add(order: OutgoingOrder): void {
    this.#orders.push(order);
  }

  /** The first order that is not sealed: everything before it is. */
  nextUnsealed(): OutgoingOrder | undefined {
    return this.#orders.find(order => order.sealed === undefined);
  }

  /** What to seal for the order that `nextUnsealed` returned. */
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
    this.#orders = this.#orders.filter(other => other !== order);
  }

  /** The order can never be emitted. Returns the sealed orders behind it, which cannot either, now to be sealed again. */
  gone(order: OutgoingOrder): readonly SealedOrder[] {
    const at = this.#orders.indexOf(order);
    const dead: SealedOrder[] = [];
    for (const follower of this.#orders.slice(at + 1)) {
      if (follower.sealed !== undefined) dead.push(follower.sealed);
      follower.sealed = undefined;
    }
    this.#orders = this.#orders.filter(other => other !== order);
    return dead;
  }
}
