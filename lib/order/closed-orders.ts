/**
 * Orders that were emitted or are gone, remembered until they expire, so that a lane that lists one late does not bring it
 * back. Later no honest lane lists it, and its stream's watermark keeps it out for good.
 */
import type { OrderId } from './types.js';

export type Closed = 'selected' | 'gone';

const SLOT_MS = 1_000;

export class ClosedOrders {
  readonly #orders = new Map<OrderId, Closed>();
  /** Ids by the second of their expiry. */
  readonly #slots = new Map<number, OrderId[]>();
  #forgotten = -1;

  get(id: OrderId): Closed | undefined {
    return this.#orders.get(id);
  }

  add(id: OrderId, how: Closed, expiry: number): void {
    this.#orders.set(id, how);
    const slot = Math.floor(expiry / SLOT_MS);
    const ids = this.#slots.get(slot);
    if (ids === undefined) this.#slots.set(slot, [id]);
    else ids.push(id);
  }

  /** Forgets what expired in seconds before that of `now`. */
  forget(now: number): void {
    const current = Math.floor(now / SLOT_MS);
    if (current === this.#forgotten) return;
    this.#forgotten = current;
    for (const [slot, ids] of this.#slots) {
      if (slot >= current) continue;
      for (const id of ids) this.#orders.delete(id);
      this.#slots.delete(slot);
    }
  }

  /** Everything remembered, with the start of the second of its expiry. */
  *entries(): Generator<{ readonly id: OrderId; readonly how: Closed; readonly expiry: number }> {
    for (const [slot, ids] of this.#slots)
      for (const id of ids) yield { id, how: this.#orders.get(id) ?? 'gone', expiry: slot * SLOT_MS };
  }
}
