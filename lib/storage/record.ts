/**
 * The format of the log file, and what its damage means.
 *
 * file   = "HFLOG001", 16 random bytes (salt), 8 bytes of checksum over both, record*
 * record = u32 length, u64 sequence, u64 durable, u32 epoch, 8 bytes of checksum, payload
 *
 * `sequence` counts from 1. `durable` is the last sequence that was known to be on disk when the record was written:
 * a write starts only after the one before it was synced. So damage to a record is a torn write of the last commit
 * when nothing behind it claims that it was durable, and corruption of what others may rely on when something does.
 * The checksum is SHA-256 over salt, header and payload, cut to 8 bytes: a collision of a torn write is out of reach, and
 * the salt keeps a payload from imitating records of the file that holds it. It guards against accidents, not intruders.
 */
import { createHash } from 'node:crypto';
import { EMPTY, equalBytes, Reader, Writer } from '../bytes.js';
import { HopfairError } from '../errors.js';
import { LIMITS } from '../limits.js';

const MAGIC: Uint8Array = new TextEncoder().encode('HFLOG001');
export const SALT_BYTES = 16;
const CHECKSUM_BYTES = 8;
const FILE_HEADER_BYTES = MAGIC.length + SALT_BYTES + CHECKSUM_BYTES;
const CHECKED_BYTES = 24;
const RECORD_HEADER_BYTES = CHECKED_BYTES + CHECKSUM_BYTES;

export interface RecordHeader {
  readonly sequence: number;
  readonly durable: number;
  readonly epoch: number;
}

function checksum(salt: Uint8Array, header: Uint8Array, payload: Uint8Array): Uint8Array {
  const digest = createHash('sha256').update(salt).update(header).update(payload).digest();
  return digest.subarray(0, CHECKSUM_BYTES);
}

/** The header of a file whose salt is these 16 random bytes. */
export function encodeFileHeader(salt: Uint8Array): Uint8Array {
  return Buffer.concat([MAGIC, salt, checksum(salt, MAGIC, EMPTY)]);
}

/** The salt of a file. Throws STORAGE_CORRUPT when it does not begin with a sound header. */
export function readFileHeader(file: Uint8Array): Uint8Array {
  const salt = file.slice(MAGIC.length, MAGIC.length + SALT_BYTES);
  if (file.length < FILE_HEADER_BYTES || !equalBytes(encodeFileHeader(salt), file.subarray(0, FILE_HEADER_BYTES))) {
    throw new HopfairError('STORAGE_CORRUPT', 'the file does not begin with the header of a log: damaged at byte 0');
  }
  return salt;
}

/** The header of a record, checksum included; the payload follows it in the file. */
export function encodeRecordHeader(salt: Uint8Array, header: RecordHeader, payload: Uint8Array): Uint8Array {
  const checked = new Writer(RECORD_HEADER_BYTES)
    .u32(payload.length)
    .u64(header.sequence)
    .u64(header.durable)
    .u32(header.epoch)
    .finish();
  return Buffer.concat([checked, checksum(salt, checked, payload)]);
}

export interface ParsedRecord extends RecordHeader {
  readonly payload: Uint8Array;
  readonly end: number;
}

/** The record that begins at `at`, or undefined when no whole, undamaged record does. */
function parseRecord(file: Uint8Array, salt: Uint8Array, at: number): ParsedRecord | undefined {
  if (at + RECORD_HEADER_BYTES > file.length) return undefined;
  const checked = file.subarray(at, at + CHECKED_BYTES);
  const reader = new Reader(checked);
  const length = reader.u32();
  const begin = at + RECORD_HEADER_BYTES;
  if (length > LIMITS.maxLogRecordBytes || begin + length > file.length) return undefined;
  if (checked[4] !== 0 || checked[12] !== 0) return undefined; // sequence or durable of 2^56 and above: noise
  let header: RecordHeader;
  try {
    header = { sequence: reader.u64(), durable: reader.u64(), epoch: reader.u32() };
  } catch (error) {
    if (error instanceof HopfairError && error.code === 'DECODE_FAILED') return undefined;
    throw error;
  }
  const payload = file.subarray(begin, begin + length);
  if (Buffer.compare(checksum(salt, checked, payload), file.subarray(at + CHECKED_BYTES, begin)) !== 0)
    return undefined;
  return { ...header, payload, end: begin + length };
}

export interface ScannedLog {
  readonly records: readonly Uint8Array[];
  /** Bytes of the file that are sound; what stands behind is a torn write. */
  readonly soundBytes: number;
}

/**
 * Reads all records behind the file header. Throws STORAGE_CORRUPT with the offset when a record that was durable is
 * damaged or missing.
 */
export function scanRecords(file: Uint8Array, salt: Uint8Array): ScannedLog {
  const records: Uint8Array[] = [];
  let at = FILE_HEADER_BYTES;
  while (at < file.length) {
    const record = parseRecord(file, salt, at);
    if (record === undefined || record.sequence !== records.length + 1) {
      requireTornTail(file, salt, at, records.length + 1);
      break;
    }
    records.push(record.payload);
    at = record.end;
  }
  return { records, soundBytes: at };
}

/** Throws STORAGE_CORRUPT when any whole record at or behind `from` says that record `sequence` had been durable. */
function requireTornTail(file: Uint8Array, salt: Uint8Array, from: number, sequence: number): void {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  for (let at = from; at + RECORD_HEADER_BYTES <= file.length; at++) {
    // Cheap tests first: a damaged region may be long, and a checksum at every byte of it would be quadratic.
    const claimed = view.getUint32(at + 4) * 0x1_0000_0000 + view.getUint32(at + 8);
    const durable = view.getUint32(at + 12) * 0x1_0000_0000 + view.getUint32(at + 16);
    if (durable < sequence || claimed <= durable) continue;
    if (claimed - sequence > file.length) continue; // more records than bytes
    const record = parseRecord(file, salt, at);
    if (record === undefined) continue;
    throw new HopfairError(
      'STORAGE_CORRUPT',
      `record ${sequence} at byte ${from} of the log is damaged although it was durable (record ${record.sequence} at byte ${at} follows it)`,
    );
  }
}
