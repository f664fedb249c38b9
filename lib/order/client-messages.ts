/** What clients and observers say to members, and what they hear: bounded codecs, kinds from 0x20 on. */
import { fromHex, Reader, Writer } from '../bytes.js';
import { type UnixMs, unixMs } from '../env.js';
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import { REJECT_REASONS, type RejectReason } from './member-io.js';
import { type RootMessage, readHash, readId, readIds, readMany, readRoot, writeIds, writeRoot } from './messages.js';
import { decodePromise, encodePromise, type SignedPromise } from './promise.js';
import type { Entry, HashHex, Opening, OrderId, VoidReason } from './types.js';

/** Where a reader wants to begin: the entries of `height` from `index` on. {0, 0} is the beginning of the log. */
export interface Position {
  readonly height: number;
  readonly index: number;
}

/** "These orders are in my lane at this sequence": see promise.ts. */
export interface PromisesMessage extends SignedPromise {
  readonly kind: 'promises';
}

/** How one order came out, without its payload. */
export interface OpenedItem {
  readonly id: OrderId;
  readonly index: number;
  readonly void: VoidReason | undefined;
  readonly laneTimes: readonly (UnixMs | undefined)[];
}

/** A part of one batch: entries from `firstIndex + offset` on, of `count` in the whole batch. */
export interface BatchPage {
  readonly kind: 'batch';
  readonly height: number;
  readonly cutHash: HashHex;
  readonly firstIndex: number;
  readonly count: number;
  readonly logRoot: HashHex;
  readonly offset: number;
  readonly entries: readonly Entry[];
}

/** To a member. */
export type ClientMessage =
  /** Sealed orders and the one signature over their ids: an encoded order batch. */
  | { readonly kind: 'submit'; readonly batch: Uint8Array }
  | { readonly kind: 'want-receipt'; readonly by: { readonly id: OrderId } | { readonly index: number } }
  /** Begin, or go on, to push batches from here; `credit` more of them until the next `subscribe`. */
  | { readonly kind: 'subscribe'; readonly from: Position; readonly credit: number }
  | { readonly kind: 'unsubscribe' }
  /** Says nothing: it brings up the session from which pair keys are exported. */
  | { readonly kind: 'hello' };

/** From a member. */
export type MemberReply =
  | PromisesMessage
  /** Orders that were not taken; no ids: the batch as a whole. */
  | { readonly kind: 'rejected'; readonly reason: RejectReason; readonly ids: readonly OrderId[] }
  | { readonly kind: 'ordered'; readonly height: number; readonly ids: readonly OrderId[] }
  | { readonly kind: 'opened'; readonly height: number; readonly items: readonly OpenedItem[] }
  /** An encoded fairness receipt; empty: the order is not in the log, its receipt not signed yet, or no longer held. */
  | {
      readonly kind: 'receipt';
      readonly by: { readonly id: OrderId } | { readonly index: number };
      readonly bytes: Uint8Array;
    }
  | BatchPage
  /** A member's signature on the log root after a batch. */
  | RootMessage
  /** What was asked for is no longer held; the log goes on from here. */
  | { readonly kind: 'gap'; readonly next: Position };

const CLIENT_KINDS: readonly ClientMessage['kind'][] = ['submit', 'want-receipt', 'subscribe', 'unsubscribe', 'hello'];
const REPLY_KINDS: readonly MemberReply['kind'][] = [
  'promises',
  'rejected',
  'ordered',
  'opened',
  'receipt',
  'batch',
  'root',
  'gap',
];
const FIRST_CLIENT_KIND = 0x20;
const FIRST_REPLY_KIND = 0x40;
const VOID_REASONS: readonly VoidReason[] = ['commitment', 'cipher', 'padding', 'class'];

/** True when a message is a client's or an observer's, not a member's. */
export const isClientMessage = (bytes: Uint8Array): boolean => (bytes[0] ?? 0) >= FIRST_CLIENT_KIND;

/** True when a member's reply is for readers of the log: a batch, a root or a gap. */
export const isLogReply = (bytes: Uint8Array): boolean =>
  (bytes[0] ?? 0) >= FIRST_REPLY_KIND + REPLY_KINDS.indexOf('batch');

export function encodeClientMessage(m: ClientMessage): Uint8Array {
  const w = new Writer().u8(FIRST_CLIENT_KIND + CLIENT_KINDS.indexOf(m.kind));
  switch (m.kind) {
    case 'submit':
      return w.raw(m.batch).finish();
    case 'want-receipt':
      return writeWhich(w, m.by).finish();
    case 'subscribe':
      return w.u64(m.from.height).u64(m.from.index).u16(m.credit).finish();
    case 'unsubscribe':
    case 'hello':
      return w.finish();
  }
}

/** Throws DECODE_FAILED. */
export function decodeClientMessage(bytes: Uint8Array): ClientMessage {
  const r = new Reader(bytes);
  const message = readClientBody(r, CLIENT_KINDS[r.u8() - FIRST_CLIENT_KIND]);
  r.end();
  return message;
}

function readClientBody(r: Reader, kind: ClientMessage['kind'] | undefined): ClientMessage {
  switch (kind) {
    case 'submit':
      return { kind, batch: r.rest() };
    case 'want-receipt':
      return { kind, by: readWhich(r) };
    case 'subscribe':
      return { kind, from: { height: r.u64(), index: r.u64() }, credit: r.count16(LIMITS.maxObserverCredit) };
    case 'unsubscribe':
    case 'hello':
      return { kind };
    case undefined:
      throw new HopfairError('DECODE_FAILED', 'unknown kind of message');
  }
}

