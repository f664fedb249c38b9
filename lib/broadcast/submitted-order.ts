/** The reading end of an order on its way: what `submit` hands out. */
import type { UnixMs } from '../env.js';
import { encodePromise } from '../order/promise.js';
import type { OrderId, StreamPosition } from '../order/types.js';
import type { OutgoingOrder } from './outgoing-stream.js';
import type { OpenedStage, OrderedStage, OrderReceipt, PromisedStage, ReceiptStage } from './receipt.js';

export class SubmittedOrder implements OrderReceipt {
  readonly #order: OutgoingOrder;
  readonly #requestFairness: (id: OrderId) => Promise<Uint8Array>;

  constructor(order: OutgoingOrder, requestFairness: (id: OrderId) => Promise<Uint8Array>) {
    this.#order = order;
    this.#requestFairness = requestFairness;
  }

  get position(): StreamPosition {
    const { sender, stream, sequence } = this.#order.facts;
    return { sender, stream, sequence };
  }

  get id(): OrderId {
    return this.#order.facts.id;
  }

  get expiry(): UnixMs {
    return this.#order.expiry;
  }

  // Promises are made when they are asked for: a stage that nobody waits for cannot reject unhandled.

  get promised(): Promise<PromisedStage> {
    return this.#order.state.wait('promised');
  }

  get ordered(): Promise<OrderedStage> {
    return this.#order.state.wait('ordered');
  }

  get opened(): Promise<OpenedStage> {
    return this.#order.state.wait('opened');
  }

  promises(): readonly Uint8Array[] {
    return this.#order.sealed?.tally.promises.map(encodePromise) ?? [];
  }

  async fairness(): Promise<Uint8Array> {
    const { id } = await this.opened;
    return this.#requestFairness(id);
  }

  [Symbol.asyncIterator](): AsyncIterator<ReceiptStage> {
    return this.#order.state.stages();
  }
}
