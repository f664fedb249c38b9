import type { CryptoProvider } from '../crypto/interface.js';
import type { PinnedCommittee } from './committee.js';
import type { EmittedBatch, FactsOf, FinalCut, Selection } from './linearizer-io.js';
import type { Verdict } from './opening.js';
import type { OrderId } from './types.js';

/**
 * From final cuts to one order: order.md section 4. A pure function of the sequence of final cuts, kept incrementally.
 * Selecting runs ahead of opening: `apply` may take later cuts while earlier batches wait for their verdicts.
 */
export declare class Linearizer {
  constructor(crypto: CryptoProvider, committee: PinnedCommittee);
  /** The state after `snapshot`; throws DECODE_FAILED. */
  static restore(crypto: CryptoProvider, committee: PinnedCommittee, bytes: Uint8Array): Linearizer;
  /** Height of the last cut applied; 0 at the start. */
  get height(): number;
  /** Entries emitted so far. */
  get logSize(): number;
  /** True while a ready order waits to be emitted or a batch waits for its verdicts: cuts must go on. */
  get busy(): boolean;
  /** Orders whose facts `apply` of this cut needs and `factsOf` does not know: fetch them, f+1 lanes have them. */
  missing(cut: FinalCut, factsOf: FactsOf): OrderId[];
  /** Takes the next final cut. Throws INVALID_STATE when heights do not follow or facts are missing. */
  apply(cut: FinalCut, factsOf: FactsOf): Selection;
  /** The oldest selected batch that is not emitted: the orders whose verdicts `emit` needs. */
  get next(): Selection | undefined;
  /** Puts the `next` batch in its final order. Throws INVALID_STATE when there is none or a verdict is missing. */
  emit(verdicts: ReadonlyMap<OrderId, Verdict>): EmittedBatch;
  snapshot(): Uint8Array;
}
