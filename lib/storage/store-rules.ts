/** What every store takes: the names and sizes of records, and how many there may be. */
import { requireArgument } from '../errors.js';
import { LIMITS } from '../limits.js';

const NAME = /^[a-z0-9-]{1,64}$/;

export const isRecordName = (name: string): boolean => NAME.test(name);

/** Returns the name, or throws INVALID_ARGUMENT. */
export function requireRecordName(name: string): string {
  requireArgument(isRecordName(name), `"${name}" is no name of a record: 1 to 64 of a-z, 0-9 and "-"`);
  return name;
}

/** Throws INVALID_ARGUMENT for a record that is not taken beside those that are there. */
export function requireRecord(name: string, bytes: Uint8Array, present: ReadonlyMap<string, unknown>): void {
  requireRecordName(name);
  const { maxStoreRecordBytes, maxStoreRecords } = LIMITS;
  requireArgument(bytes.length <= maxStoreRecordBytes, `a record has ${maxStoreRecordBytes} bytes at most`);
  requireArgument(
    present.has(name) || present.size < maxStoreRecords,
    `a store has ${maxStoreRecords} records at most`,
  );
}
