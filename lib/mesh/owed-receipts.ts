/** The receipts that this end owes for one path: which packets came, and when the other end must hear of it. */
import { after, type Instant } from '../env.js';
import { MAX_RECEIPT_DELAY_MS, type ReceiptRanges } from '../route/index.js';
import type { Receipt } from '../wire/index.js';

/** So many packets are receipted without waiting for more. */
const MAX_OWED = 8;

export class OwedReceipts {
  readonly #path: number;
  readonly #received: ReceiptRanges;
  #count = 0;
  #newestAt: Instant;
  #due: Instant | undefined;

  /** `received` is the history of the path number, which outlives the path. */
  constructor(path: number, received: ReceiptRanges, now: Instant) {
    this.#path = path;
    this.#received = received;
    this.#newestAt = now;
  }

  /** When the receipt must leave; undefined while none is owed. */
  get due(): Instant | undefined {
    return this.#due;
  }

  owe(packet: number, atOnce: boolean, now: Instant): void {
    this.#received.add(packet);
    this.#newestAt = now;
    this.#count += 1;
    if (atOnce || this.#count >= MAX_OWED) this.#due = now;
    else this.#due ??= after(now, MAX_RECEIPT_DELAY_MS);
  }

  /** The receipt, when one is owed; `early` takes it along before it is due. */
  take(now: Instant, early: boolean): readonly Receipt[] {
    if (this.#due === undefined || (!early && now < this.#due)) return [];
    this.#count = 0;
    this.#due = undefined;
    return [{ path: this.#path, delayMs: now - this.#newestAt, ranges: this.#received.ranges }];
  }
}
