/** A store in memory, for browsers and simulations: it survives a restart of the node above it, not of the process. */
import { copyOf } from '../bytes.js';
import { HopfairError } from '../errors.js';
import type { NodeStore, Stored } from '../store.js';
import { requireRecord, requireRecordName } from './store-rules.js';

/**
 * Opens a store over `records`, which it changes in place: hand the same map in again to model a restart.
 *
 * @example
 * const store = memoryStore();
 * const node = await createNode({ …, store });
 */
export function memoryStore(records: Map<string, Uint8Array> = new Map()): NodeStore {
  let closed = false;
  const change = (stored: Stored, apply: () => void): void => {
    if (!closed) apply();
    stored(closed ? new HopfairError('INVALID_STATE', 'the store is closed') : undefined);
  };
  return {
    get: name => records.get(requireRecordName(name)),
    set: (name, bytes, stored) => {
      requireRecord(name, bytes, records);
      change(stored, () => records.set(name, copyOf(bytes)));
    },
    delete: (name, stored) => {
      requireRecordName(name);
      change(stored, () => records.delete(name));
    },
    close: async () => {
      closed = true;
    },
  };
}
