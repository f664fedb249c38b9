/**
 * What a member signed and sent can never be taken back, whatever happened to it in between: one proposal and one
 * notarization a view, never nullify and finalize together, one chunk at each place of its lane. Every message between
 * members is read as it leaves; a process that restarts without what its predecessor promised is caught here.
 */
import { equalBytes } from '../../../lib/bytes.js';
import { type Chunk, decodeChunk } from '../../../lib/order/chunk.js';
import { isClientMessage } from '../../../lib/order/client-messages.js';
import { type Block, decodeBlock } from '../../../lib/order/cut.js';
import { decodeMemberMessage } from '../../../lib/order/messages.js';
import { CAST } from '../../../lib/order/simplex.js';
import type { HashHex, ValidatorIndex } from '../../../lib/order/types.js';
import type { Vote } from '../../../lib/order/vote.js';
import type { Voters } from '../../../lib/order/voters.js';
import { Violation } from '../../../lib/sim/index.js';

export class WireCheck {
  readonly #voters: Voters;
  readonly #blocks = new Map<HashHex, Block>();
  readonly #proposed = new Map<number, HashHex>();
  readonly #notarized = new Map<string, HashHex>();
  readonly #cast = new Map<string, number>();
  readonly #chunks = new Map<string, Chunk>();
  /** Messages that were read, as their bytes may go to many. */
  readonly #read = new WeakSet<Uint8Array>();
  readonly #finalizers = new Map<HashHex, Set<ValidatorIndex>>();
  #highestFinal: Block | undefined;

  constructor(voters: Voters) {
    this.#voters = voters;
  }

  /** The chain of final blocks, from the first. */
  finalChain(): readonly Block[] {
    const chain: Block[] = [];
    for (let block = this.#highestFinal; block !== undefined; block = this.#blocks.get(block.parent)) chain.push(block);
    return chain.reverse();
  }

  chunk(lane: ValidatorIndex, sequence: number): Chunk | undefined {
    return this.#chunks.get(`${lane}/${sequence}`);
  }

  /** A member sent this to another member. */
  sent(bytes: Uint8Array): void {
    if (isClientMessage(bytes) || this.#read.has(bytes)) return;
    this.#read.add(bytes);
    const message = decodeMemberMessage(this.#voters, bytes);
    switch (message.kind) {
      case 'chunks':
        for (const chunk of message.chunks) this.#chunk(chunk);
        break;
      case 'proposal':
        this.#block(message.block);
        for (const chunk of message.chunks) this.#chunk(chunk);
        break;
      case 'votes':
        for (const vote of message.votes) this.#vote(vote);
        break;
      case 'certificates':
        for (const { signatures, ...ballot } of message.certificates) {
          for (const signature of signatures) this.#vote({ ...ballot, ...signature });
        }
        break;
      case 'blocks':
        for (const block of message.blocks) this.#block(block);
        break;
      default:
        break;
    }
  }

  #block(bytes: Uint8Array): void {
    const block = decodeBlock(this.#voters, bytes);
    const other = this.#proposed.get(block.view);
    if (other !== undefined && other !== block.hash) {
      throw new Violation('equivocation', `leader of view ${block.view} proposed ${other} and ${block.hash}`);
    }
    this.#proposed.set(block.view, block.hash);
    this.#blocks.set(block.hash, block);
  }

  #vote(vote: Vote): void {
    const key = `${vote.voter}/${vote.view}`;
    const cast = (this.#cast.get(key) ?? 0) | CAST[vote.kind];
    this.#cast.set(key, cast);
    const both = CAST.nullify | CAST.finalize;
    if ((cast & both) === both) {
      throw new Violation('equivocation', `member ${vote.voter} nullified and finalized view ${vote.view}`);
    }
    if (vote.kind === 'nullify') return;
    const other = this.#notarized.get(key);
    if (other !== undefined && other !== vote.block) {
      throw new Violation('equivocation', `member ${vote.voter} voted for ${other} and ${vote.block} in ${vote.view}`);
    }
    this.#notarized.set(key, vote.block);
    if (vote.kind === 'finalize') this.#finalize(vote);
  }

  /** q finalize votes make a block final, and all final blocks stand on one chain. */
  #finalize({ block: hash, voter }: Vote): void {
    const finalizers = this.#finalizers.get(hash) ?? new Set();
    this.#finalizers.set(hash, finalizers.add(voter));
    const block = this.#blocks.get(hash);
    if (finalizers.size !== this.#voters.q || block === undefined) return;
    const [low, high] =
      block.height < (this.#highestFinal?.height ?? 0) ? [block, this.#highestFinal] : [this.#highestFinal, block];
    let ancestor: Block | undefined = high;
    while (low !== undefined && ancestor !== undefined && ancestor.height > low.height) {
      ancestor = this.#blocks.get(ancestor.parent);
    }
    if (low !== undefined && ancestor?.hash !== low.hash) {
      throw new Violation('agreement', `final blocks ${low.hash} and ${high?.hash} stand on different chains`);
    }
    this.#highestFinal = high;
  }

  #chunk(bytes: Uint8Array): void {
    const chunk = decodeChunk(this.#voters, bytes);
    const key = `${chunk.lane}/${chunk.sequence}`;
    const other = this.#chunks.get(key);
    if (other === undefined) this.#chunks.set(key, chunk);
    else if (other.hash !== chunk.hash || !equalBytes(other.bytes, chunk.bytes)) {
      throw new Violation('equivocation', `member ${chunk.lane} forked its lane at ${chunk.sequence}`);
    }
  }
}
