/**
 * From final blocks to selected batches. A block waits here until its chunks are held, and the orders that more than f
 * lanes of it list; then the linearizer takes it. Voting never waits for any of this.
 */
import type { UnixMs } from '../env.js';
import { unixMs } from '../env.js';
import type { Chunk } from './chunk.js';
import type { Block, Cut } from './cut.js';
import { advance, type Lane } from './lane.js';
import type { Linearizer } from './linearizer.js';
import type { FactsOf, FinalCut, Listing, Selection } from './linearizer-io.js';
import type { OrderId } from './types.js';
import type { Voters } from './voters.js';

export type SequencerStep =
  | { readonly kind: 'selected'; readonly selection: Selection; readonly cut: Cut; readonly time: UnixMs }
  | { readonly kind: 'chunks-missing'; readonly from: Cut; readonly to: Cut }
  | { readonly kind: 'orders-missing'; readonly ids: readonly OrderId[] }
  | { readonly kind: 'idle' };

export class Sequencer {
  readonly #voters: Voters;
  readonly #lanes: readonly Lane[];
  readonly #linearizer: Linearizer;
  readonly #factsOf: FactsOf;
  /** Final, not yet taken; the first stands on `#last`. */
  #queue: Block[] = [];
  #last: Block;
  #time: UnixMs = unixMs(0);
  #headTimes: UnixMs[];

  constructor(voters: Voters, lanes: readonly Lane[], linearizer: Linearizer, factsOf: FactsOf, genesis: Block) {
    this.#voters = voters;
    this.#lanes = lanes;
    this.#linearizer = linearizer;
    this.#factsOf = factsOf;
    this.#last = genesis;
    this.#headTimes = lanes.map(() => unixMs(0));
  }

  /** Blocks that are final and wait here. */
  get waiting(): number {
    return this.#queue.length;
  }

  push(block: Block): void {
    this.#queue.push(block);
  }

  /** Takes the next final block, or says what it waits for. */
  step(): SequencerStep {
    const block = this.#queue[0];
    if (block === undefined) return { kind: 'idle' };
    const added = advance(this.#lanes, this.#last.cut, block.cut);
    // A conflict is impossible while at most f members are Byzantine: q members checked the descent of every head.
    if (typeof added === 'string') {
      const furthest = this.#queue.at(-1) ?? block; // all that is missing is asked for at once
      return { kind: 'chunks-missing', from: this.#last.cut, to: furthest.cut };
    }
    const cut = this.#finalCut(block, added);
    const ids = this.#linearizer.missing(cut, this.#factsOf);
    if (ids.length > 0) return { kind: 'orders-missing', ids };
    const selection = this.#linearizer.apply(cut, this.#factsOf);
    this.#queue.shift();
    this.#last = block;
    this.#time = cut.time;
    this.#headTimes = [...cut.headTimes];
    return { kind: 'selected', selection, cut: block.cut, time: cut.time };
  }

  /** "Cut time T(cut) = max(parent's T, (f+1)-th largest head time over the n lanes)." */
  #finalCut(block: Block, added: readonly (readonly Chunk[])[]): FinalCut {
    const headTimes = added.map((chunks, lane) => chunks.at(-1)?.time ?? this.#headTimes[lane] ?? unixMs(0));
    const descending = [...headTimes].sort((a, b) => b - a);
    const time = unixMs(Math.max(this.#time, descending[this.#voters.f] ?? 0));
    const lanes = added.map(chunks => chunks.flatMap((chunk): readonly Listing[] => chunk.listings));
    return { height: block.height, hash: block.hash, time, lanes, headTimes };
  }
}
