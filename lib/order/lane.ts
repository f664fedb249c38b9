/**
 * The lanes of all validators as one member holds them, and its own lane: order.md section 2. Chunks enter when their
 * predecessor is held; of a forked lane the first chain seen is the main one, unless a final cut counts the other.
 */
import type { Signer } from '../crypto/interface.js';
import { type UnixMs, unixMs } from '../env.js';
import { LIMITS } from '../limits.js';
import { type Chunk, chunkSigned, NO_HASH, signChunk } from './chunk.js';
import type { Cut, LaneHead } from './cut.js';
import type { Listing } from './linearizer-io.js';
import type { HashHex, OrderId, ValidatorIndex } from './types.js';
import type { Voters } from './voters.js';

export type Acceptance =
  | { readonly kind: 'new' }
  | { readonly kind: 'known' }
  /** The chunk before it is not held. */
  | { readonly kind: 'gap' }
  /** Not signed by the lane's owner, or its time goes back. */
  | { readonly kind: 'invalid' }
  /** Signed like `other`, for the same sequence: proof of a fork. Kept, for a cut may count it. */
  | { readonly kind: 'fork'; readonly other: Chunk };

const EMPTY_HEAD: LaneHead = { sequence: 0, hash: NO_HASH };

/** One validator's lane. */
export class Lane {
  readonly #voters: Voters;
  readonly #byHash = new Map<HashHex, Chunk>();
  #main = new Map<number, Chunk>();
  #tip: Chunk | undefined;
  #final: LaneHead = EMPTY_HEAD;
  #forkChunks = 0;
  /** Listings of the main chain beyond the final cut. */
  #uncut = 0;

  constructor(voters: Voters) {
    this.#voters = voters;
  }

  get head(): LaneHead {
    return this.#tip ?? EMPTY_HEAD;
  }

  get tip(): Chunk | undefined {
    return this.#tip;
  }

  get uncut(): number {
    return this.#uncut;
  }

  get forked(): boolean {
    return this.#forkChunks > 0;
  }

  get(hash: HashHex): Chunk | undefined {
    return this.#byHash.get(hash);
  }

  at(sequence: number): Chunk | undefined {
    return this.#main.get(sequence);
  }

