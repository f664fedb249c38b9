/** Cuts, and the blocks of the chain that consensus builds of them: order.md section 3. */
import { EMPTY, fromHex, Reader, toHex, Writer } from '../bytes.js';
import type { Signer } from '../crypto/interface.js';
import { HopfairError } from '../errors.js';
import { NO_HASH } from './chunk.js';
import type { HashHex, ValidatorIndex } from './types.js';
import type { Voters } from './voters.js';

/** How far one lane counts. Sequence 0 and NO_HASH: not at all yet. */
export interface LaneHead {
  readonly sequence: number;
  readonly hash: HashHex;
}

/** One head for each lane. */
export type Cut = readonly LaneHead[];

/** A proposal: a cut on top of its parent's. */
export interface Block {
  /** From 1; the leader follows from it. */
  readonly view: number;
  /** From 1; the parent's is one less. */
  readonly height: number;
  readonly parent: HashHex;
  readonly cut: Cut;
  readonly hash: HashHex;
  /** Body and the leader's signature as sent. */
  readonly bytes: Uint8Array;
}

const SIGNATURE_BYTES = 64;
const HEAD_BYTES = 36;

/** What the first blocks build on: height 0, view 0, no lane counted, nothing signed. */
export function genesisBlock(voters: Voters): Block {
  const cut = Array.from({ length: voters.n }, () => ({ sequence: 0, hash: NO_HASH }));
  return { view: 0, height: 0, parent: NO_HASH, cut, hash: voters.committee.hashHex, bytes: EMPTY };
}

export function signBlock(voters: Voters, signer: Signer, view: number, parent: Block, cut: Cut): Block {
  const w = new Writer(48 + cut.length * HEAD_BYTES + SIGNATURE_BYTES);
  const height = parent.height + 1;
  w.u64(view).u64(height).raw(fromHex(parent.hash));
  for (const { sequence, hash } of cut) w.u32(sequence).raw(fromHex(hash));
  const body = w.finish();
  const bytes = w.raw(voters.sign(signer, 'proposal', body)).finish();
  return { view, height, parent: parent.hash, cut, hash: voters.hashOf(body), bytes };
}

/** Throws DECODE_FAILED. The signature is not checked here: see `blockSigned`. */
export function decodeBlock(voters: Voters, bytes: Uint8Array): Block {
  const r = new Reader(bytes);
  const view = r.u64();
  const height = r.u64();
  const parent = toHex(r.raw(32)) as HashHex;
  const cut: LaneHead[] = [];
  for (let lane = 0; lane < voters.n; lane++) {
    const sequence = r.u32();
    const hash = toHex(r.raw(32)) as HashHex;
    if ((sequence === 0) !== (hash === NO_HASH)) throw new HopfairError('DECODE_FAILED', 'an empty lane has no head');
    cut.push({ sequence, hash });
  }
  r.raw(SIGNATURE_BYTES);
  r.end();
  if (view === 0 || height === 0) throw new HopfairError('DECODE_FAILED', 'views and heights begin at 1');
  return { view, height, parent, cut, hash: voters.hashOf(blockBody(bytes)), bytes };
}

export const blockLeader = (voters: Voters, block: Block): ValidatorIndex => voters.leaderOf(block.view);

export function blockSigned(voters: Voters, block: Block): boolean {
  const signature = block.bytes.subarray(-SIGNATURE_BYTES);
  return voters.verify('proposal', blockLeader(voters, block), blockBody(block.bytes), signature);
}

const blockBody = (bytes: Uint8Array): Uint8Array => bytes.subarray(0, Math.max(0, bytes.length - SIGNATURE_BYTES));
