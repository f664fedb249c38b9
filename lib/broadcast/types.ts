/** The public words of the broadcast: how to join, to submit and to read. */
import type { CryptoProvider } from '../crypto/interface.js';
import type { Env } from '../env.js';
import type { HopfairError } from '../errors.js';
import type { Identity } from '../identity/identity.js';
import type { MemberNotice } from '../order/member-io.js';
import type { Committee, Entry } from '../order/types.js';
import type { OpenedLog } from '../storage/interface.js';
import type { OrderReceipt } from './receipt.js';

interface JoinCommon {
  readonly committee: Committee;
  /** Of this peer: `messaging.self` is its id. */
  readonly identity: Identity;
  /** Default: the fastest backend of this platform. */
  readonly crypto?: CryptoProvider;
  /** Default: the surroundings of this process. */
  readonly env?: Env;
}

/** Options whose defaults are filled in. */
export type Surrounded<Options extends JoinCommon> = Options & Required<Pick<JoinCommon, 'crypto' | 'env'>>;

/** Orders and reads. The default. */
export interface JoinAsClient extends JoinCommon {
  readonly role?: 'client';
  /** Orders submitted and neither opened nor failed; `submit` waits above it. Default 256. */
  readonly maxInFlight?: number;
  /** The last entries of streams that an earlier run of this client left behind; they go on from there. */
  readonly resume?: readonly Pick<Entry, 'stream' | 'sequence' | 'id'>[];
}

/** Reads only, e.g. the engine of an exchange. */
export interface JoinAsObserver extends JoinCommon {
  readonly role: 'observer';
}

/** Is a validator of the committee: `messaging.self` must be one of its members. */
export interface JoinAsMember extends JoinCommon {
  readonly role: 'member';
  /** The opened log of this member and of no other, from `openFileLog` or `memoryLog`. */
  readonly log: OpenedLog;
}

export type JoinOptions = JoinAsClient | JoinAsObserver | JoinAsMember;

export interface SubmitOptions {
  /** The stream that the order belongs to, e.g. an account: at most 64 bytes of UTF-8. Order within a stream is kept. */
  readonly key: string;
  /** The order is worthless unless it is solid after this long. Default 5,000; at most the committee's maximum. */
  readonly ttlMs?: number;
  /** Stops waiting for room before the order is sealed; a sealed order cannot be taken back. */
  readonly signal?: AbortSignal;
}

/** A place in the log: the entries of `height` from `index` on. */
export interface LogPosition {
  readonly height: number;
  readonly index: number;
}

export interface EntriesOptions {
  /** The first entry that is wanted; default: the beginning of the log. */
  readonly from?: LogPosition;
  readonly signal?: AbortSignal;
}

/** Notices: nothing depends on them. Data comes from `entries`. */
export type OrdersEvents = {
  /** What the member's machine tells people who watch. Members only. */
  notice: (notice: MemberNotice) => void;
  /** A proof of misbehaviour that `hopfair verify` checks: write it to a file. Members only. */
  evidence: (bytes: Uint8Array) => void;
  /** The member's log failed: it has stopped, and takes no part until it is started again. Members only. */
  failed: (error: HopfairError) => void;
};

export interface Orders {
  /**
   * Seals one order of 1 to 16,384 bytes and sends it to every member. Resolves when the order has left, after waiting
   * for room below `maxInFlight`. Throws INVALID_ARGUMENT, or rejects with ABORTED or INVALID_STATE (closed, observer).
   */
  submit(order: Uint8Array, options: SubmitOptions): Promise<OrderReceipt>;
  /**
   * The log in order, each entry exactly once, from `from` on and then as it grows. Throws LIMIT_EXCEEDED, and tells
   * where the log goes on, when too few members hold what was asked for; ABORTED by the signal; INVALID_STATE when the
   * broadcast was left. What was asked for once is kept in memory until then.
   */
  entries(options?: EntriesOptions): AsyncIterable<Entry>;
  on<E extends keyof OrdersEvents>(event: E, listener: OrdersEvents[E]): this;
  off<E extends keyof OrdersEvents>(event: E, listener: OrdersEvents[E]): this;
  /** Resolves when every submitted order is opened or has failed. */
  drain(): Promise<void>;
  /** Ends everything that waits with INVALID_STATE; a member's log is closed last. */
  close(): Promise<void>;
}
