/**
 * The words that all files of the order core share. See docs/order.md for the protocol itself.
 */
import type { UnixMs } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';

declare const orderIdBrand: unique symbol;
declare const hashBrand: unique symbol;

/** Hex of the 32-byte order id, H(core, H(sealed shares)). */
export type OrderId = string & { readonly [orderIdBrand]: true };
/** Hex of a 32-byte SHA-256, as a map key. */
export type HashHex = string & { readonly [hashBrand]: true };
/** Position of a validator in the committee descriptor, 0 .. n-1. */
export type ValidatorIndex = number;

/** n validators, f of them Byzantine at most, q a quorum, t shares open an order. */
export interface Tolerance {
  readonly n: number;
  readonly f: number;
  readonly q: number;
  readonly t: number;
}

export type Profile = 'continuous' | 'auction';
/** `sealed`: nobody reads an order before its place is final. `open`: the same ordering over plaintext. */
export type Mode = 'sealed' | 'open';

export interface CommitteeParameters {
  readonly profile: Profile;
  readonly mode: Mode;
  /** t: how many shares open an order; max(f+1, min(2, n)) by default, up to n-2f. */
  readonly openingThreshold?: number;
  /** D: the bound on one message between members, in whole ms. */
  readonly delayBoundMs: number;
  /** W: a held order is emitted after this many cuts at the latest (and H of cut time). */
  readonly holdCuts: number;
  /** H: and after this much cut time. */
  readonly holdMs: number;
  /** Ties: listings whose medians fall into one bucket of this width are ordered by the drawn key. */
  readonly epsilonMs: number;
  /** Window of the auction profile, in ms; ignored by `continuous`. */
  readonly auctionWindowMs: number;
  /** Size classes of the padded payload in bytes, ascending. */
  readonly sizeClasses: readonly number[];
  /** Longest time from submission to expiry that a member accepts. */
  readonly maxOrderTtlMs: number;
}

export interface CommitteeMember {
  readonly peer: PeerId;
}

/** The pinned description of a committee; its hash names it. */
export interface Committee {
  readonly networkId: string;
  readonly epoch: number;
  readonly members: readonly CommitteeMember[];
  readonly parameters: CommitteeParameters;
}

/** What orders the stream of one sender: a gap delays this stream only. */
export interface StreamPosition {
  readonly sender: PeerId;
  /** Chosen by the sender, e.g. an account: at most 64 bytes of UTF-8. */
  readonly stream: string;
  /** From 1, without gaps. */
  readonly sequence: number;
}

/** What the linearizer needs to know of an order beyond its id, which binds all of it. */
export interface OrderFacts extends StreamPosition {
  readonly id: OrderId;
  /** The order just before in the same stream; undefined for sequence 1. */
  readonly prev: OrderId | undefined;
  readonly expiry: UnixMs;
}

/** How an entry of the log came out. `void`: the dealer cheated; everyone sees the same reason. */
export type VoidReason = 'commitment' | 'cipher' | 'padding' | 'class';
export type Opening =
  | { readonly kind: 'opened'; readonly payload: Uint8Array }
  | { readonly kind: 'void'; readonly reason: VoidReason };

/** One entry of the fair log: the same bytes at every member and observer. */
export interface Entry extends StreamPosition {
  /** Height of the final cut that selected the order, from 1. Cuts that select nothing deliver nothing. */
  readonly height: number;
  /** Index in the log, from 0, without gaps over all heights. */
  readonly index: number;
  readonly id: OrderId;
  readonly opening: Opening;
  /** When each validator listed the order; undefined where its lane had not. */
  readonly laneTimes: readonly (UnixMs | undefined)[];
}

/** What one final cut emitted. */
export interface Batch {
  readonly height: number;
  readonly cutHash: HashHex;
  readonly firstIndex: number;
  readonly entries: readonly Entry[];
  /** Cumulative root of the log after this batch. */
  readonly logRoot: HashHex;
}
