/**
 * What the broadcast needs of a disk: an append-only log with group commit, read back in full at start. Implemented on
 * files, in memory for browsers, and by the simulator's disk that loses, tears and damages writes.
 */
import type { HopfairError } from '../errors.js';

export interface LogStore {
  /**
   * Appends records, in order. `durable` is called once, when these records and all before them survive a power loss;
   * calls that arrive while a commit is under way share the next one. `failed` ends the log: nothing more is written.
   * Either may be called before `append` returns.
   */
  append(records: readonly Uint8Array[], durable: () => void, failed: (error: HopfairError) => void): void;
  /** Resolves when everything appended is durable and the files are closed. */
  close(): Promise<void>;
}

export interface OpenedLog {
  readonly store: LogStore;
  /** The records found, in order. */
  readonly records: readonly Uint8Array[];
  /** True when a damaged or half-written record was cut off the tail: what it held may have been promised to others. */
  readonly truncated: boolean;
}
