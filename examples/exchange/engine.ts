/**
 * A small deterministic matching engine: price, then time; an order trades at the price of the one that rests. The same
 * log gives the same state at every replica, and `stateHash` is how replicas compare.
 */
import { createHash } from 'node:crypto';
import { BookSide } from './book.js';
import type { LimitOrder, Side } from './order.js';

export interface Fill {
  readonly price: number;
  readonly quantity: number;
  readonly maker: string;
  readonly taker: string;
}

export class MatchingEngine {
  readonly #sides: Record<Side, BookSide> = { buy: new BookSide('buy'), sell: new BookSide('sell') };
  /** Running hash over all that happened, in order; together with the books it is the whole state. */
  #history: string = '';
  #applied = 0;
  #fills = 0;
  #volume = 0;
  #lastPrice = 0;

  get applied(): number {
    return this.#applied;
  }

  get fills(): number {
    return this.#fills;
  }

  /** In ticks, 0 before the first trade. */
  get lastPrice(): number {
    return this.#lastPrice;
  }

  get bestBid(): number | undefined {
    return this.#sides.buy.best?.price;
  }

  get bestAsk(): number | undefined {
    return this.#sides.sell.best?.price;
  }

  /** Applies the next order of the log and returns its fills, best first. */
  apply(order: LimitOrder): readonly Fill[] {
    const fills: Fill[] = [];
    const opposite = this.#sides[order.side === 'buy' ? 'sell' : 'buy'];
    let remaining = order.quantity;
    for (
      let level = opposite.best;
      remaining > 0 && level !== undefined && opposite.crosses(level, order.price);
      level = opposite.best
    ) {
      const resting = level.queue[0];
      if (resting === undefined) {
        opposite.removeBest();
        continue;
      }
      const quantity = Math.min(remaining, resting.remaining);
      fills.push({ price: level.price, quantity, maker: resting.account, taker: order.account });
      remaining -= quantity;
      resting.remaining -= quantity;
      if (resting.remaining === 0) level.queue.shift();
      if (level.queue.length === 0) opposite.removeBest();
    }
    if (remaining > 0) {
      this.#sides[order.side].add(order.price, { account: order.account, reference: order.reference, remaining });
    }
    this.#record('order', order, fills);
    return fills;
  }

  /** An entry that is no order (void, or nonsense) changes nothing but the history, the same everywhere. */
  skip(id: string): void {
    this.#record('skipped', { id }, []);
  }

  #record(kind: string, what: object, fills: readonly Fill[]): void {
    this.#applied++;
    this.#fills += fills.length;
    for (const fill of fills) {
      this.#volume += fill.quantity;
      this.#lastPrice = fill.price;
    }
    this.#history = createHash('sha256')
      .update(JSON.stringify([this.#history, kind, what, fills]))
      .digest('hex');
  }

  /** SHA-256 in hex over the history and both books. */
  stateHash(): string {
    const hash = createHash('sha256').update(`${this.#history} ${this.#applied} ${this.#fills} ${this.#volume}`);
    for (const side of ['buy', 'sell'] as const) {
      for (const level of this.#sides[side].levels()) hash.update(JSON.stringify([side, level]));
    }
    return hash.digest('hex');
  }
}
