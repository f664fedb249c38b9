/** What goes into the linearizer and what comes out of it. */
import type { UnixMs } from '../env.js';
import type { Batch, HashHex, OrderFacts, OrderId } from './types.js';

/** One line of a lane: the validator saw this order at this time of its own clock. */
export interface Listing {
  readonly id: OrderId;
  readonly time: UnixMs;
}

/** A final cut, reduced to what decides the order. */
export interface FinalCut {
  /** From 1, without gaps. */
  readonly height: number;
  readonly hash: HashHex;
  /** T(cut): never less than the parent's. */
  readonly time: UnixMs;
  /** By validator: what this cut lists and its parent did not, in lane order. Repetitions of an id in a lane are ignored. */
  readonly lanes: readonly (readonly Listing[])[];
  /** By validator: the time of the lane's head in this cut. */
  readonly headTimes: readonly UnixMs[];
}

/** Looks an order up in the envelopes that this member holds. */
export type FactsOf = (id: OrderId) => OrderFacts | undefined;

/**
 * Why an order will never be emitted. `expired`: not ready when cut time passed its expiry. `stream`: its predecessor is
 * gone. `double`: another order of the same sender, stream and sequence was taken.
 */
export type GoneReason = 'expired' | 'stream' | 'double';

export interface GoneOrder {
  readonly id: OrderId;
  readonly reason: GoneReason;
  /** For `double`: the order that was taken instead. Both envelopes and batch signatures together are evidence. */
  readonly instead?: OrderId;
}

/** What one final cut decided. */
export interface Selection {
  readonly height: number;
  readonly cutHash: HashHex;
  /** The batch, ascending by id: reveal the shares of these, and of nothing else. Often empty. */
  readonly open: readonly OrderId[];
  readonly gone: readonly GoneOrder[];
}

/** A selected batch in its final order. */
export interface EmittedBatch {
  readonly batch: Batch;
  /** Proof that the entry with this index is in the log under `batch.logRoot`. */
  pathOf(index: number): readonly Uint8Array[];
}