export function encodeReply(m: MemberReply): Uint8Array {
  const w = new Writer().u8(FIRST_REPLY_KIND + REPLY_KINDS.indexOf(m.kind));
  switch (m.kind) {
    case 'promises':
      return w.raw(encodePromise(m)).finish();
    case 'rejected':
      return writeIds(w.u8(REJECT_REASONS.indexOf(m.reason)), m.ids).finish();
    case 'ordered':
      return writeIds(w.u64(m.height), m.ids).finish();
    case 'opened':
      w.u64(m.height).u16(m.items.length);
      for (const item of m.items) {
        w.raw(fromHex(item.id))
          .u64(item.index)
          .u8(item.void === undefined ? 0 : 1 + VOID_REASONS.indexOf(item.void));
        writeTimes(w, item.laneTimes);
      }
      return w.finish();
    case 'receipt':
      return writeWhich(w, m.by).bytes32(m.bytes).finish();
    case 'batch':
      w.u64(m.height).raw(fromHex(m.cutHash)).u64(m.firstIndex).u32(m.count).raw(fromHex(m.logRoot)).u32(m.offset);
      w.u16(m.entries.length);
      for (const entry of m.entries) writeEntry(w, entry);
      return w.finish();
    case 'root':
      return writeRoot(w, m).finish();
    case 'gap':
      return w.u64(m.next.height).u64(m.next.index).finish();
  }
}

/** Throws DECODE_FAILED. */
export function decodeReply(bytes: Uint8Array): MemberReply {
  const r = new Reader(bytes);
  const reply = readReplyBody(r, REPLY_KINDS[r.u8() - FIRST_REPLY_KIND]);
  r.end();
  return reply;
}

function readReplyBody(r: Reader, kind: MemberReply['kind'] | undefined): MemberReply {
  switch (kind) {
    case 'promises':
      return { kind, ...decodePromise(r.rest()) };
    case 'rejected': {
      const reason = REJECT_REASONS[r.u8()];
      if (reason === undefined) throw new HopfairError('DECODE_FAILED', 'unknown reason');
      return { kind, reason, ids: readIds(r, LIMITS.maxBatchOrders) };
    }
    case 'ordered':
      return { kind, height: r.u64(), ids: readIds(r, LIMITS.maxPageEntries) };
    case 'opened': {
      const height = r.u64();
      return { kind, height, items: readMany(r.count16(LIMITS.maxPageEntries), () => readOpenedItem(r)) };
    }
    case 'receipt':
      return { kind, by: readWhich(r), bytes: r.bytes32(LIMITS.maxReceiptBytes) };
    case 'batch': {
      const [height, cutHash, firstIndex, count] = [r.u64(), readHash(r), r.u64(), r.u32()];
      const [logRoot, offset] = [readHash(r), r.u32()];
      const entries = readMany(r.count16(LIMITS.maxPageEntries), i => readEntry(r, height, firstIndex + offset + i));
      if (offset + entries.length > count) throw new HopfairError('DECODE_FAILED', 'a page beyond its batch');
      return { kind, height, cutHash, firstIndex, count, logRoot, offset, entries };
    }
    case 'root':
      return readRoot(r);
    case 'gap':
      return { kind, next: { height: r.u64(), index: r.u64() } };
    case undefined:
      throw new HopfairError('DECODE_FAILED', 'unknown kind of message');
  }
}

function readOpenedItem(r: Reader): OpenedItem {
  const [id, index, verdict] = [readId(r), r.u64(), r.u8()];
  return { id, index, void: verdict === 0 ? undefined : voidReason(verdict - 1), laneTimes: readTimes(r) };
}

function voidReason(position: number): VoidReason {
  const reason = VOID_REASONS[position];
  if (reason === undefined) throw new HopfairError('DECODE_FAILED', 'unknown verdict');
  return reason;
}

/** Height and index are told by the page that the entry stands on. */
export function writeEntry(w: Writer, entry: Entry): Writer {
  w.raw(fromHex(entry.id)).text(entry.sender).text(entry.stream).u64(entry.sequence);
  if (entry.opening.kind === 'opened') w.u8(0).bytes32(entry.opening.payload);
  else w.u8(1 + VOID_REASONS.indexOf(entry.opening.reason));
  return writeTimes(w, entry.laneTimes);
}

export function readEntry(r: Reader, height: number, index: number): Entry {
  const id = readId(r);
  const sender = r.text(LIMITS.maxPeerIdBytes) as PeerId;
  const stream = r.text(LIMITS.maxStreamKeyBytes);
  const sequence = r.u64();
  const verdict = r.u8();
  const opening: Opening =
    verdict === 0
      ? { kind: 'opened', payload: r.bytes32(LIMITS.maxPayloadBytes) }
      : { kind: 'void', reason: voidReason(verdict - 1) };
  return { height, index, id, sender, stream, sequence, opening, laneTimes: readTimes(r) };
}

function writeTimes(w: Writer, times: readonly (UnixMs | undefined)[]): Writer {
  w.u8(times.length);
  for (const time of times) w.u64(time ?? 0);
  return w;
}

function readTimes(r: Reader): (UnixMs | undefined)[] {
  return readMany(r.u8(), () => {
    const time = r.u64();
    return time === 0 ? undefined : unixMs(time);
  });
}

function writeWhich(w: Writer, by: { readonly id: OrderId } | { readonly index: number }): Writer {
  return 'id' in by ? w.u8(0).raw(fromHex(by.id)) : w.u8(1).u64(by.index);
}

function readWhich(r: Reader): { readonly id: OrderId } | { readonly index: number } {
  const which = r.u8();
  if (which > 1) throw new HopfairError('DECODE_FAILED', 'a receipt is asked for by id or by index');
  return which === 0 ? { id: readId(r) } : { index: r.u64() };
}
