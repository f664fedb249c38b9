/**
 * What a node needs of a disk: a few small records by name, read back in full at start. Implemented on files and in memory
 * (lib/storage); whoever embeds hopfair may bring another.
 */
import type { HopfairError } from './errors.js';

/** Called once: with nothing when the change survives a power loss, with STORAGE_FAILED when nobody knows whether it does. */
export type Stored = (failure: HopfairError | undefined) => void;

/** Names have 1 to 64 characters of `a-z`, `0-9` and `-`; records `maxStoreRecordBytes`. */
export interface NodeStore {
  /** What was set last, durable or not; undefined without one. It is shared: do not change it. */
  get(name: string): Uint8Array | undefined;
  /** Replaces the record, whole or not at all. Copies the bytes. `stored` may be called before this returns. */
  set(name: string, bytes: Uint8Array, stored: Stored): void;
  delete(name: string, stored: Stored): void;
  /** Resolves when everything set is durable, or has failed, and others may open the store. */
  close(): Promise<void>;
}
