/**
 * What members say to one another: bounded codecs. Signed parts (chunks, blocks, votes, certificates, order batches) stay
 * the bytes that were signed; the rest is believed only as far as the authenticated session with its sender goes.
 */
import { fromHex, Reader, toHex, Writer } from '../bytes.js';
import { HopfairError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { encodeRootStatement, type RootStatement, readRootStatement } from './fairness-receipt.js';
import type { HashHex, OrderId, ValidatorIndex } from './types.js';
import { type Certificate, readCertificate, readVote, type Vote, writeCertificate, writeVote } from './vote.js';
import type { Voters } from './voters.js';

/** The shares of one member for `count` orders of a batch from position `offset` on; undefined where it holds none. */
export interface SharesMessage {
  readonly kind: 'shares';
  readonly height: number;
  readonly cut: HashHex;
  readonly offset: number;
  readonly ids: readonly OrderId[];
  readonly shares: readonly (Uint8Array | undefined)[];
  /** Over everything above, under the signature kind `shares`: it convicts a member of a bad share. */
  readonly signature: Uint8Array;
}

/** What a member says of the log after a batch: order.md section 5, and fairness-receipt.ts. */
export interface RootMessage {
  readonly kind: 'root';
  readonly statement: RootStatement;
  readonly signature: Uint8Array;
}

export type MemberMessage =
  /** Chunks of any lanes, and the last sequence held of each lane. */
  | { readonly kind: 'chunks'; readonly held: readonly number[]; readonly chunks: readonly Uint8Array[] }
  /** A block and the chunks that its receiver was not known to hold. */
  | { readonly kind: 'proposal'; readonly block: Uint8Array; readonly chunks: readonly Uint8Array[] }
  | { readonly kind: 'votes'; readonly votes: readonly Vote[] }
  | { readonly kind: 'certificates'; readonly certificates: readonly Certificate[] }
  /** The block of this hash and its ancestors down to, and without, height `above`. */
  | { readonly kind: 'want-blocks'; readonly hash: HashHex; readonly above: number }
  /** Blocks, each followed by its parent. */
  | { readonly kind: 'blocks'; readonly blocks: readonly Uint8Array[] }
  /** The chunks of a lane from sequence `above` + 1 up to the one of this hash. */
  | { readonly kind: 'want-chunks'; readonly lane: ValidatorIndex; readonly hash: HashHex; readonly above: number }
  | { readonly kind: 'want-orders'; readonly ids: readonly OrderId[] }
  /** Encoded order batches, each with some or all of its envelopes. */
  | { readonly kind: 'orders'; readonly batches: readonly Uint8Array[] }
  | SharesMessage
  /** Shares and root signature of the batch of this height. */
  | { readonly kind: 'want-shares'; readonly height: number }
  | RootMessage
  /** Where its sender stands: a heartbeat, and what others need to see who lags. */
  | {
      readonly kind: 'status';
      readonly view: number;
      readonly finalView: number;
      readonly finalHeight: number;
      readonly held: readonly number[];
    }
  /** After a restart: "what is the latest that you have of me?" */
  | { readonly kind: 'ask-state' }
  /** The answer: the asker's last chunk, the last view of which its votes are held, and which of them (CAST). */
  | {
      readonly kind: 'state';
      readonly chunkSequence: number;
      readonly chunkHash: HashHex;
      readonly view: number;
      readonly cast: number;
    };

export type MemberMessageKind = MemberMessage['kind'];

/** The first byte of a message is the position here; messages of clients and observers begin at 0x20. */
const KINDS: readonly MemberMessageKind[] = [
  'chunks',
  'proposal',
  'votes',
  'certificates',
  'want-blocks',
  'blocks',
  'want-chunks',
  'want-orders',
  'orders',
  'shares',
  'want-shares',
  'root',
  'status',
  'ask-state',
  'state',
];

export function encodeMemberMessage(m: MemberMessage): Uint8Array {
  const w = new Writer().u8(KINDS.indexOf(m.kind));
  switch (m.kind) {
    case 'chunks':
      writeHeld(w, m.held);
      return writeParts(w, m.chunks).finish();
    case 'proposal':
      return writeParts(w.bytes16(m.block), m.chunks).finish();
    case 'votes':
      w.u8(m.votes.length);
      for (const vote of m.votes) writeVote(w, vote);
      return w.finish();
    case 'certificates':
      w.u16(m.certificates.length);
      for (const certificate of m.certificates) writeCertificate(w, certificate);
      return w.finish();
    case 'want-blocks':
      return w.raw(fromHex(m.hash)).u64(m.above).finish();
    case 'blocks':
      return writeParts(w, m.blocks).finish();
    case 'want-chunks':
      return w.u8(m.lane).raw(fromHex(m.hash)).u32(m.above).finish();
    case 'want-orders':
      return writeIds(w, m.ids).finish();
    case 'orders':
      return writeParts(w, m.batches).finish();
    case 'shares':
      return w.raw(sharesBody(m)).raw(m.signature).finish();
    case 'want-shares':
      return w.u64(m.height).finish();
    case 'root':
      return writeRoot(w, m).finish();
    case 'status':
      return writeHeld(w.u64(m.view).u64(m.finalView).u64(m.finalHeight), m.held).finish();
    case 'ask-state':
      return w.finish();
    case 'state':
      return w.u32(m.chunkSequence).raw(fromHex(m.chunkHash)).u64(m.view).u8(m.cast).finish();
  }
}

/** Throws DECODE_FAILED. Byte fields are views into `bytes`. */
export function decodeMemberMessage(voters: Voters, bytes: Uint8Array): MemberMessage {
  const r = new Reader(bytes);
  const message = readBody(voters, r, KINDS[r.u8()]);
  r.end();
  return message;
}

function readBody(voters: Voters, r: Reader, kind: MemberMessageKind | undefined): MemberMessage {
  switch (kind) {
    case 'chunks':
      return { kind, held: readHeld(voters, r), chunks: readParts(r) };
    case 'proposal':
      return { kind, block: r.bytes16(), chunks: readParts(r) };
    case 'votes':
      return { kind, votes: readMany(r.u8(), () => readVote(voters, r)) };
    case 'certificates':
      return { kind, certificates: readMany(r.count16(LIMITS.maxMessageParts), () => readCertificate(voters, r)) };
    case 'want-blocks':
      return { kind, hash: readHash(r), above: r.u64() };
    case 'blocks':
      return { kind, blocks: readParts(r) };
    case 'want-chunks':
      return { kind, lane: r.u8(), hash: readHash(r), above: r.u32() };
    case 'want-orders':
      return { kind, ids: readIds(r, LIMITS.maxBatchOrders) };
    case 'orders':
      return { kind, batches: readParts(r) };
    case 'shares':
      return readShares(r);
    case 'want-shares':
      return { kind, height: r.u64() };
    case 'root':
      return readRoot(r);
    case 'status': {
      return { kind, view: r.u64(), finalView: r.u64(), finalHeight: r.u64(), held: readHeld(voters, r) };
    }
    case 'ask-state':
      return { kind };
    case 'state':
      return { kind, chunkSequence: r.u32(), chunkHash: readHash(r), view: r.u64(), cast: r.u8() };
    case undefined:
      throw new HopfairError('DECODE_FAILED', 'unknown kind of message');
  }
}

/** What a `shares` signature covers. */
export function sharesBody(m: Omit<SharesMessage, 'kind' | 'signature'>): Uint8Array {
  const w = new Writer(64 + m.ids.length * 65).u64(m.height).raw(fromHex(m.cut)).u32(m.offset).u16(m.ids.length);
  m.ids.forEach((id, i) => {
    const share = m.shares[i];
    w.raw(fromHex(id)).u8(share === undefined ? 0 : 1);
    if (share !== undefined) w.raw(share);
  });
  return w.finish();
}

function readShares(r: Reader): SharesMessage {
  const height = r.u64();
  const cut = readHash(r);
  const offset = r.u32();
  const ids: OrderId[] = [];
  const shares: (Uint8Array | undefined)[] = [];
  for (let left = r.count16(LIMITS.maxSharesPerMessage); left > 0; left--) {
    ids.push(readId(r));
    const flag = r.u8();
    if (flag > 1) throw new HopfairError('DECODE_FAILED', 'a share is there or not');
    shares.push(flag === 1 ? r.raw(32) : undefined);
  }
  return { kind: 'shares', height, cut, offset, ids, shares, signature: r.raw(64) };
}

export function writeRoot(w: Writer, { statement, signature }: RootMessage): Writer {
  return w.raw(encodeRootStatement(statement)).raw(signature);
}

export function readRoot(r: Reader): RootMessage {
  return { kind: 'root', statement: readRootStatement(r), signature: r.raw(64) };
}

export const readHash = (r: Reader): HashHex => toHex(r.raw(32)) as HashHex;
export const readId = (r: Reader): OrderId => toHex(r.raw(32)) as OrderId;

export function writeIds(w: Writer, ids: readonly OrderId[]): Writer {
  w.u16(ids.length);
  for (const id of ids) w.raw(fromHex(id));
  return w;
}

export function readIds(r: Reader, max: number): OrderId[] {
  return readMany(r.count16(max), () => readId(r));
}

export function writeParts(w: Writer, parts: readonly Uint8Array[]): Writer {
  w.u16(parts.length);
  for (const part of parts) w.bytes32(part);
  return w;
}

export function readParts(r: Reader): Uint8Array[] {
  return readMany(r.count16(LIMITS.maxMessageParts), () => r.bytes32(LIMITS.maxApplicationMessageBytes));
}

export function readMany<T>(count: number, read: (i: number) => T): T[] {
  const items: T[] = [];
  for (let i = 0; i < count; i++) items.push(read(i));
  return items;
}

function writeHeld(w: Writer, held: readonly number[]): Writer {
  for (const sequence of held) w.u32(sequence);
  return w;
}

const readHeld = (voters: Voters, r: Reader): number[] => readMany(voters.n, () => r.u32());
