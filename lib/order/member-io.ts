/**
 * What goes into a committee member's machine and what comes out of it: two closed lists. The shell that carries the
 * effects out knows the mesh and the disk; the machine knows neither.
 */

import type { CryptoProvider, Signer } from '../crypto/interface.js';
import type { UnixMs } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import type { Batch, Committee, HashHex, OrderId, ValidatorIndex } from './types.js';

export interface MemberOptions {
  readonly committee: Committee;
  /** Signs for this member; the committee must hold its public key. */
  readonly signer: Signer;
  readonly crypto: CryptoProvider;
  /** Between two chunks while there is work, in ms. Default: a tenth of the delay bound, 2 at least and 10 at most. */
  readonly chunkIntervalMs?: number;
  /** Between two heartbeats of an idle member, in ms. Default 1,000. */
  readonly heartbeatMs?: number;
}

/** What the shell found in the log: `OpenedLog` of lib/storage without its store. */
export interface MemberLog {
  readonly records: readonly Uint8Array[];
  readonly truncated: boolean;
}

/** Every input carries the wall time of its arrival: lane times and expiries are made of it. It may jump. */
export type MemberInput =
  /** A message of another member, a client or an observer, as it came out of the authenticated session with `from`. */
  | { readonly kind: 'message'; readonly from: PeerId; readonly bytes: Uint8Array; readonly unix: UnixMs }
  /**
   * A session with `peer` is up. `pairKey` is the 32-byte secret exported from it, for peers that may submit sealed
   * orders; the machine keeps it beyond the session, for orders sealed under it.
   */
  | { readonly kind: 'peer-up'; readonly peer: PeerId; readonly pairKey?: Uint8Array; readonly unix: UnixMs }
  | { readonly kind: 'peer-down'; readonly peer: PeerId; readonly unix: UnixMs }
  | { readonly kind: 'tick'; readonly unix: UnixMs };

/**
 * Array order is execution order. Records of a `persist` must be durable before any later effect is carried out, of this
 * and of later lists; what comes before it need not wait.
 */
export type MemberEffect =
  | { readonly kind: 'persist'; readonly records: readonly Uint8Array[] }
  /** To one other member or to all others. Losing it is allowed: the machine repeats what matters. */
  | { readonly kind: 'send'; readonly to: ValidatorIndex | 'all'; readonly bytes: Uint8Array }
  /** To a client or an observer. */
  | { readonly kind: 'reply'; readonly to: PeerId; readonly bytes: Uint8Array }
  /** The next batch of the fair log: in order, without gaps in the index, never twice by one machine. */
  | { readonly kind: 'deliver'; readonly batch: Batch }
  /** A self-contained proof of misbehaviour that `verifyEvidence` checks; already recorded by a `persist` before it. */
  | { readonly kind: 'evidence'; readonly bytes: Uint8Array }
  | { readonly kind: 'notice'; readonly notice: MemberNotice };

/** For people who watch: the live page and the log. Nothing depends on them. */
export type MemberNotice =
  | { readonly kind: 'view'; readonly view: number; readonly leader: ValidatorIndex }
  | { readonly kind: 'proposed'; readonly view: number; readonly height: number; readonly cutHash: HashHex }
  | { readonly kind: 'notarized'; readonly view: number; readonly height: number; readonly cutHash: HashHex }
  | { readonly kind: 'nullified'; readonly view: number }
  | { readonly kind: 'final'; readonly view: number; readonly height: number; readonly cutHash: HashHex }
  | { readonly kind: 'ordered'; readonly height: number; readonly orders: number }
  | { readonly kind: 'opened'; readonly height: number; readonly firstIndex: number; readonly orders: number }
  | { readonly kind: 'accepted'; readonly sender: PeerId; readonly orders: number }
  | { readonly kind: 'rejected'; readonly sender: PeerId; readonly id?: OrderId; readonly reason: RejectReason }
  /** Restart: this member may not vote until enough others have told what they last saw of it. */
  | { readonly kind: 'recovering'; readonly heard: number; readonly needed: number }
  | { readonly kind: 'recovered' }
  /** The log lost something that others have seen: no votes and no chunks until the next epoch (order.md section 6). */
  | { readonly kind: 'abstaining'; readonly reason: 'truncated log' | 'newer chunk' | 'newer vote' }
  /** Two final cuts exclude one another: more than f members are Byzantine. This member signs nothing any more. */
  | { readonly kind: 'unsafe'; readonly view: number }
  | { readonly kind: 'misbehaviour'; readonly peer: PeerId; readonly what: string };

/** Why a member does not take an order; the wire carries the position in this list. */
export const REJECT_REASONS = [
  'malformed',
  'signature',
  'committee',
  'expired',
  'ttl',
  'size',
  'pair-key',
  'share',
  'ciphertext',
  'predecessor',
  'quota',
  'abstaining',
  /** Final: no cut can select the order any more. */
  'gone',
  /** Final: another order of the same sender, stream and sequence was taken. */
  'double',
] as const;
export type RejectReason = (typeof REJECT_REASONS)[number];

/**
 * What `Member.restore(options, log, now, unix)` returns: a machine that continues where the log ends (an empty log is a
 * first start), the batches that the log held, in order, and what has to be done first.
 */
export interface Restored<M> {
  readonly member: M;
  readonly delivered: readonly Batch[];
  readonly effects: readonly MemberEffect[];
}
