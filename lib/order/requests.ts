/** What this member lacks, and asks others for: blocks, chunks, orders. Nothing is asked for twice in 2D. */
import type { Instant } from '../env.js';
import type { Cut, LaneHead } from './cut.js';
import { AskedRecently, type BodyFetcher } from './fetch.js';
import type { Lane } from './lane.js';
import type { Outbox } from './outbox.js';
import type { Simplex } from './simplex.js';
import type { HashHex, ValidatorIndex } from './types.js';

interface WantedCut {
  readonly from: Cut;
  readonly to: Cut;
  /** Who has it for certain; undefined: q members have. */
  readonly source: ValidatorIndex | undefined;
}

export class Requests {
  readonly #out: Outbox;
  readonly #lanes: readonly Lane[];
  readonly #others: readonly ValidatorIndex[];
  readonly #asked: AskedRecently;
  readonly #blocks = new Map<HashHex, readonly ValidatorIndex[]>();
  #cut: WantedCut | undefined;

  constructor(out: Outbox, lanes: readonly Lane[], self: ValidatorIndex, retryMs: number) {
    this.#out = out;
    this.#lanes = lanes;
    this.#others = [...lanes.keys()].filter(index => index !== self);
    this.#asked = new AskedRecently(retryMs);
  }

  /** True unless the same was allowed a short time ago. */
  allow(what: string, now: Instant): boolean {
    return this.#asked.ask(what, now) !== undefined;
  }

  wantBlock(hash: HashHex, signers: readonly ValidatorIndex[]): void {
    this.#blocks.set(hash, signers);
  }

  /** The chunks that one cut adds to another. */
  wantCut(from: Cut, to: Cut, source?: ValidatorIndex): void {
    this.#cut = { from, to, source };
  }

  wantChunks(from: ValidatorIndex, lane: ValidatorIndex, head: LaneHead, above: number, now: Instant): void {
    if (!this.allow(`chunks ${lane} ${head.hash} ${above}`, now)) return;
    this.#out.send(from, { kind: 'want-chunks', lane, hash: head.hash, above });
  }

  /** Sends what is due. */
  send(simplex: Simplex, fetcher: BodyFetcher, now: Instant): void {
    for (const [hash, signers] of this.#blocks) {
      if (simplex.block(hash) !== undefined) continue;
      const times = this.#asked.ask(`block ${hash}`, now);
      const to = times === undefined ? undefined : signers[times % signers.length];
      if (to !== undefined) this.#out.send(to, { kind: 'want-blocks', hash, above: simplex.final.height });
    }
    this.#blocks.clear();
    for (const [lister, ids] of fetcher.due(now)) this.#out.send(lister, { kind: 'want-orders', ids });
    this.#sendForCut(now);
  }

  #sendForCut(now: Instant): void {
    const wanted = this.#cut;
    this.#cut = undefined;
    wanted?.to.forEach((head, index) => {
      const [from, lane] = [wanted.from[index], this.#lanes[index]];
      if (from === undefined || lane?.between(from, head) !== 'missing') return;
      // What is held of the main chain need not come again, unless the cut counts another chain.
      const extendsMain = !lane.forked && lane.head.sequence < head.sequence;
      const above = extendsMain ? Math.max(from.sequence, lane.head.sequence) : from.sequence;
      const times = this.#asked.ask(`chunks ${index} ${head.hash} ${above}`, now);
      if (times === undefined) return;
      const sources = wanted.source === undefined ? this.#others : [wanted.source, ...this.#others];
      const to = sources[times % sources.length];
      if (to !== undefined) this.#out.send(to, { kind: 'want-chunks', lane: index, hash: head.hash, above });
    });
  }
}