  accept(chunk: Chunk, signatureKnown = false): Acceptance {
    if (this.#byHash.has(chunk.hash)) return { kind: 'known' };
    const other = this.#main.get(chunk.sequence);
    if (other === undefined && chunk.sequence <= this.#final.sequence) return { kind: 'known' }; // pruned
    const previous = this.#byHash.get(chunk.previous);
    if (previous === undefined && chunk.sequence !== 1) return { kind: 'gap' };
    if (other !== undefined && this.#forkChunks >= LIMITS.maxForkChunks) return { kind: 'known' };
    if (previous !== undefined && !follows(chunk, previous)) return { kind: 'invalid' };
    if (!signatureKnown && !chunkSigned(this.#voters, chunk)) return { kind: 'invalid' };
    this.#byHash.set(chunk.hash, chunk);
    const extends_ = chunk.sequence === this.head.sequence + 1 && chunk.previous === this.head.hash;
    if (!extends_) {
      this.#forkChunks++;
      return other === undefined ? { kind: 'new' } : { kind: 'fork', other };
    }
    this.#main.set(chunk.sequence, chunk);
    this.#tip = chunk;
    this.#uncut += chunk.listings.length;
    return { kind: 'new' };
  }

  /** The chunks after `from` up to `to`; `missing`: one is not held; `conflict`: `to` does not descend from `from`. */
  between(from: LaneHead, to: LaneHead): readonly Chunk[] | 'missing' | 'conflict' {
    if (to.sequence < from.sequence) return 'conflict';
    const chunks: Chunk[] = [];
    let { sequence, hash } = to;
    while (sequence > from.sequence) {
      const chunk = this.#byHash.get(hash);
      if (chunk === undefined) return 'missing';
      if (chunk.sequence !== sequence) return 'conflict';
      chunks.push(chunk);
      hash = chunk.previous;
      sequence--;
    }
    return hash === from.hash ? chunks.reverse() : 'conflict';
  }

  /** The furthest head on the main chain that one cut may advance to from `from`. */
  furthest(from: LaneHead): LaneHead {
    if (from.sequence > 0 && this.#main.get(from.sequence)?.hash !== from.hash) return from;
    let head = from;
    let listings = 0;
    for (let next = this.#main.get(from.sequence + 1); next !== undefined; next = this.#main.get(next.sequence + 1)) {
      listings += next.listings.length;
      if (listings > LIMITS.maxLaneListingsPerCut) break;
      head = next;
    }
    return { sequence: head.sequence, hash: head.hash };
  }

  /** Counts up to a head of a final cut, whose chunks are all held. */
  settle(head: LaneHead): void {
    if (this.#main.get(head.sequence)?.hash !== head.hash && head.sequence > 0) this.#adopt(head);
    for (let sequence = this.#final.sequence + 1; sequence <= head.sequence; sequence++) {
      this.#uncut -= this.#main.get(sequence)?.listings.length ?? 0;
    }
    this.#final = head;
  }

  /** The fork that a final cut counts becomes the main chain. */
  #adopt(head: LaneHead): void {
    const chain = this.between(this.#final, head);
    if (typeof chain === 'string') return; // the caller has all chunks of a cut before it settles it
    for (let sequence = this.#final.sequence + 1; sequence <= this.head.sequence; sequence++)
      this.#main.delete(sequence);
    this.#uncut = 0;
    for (const chunk of chain) {
      this.#main.set(chunk.sequence, chunk);
      this.#uncut += chunk.listings.length;
    }
    this.#tip = chain.at(-1);
  }

  /** Forgets final chunks up to a sequence: nobody can be served with them any more. */
  prune(sequence: number): void {
    for (let at = sequence; at > 0; at--) {
      const chunk = this.#main.get(at);
      if (chunk === undefined) break;
      this.#main.delete(at);
      this.#byHash.delete(chunk.hash);
    }
  }
}

/** Times never go back over the border of two chunks. */
function follows(chunk: Chunk, previous: Chunk): boolean {
  const first = chunk.listings[0]?.time ?? chunk.time;
  return chunk.sequence === previous.sequence + 1 && first >= previous.time;
}

/** Every head of a cut with the chunks that it adds to its parent's, lane by lane; `missing` and `conflict` as above. */
export function advance(
  lanes: readonly Lane[],
  from: Cut,
  to: Cut,
): readonly (readonly Chunk[])[] | 'missing' | 'conflict' {
  const added: (readonly Chunk[])[] = [];
  let missing = false;
  for (const [index, lane] of lanes.entries()) {
    const chunks = lane.between(from[index] ?? EMPTY_HEAD, to[index] ?? EMPTY_HEAD);
    if (chunks === 'conflict') return chunks;
    if (chunks === 'missing') missing = true;
    else added.push(chunks);
  }
  return missing ? 'missing' : added;
}

/** "n-f lanes advance, empty chunks count", and no lane by more than its limit. */
export function cutIsValid(voters: Voters, added: readonly (readonly Chunk[])[]): boolean {
  const advanced = added.filter(chunks => chunks.length > 0).length;
  const listings = (chunks: readonly Chunk[]): number => chunks.reduce((sum, chunk) => sum + chunk.listings.length, 0);
  return advanced >= voters.n - voters.f && added.every(chunks => listings(chunks) <= LIMITS.maxLaneListingsPerCut);
}

/** Writes one's own lane. Nothing enters it before the member may speak: see recovery.ts. */
export class LaneWriter {
  readonly #voters: Voters;
  readonly #signer: Signer;
  readonly #index: ValidatorIndex;
  readonly #lane: Lane;
  #pending: Listing[] = [];
  #time = unixMs(0);

  constructor(voters: Voters, signer: Signer, index: ValidatorIndex, lane: Lane) {
    this.#voters = voters;
    this.#signer = signer;
    this.#index = index;
    this.#lane = lane;
  }

  get pending(): number {
    return this.#pending.length;
  }

  list(id: OrderId, now: UnixMs): void {
    this.#pending.push({ id, time: this.#tick(now) });
  }

  /** Closes the next chunk; the caller makes it durable before anyone sees it. */
  close(now: UnixMs): Chunk {
    const listings = this.#pending.slice(0, LIMITS.maxChunkListings);
    this.#pending = this.#pending.slice(listings.length);
    const { sequence, hash } = this.#lane.head;
    // Listings that wait for the next chunk carry a time already: this chunk may not be closed after them.
    const time = this.#pending[0]?.time ?? this.#tick(now);
    const chunk = signChunk(this.#voters, this.#signer, this.#index, {
      sequence: sequence + 1,
      previous: hash,
      time,
      listings,
    });
    this.#lane.accept(chunk, true);
    return chunk;
  }

  /** Local time that never goes back, neither when the clock does nor over a restart. */
  #tick(now: UnixMs): UnixMs {
    this.#time = unixMs(Math.max(now, this.#time, this.#lane.tip?.time ?? 0));
    return this.#time;
  }
}
