/** A log in memory, for browsers and tests: it survives a restart of the machine above it, not of the process. */
import { HopfairError } from '../errors.js';
import type { OpenedLog } from './interface.js';

/**
 * Opens a log over `records`, which it extends in place: hand the same array in again to model a restart.
 *
 * @example
 * const disk: Uint8Array[] = [];
 * const { store } = memoryLog(disk);
 */
export function memoryLog(records: Uint8Array[] = []): OpenedLog {
  const found = [...records];
  let closed = false;
  return {
    records: found,
    truncated: false,
    store: {
      append: (added, durable, failed) => {
        if (closed) {
          failed(new HopfairError('INVALID_STATE', 'the log is closed'));
        } else {
          for (const record of added) records.push(record.slice());
          durable();
        }
      },
      close: async () => {
        closed = true;
      },
    },
  };
}
