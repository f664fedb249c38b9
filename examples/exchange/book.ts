/**
 * One side of an order book: price levels from best to worst, orders at a level first in, first out.
 */
import type { Side } from './order.js';

export interface Resting {
  readonly account: string;
  readonly reference: number;
  remaining: number;
}

export interface Level {
  readonly price: number;
  readonly queue: Resting[];
}

export class BookSide {
  /** Worst first, so that the best level is added and removed at the end of the array. */
  readonly #levels: Level[] = [];
  readonly #sign: 1 | -1;

  constructor(side: Side) {
    this.#sign = side === 'buy' ? 1 : -1;
  }

  get best(): Level | undefined {
    return this.#levels.at(-1);
  }

  removeBest(): void {
    this.#levels.pop();
  }

  /** True when a price of the other side would trade with `level`. */
  crosses(level: Level, price: number): boolean {
    return this.#sign * (level.price - price) >= 0;
  }

  add(price: number, order: Resting): void {
    let low = 0;
    let high = this.#levels.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#sign * ((this.#levels[middle] as Level).price - price) < 0) low = middle + 1;
      else high = middle;
    }
    const found = this.#levels[low];
    if (found?.price === price) found.queue.push(order);
    else this.#levels.splice(low, 0, { price, queue: [order] });
  }

  /** Best first. */
  *levels(): IterableIterator<Level> {
    for (let i = this.#levels.length - 1; i >= 0; i--) yield this.#levels[i] as Level;
  }
}
