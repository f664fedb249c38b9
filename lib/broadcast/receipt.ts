/**
 * What the submitter of an order holds: the order's stages as they are reached. Each stage can be awaited on its own,
 * and the receipt can be iterated for all of them. A stage that cannot be reached any more rejects, once somebody asks.
 */
import type { UnixMs } from '../env.js';
import type { HopfairError } from '../errors.js';
import type { Entry, OrderId, StreamPosition } from '../order/types.js';

/** f+1 members signed that the order is in their lanes: at least one honest member will not forget it. */
export interface PromisedStage {
  readonly stage: 'promised';
  readonly id: OrderId;
  /** Promises held when the stage was reached; below f+1 only when the order was ordered before they arrived. */
  readonly promises: number;
}

/** A final cut selected the order: its place among all others is fixed. */
export interface OrderedStage {
  readonly stage: 'ordered';
  readonly id: OrderId;
  readonly height: number;
}

/** The order is an entry of the log that f+1 members agree on, opened or void. */
export interface OpenedStage {
  readonly stage: 'opened';
  readonly id: OrderId;
  readonly entry: Entry;
}

export type ReceiptStage = PromisedStage | OrderedStage | OpenedStage;
export type StageName = ReceiptStage['stage'];
export type StageOf<Name extends StageName> = Extract<ReceiptStage, { readonly stage: Name }>;

/**
 * The receipt of one submitted order. Iterating it yields the three stages and ends after `opened`.
 *
 * @example
 * const receipt = await orders.submit(bytes, { key: 'account-7', ttlMs: 2_000 });
 * const { entry } = await receipt.opened;
 * await writeFile('order.hfr', await receipt.fairness());
 */
export interface OrderReceipt extends AsyncIterable<ReceiptStage> {
  /**
   * The place in its stream and the id, as the order is sealed at present. Both change when an order before it in the
   * stream is gone and this one has to be sealed again; the entry of the log has the final ones.
   */
  readonly position: StreamPosition;
  readonly id: OrderId;
  /** Wall time after which the order can no longer become solid. */
  readonly expiry: UnixMs;
  /** The stages reject with ORDER_EXPIRED, ORDER_REJECTED, QUOTA_EXCEEDED, ABORTED or INVALID_STATE (closed). */
  readonly promised: Promise<PromisedStage>;
  readonly ordered: Promise<OrderedStage>;
  readonly opened: Promise<OpenedStage>;
  /** The inclusion promises held so far, one of each member, as files that `hopfair verify` checks. */
  promises(): readonly Uint8Array[];
  /** The fairness receipt, which `hopfair verify` checks offline; waits until the order is opened. */
  fairness(): Promise<Uint8Array>;
}

const RANK: Readonly<Record<StageName, number>> = { promised: 0, ordered: 1, opened: 2 };

/** Gets every stage once, in order, or the failure that ends the receipt. */
export interface StageListener {
  onStage(stage: ReceiptStage): void;
  onFailure(error: HopfairError): void;
}

/** The writing end of a receipt: a list of stages that only grows, in their order, and perhaps a failure at its end. */
export class ReceiptState {
  readonly #reached: ReceiptStage[] = [];
  readonly #listeners = new Set<StageListener>();
  #failure: HopfairError | undefined;

  get done(): boolean {
    return this.#failure !== undefined || this.has('opened');
  }

  has(name: StageName): boolean {
    return this.#reached.length > RANK[name];
  }

  /** Records the next stage; a repeated one is ignored. */
  advance(stage: ReceiptStage): void {
    if (this.#failure !== undefined || RANK[stage.stage] !== this.#reached.length) return;
    this.#reached.push(stage);
    for (const listener of [...this.#listeners]) listener.onStage(stage);
  }

  /** Ends the receipt; ignored when the order was opened already. */
  fail(error: HopfairError): void {
    if (this.done) return;
    this.#failure = error;
    for (const listener of [...this.#listeners]) listener.onFailure(error);
  }

  /** Tells what was reached before and what follows, until the returned function is called. */
  watch(listener: StageListener): () => void {
    for (const stage of this.#reached) listener.onStage(stage);
    if (this.#failure !== undefined) listener.onFailure(this.#failure);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  wait<Name extends StageName>(name: Name): Promise<StageOf<Name>> {
    return new Promise((resolve, reject) => {
      const cancel = this.watch({
        onStage: stage => {
          if (stage.stage === name) resolve(stage as StageOf<Name>);
        },
        onFailure: reject,
      });
      if (this.has(name) || this.done) cancel();
    });
  }

  async *stages(): AsyncGenerator<ReceiptStage> {
    for (const name of ['promised', 'ordered', 'opened'] as const) yield await this.wait(name);
  }
}
