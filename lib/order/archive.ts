/** Answers to members that lack something: blocks, chunks and orders, each within bounds. */
import { LIMITS } from '../limits.js';
import type { Chunk } from './chunk.js';
import type { Block } from './cut.js';
import type { Lane } from './lane.js';
import type { MemberMessage } from './messages.js';
import { firstPage } from './paging.js';
import type { Body, OrderPool } from './pool.js';
import { encodeSubmission } from './submission.js';
import type { HashHex, OrderId, ValidatorIndex } from './types.js';

type Request<Kind extends MemberMessage['kind']> = Extract<MemberMessage, { readonly kind: Kind }>;

export class Archive {
  readonly #lanes: readonly Lane[];
  readonly #pool: OrderPool;
  readonly #openBlock: (hash: HashHex) => Block | undefined;
  /** Final blocks, oldest first. */
  readonly #final = new Map<HashHex, Block>();
  /** How often each body was served to each member in its present session. */
  readonly #served = new Map<ValidatorIndex, Map<OrderId, number>>();

  /** `openBlock` finds blocks that are not final. */
  constructor(lanes: readonly Lane[], pool: OrderPool, openBlock: (hash: HashHex) => Block | undefined) {
    this.#lanes = lanes;
    this.#pool = pool;
    this.#openBlock = openBlock;
  }

  /** Keeps a final block, and forgets the oldest with the chunks that it counted. */
  add(block: Block): void {
    this.#final.set(block.hash, block);
    if (this.#final.size <= LIMITS.maxKeptHeights) return;
    const [oldest] = this.#final.values();
    if (oldest === undefined) return;
    this.#final.delete(oldest.hash);
    oldest.cut.forEach(({ sequence }, lane) => {
      this.#lanes[lane]?.prune(sequence);
    });
  }

  newSession(member: ValidatorIndex): void {
    this.#served.delete(member);
  }

  blocks({ hash, above }: Request<'want-blocks'>): MemberMessage {
    const find = (wanted: HashHex): Block | undefined => this.#final.get(wanted) ?? this.#openBlock(wanted);
    function* descending(): Generator<Block> {
      for (let block = find(hash); block !== undefined && block.height > above; block = find(block.parent)) yield block;
    }
    const blocks = firstPage(descending(), ({ bytes }) => bytes.length + 4);
    return { kind: 'blocks', blocks: blocks.map(({ bytes }) => bytes) };
  }

  /** The chunks that follow `above` first: the asker takes them in ascending order. */
  chunks({ lane: index, hash, above }: Request<'want-chunks'>): Uint8Array[] {
    const lane = this.#lanes[index];
    const chunks: Chunk[] = [];
    for (
      let chunk = lane?.get(hash);
      chunk !== undefined && chunk.sequence > above;
      chunk = lane?.get(chunk.previous)
    ) {
      chunks.push(chunk);
      if (chunks.length > LIMITS.maxChunksWalked) chunks.shift(); // the lowest ones are wanted first
    }
    return firstPage(chunks.reverse(), ({ bytes }) => bytes.length + 4).map(({ bytes }) => bytes);
  }

  /** "A body is served at most twice per (peer, id)." */
  orders(to: ValidatorIndex, { ids }: Request<'want-orders'>): MemberMessage {
    const served = this.#served.get(to) ?? new Map<OrderId, number>();
    if (served.size > LIMITS.maxKeptListings) served.clear();
    this.#served.set(to, served);
    function* held(pool: OrderPool): Generator<Body> {
      for (const id of new Set(ids)) {
        const body = pool.get(id);
        const times = served.get(id) ?? 0;
        if (body !== undefined && times < LIMITS.maxServesPerBody) yield body;
      }
    }
    const bodies = firstPage(
      held(this.#pool),
      ({ envelope, signed }) => envelope.bytes.length + signed.ids.length * 32,
    );
    const bySignature = new Map<Body['signed'], Body[]>();
    for (const body of bodies) {
      served.set(body.envelope.id, (served.get(body.envelope.id) ?? 0) + 1);
      bySignature.set(body.signed, [...(bySignature.get(body.signed) ?? []), body]);
    }
    const batches = [...bySignature].map(([signed, of]) =>
      encodeSubmission(
        signed,
        of.map(({ envelope }) => envelope),
      ),
    );
    return { kind: 'orders', batches };
  }
}
