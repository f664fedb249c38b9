/** One chunk of a validator's lane: order.md section 2. Its hash covers the signed body, so a second signature forks nothing. */
import { fromHex, Reader, toHex, Writer } from '../bytes.js';
import type { Signer } from '../crypto/interface.js';
import { type UnixMs, unixMs } from '../env.js';
import { HopfairError } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { Listing } from './linearizer-io.js';
import type { HashHex, OrderId, ValidatorIndex } from './types.js';
import type { Voters } from './voters.js';

export interface Chunk {
  readonly lane: ValidatorIndex;
  /** From 1, without gaps. */
  readonly sequence: number;
  /** Hash of the chunk before it; of nothing (32 zero bytes) for the first. */
  readonly previous: HashHex;
  /** Local time when it was closed: not before any listing in it, nor before the chunk that it follows. */
  readonly time: UnixMs;
  readonly listings: readonly Listing[];
  readonly hash: HashHex;
  /** Body and signature as sent. */
  readonly bytes: Uint8Array;
}

/** What the first chunk of a lane follows. */
export const NO_HASH: HashHex = '00'.repeat(32) as HashHex;

const SIGNATURE_BYTES = 64;

/** Makes and signs the next chunk of one's own lane. */
export function signChunk(
  voters: Voters,
  signer: Signer,
  lane: ValidatorIndex,
  fields: Pick<Chunk, 'sequence' | 'previous' | 'time' | 'listings'>,
): Chunk {
  const body = new Writer(60 + fields.listings.length * 40)
    .u8(lane)
    .u32(fields.sequence)
    .raw(fromHex(fields.previous))
    .u64(fields.time)
    .u16(fields.listings.length);
  for (const { id, time } of fields.listings) body.raw(fromHex(id)).u64(time);
  const bytes = body.finish();
  const signed = new Writer(bytes.length + SIGNATURE_BYTES)
    .raw(bytes)
    .raw(voters.sign(signer, 'chunk', bytes))
    .finish();
  return { lane, ...fields, hash: voters.hashOf(bytes), bytes: signed };
}

/**
 * Reads a chunk and checks what can be checked without its predecessor. Throws DECODE_FAILED. The signature is not
 * checked here: `chunkSigned` does, once the chunk is known to be new.
 */
export function decodeChunk(voters: Voters, bytes: Uint8Array): Chunk {
  const r = new Reader(bytes);
  const lane = r.u8();
  if (lane >= voters.n) throw new HopfairError('DECODE_FAILED', `lane ${lane} of ${voters.n}`);
  const sequence = r.u32();
  const previous = toHex(r.raw(32)) as HashHex;
  const time = unixMs(r.u64());
  const listings: Listing[] = [];
  let last = 0;
  for (let left = r.count16(LIMITS.maxChunkListings); left > 0; left--) {
    const id = toHex(r.raw(32)) as OrderId;
    const listed = unixMs(r.u64());
    if (listed < last) throw new HopfairError('DECODE_FAILED', 'time goes back within a chunk');
    last = listed;
    listings.push({ id, time: listed });
  }
  if (time < last) throw new HopfairError('DECODE_FAILED', 'a chunk is closed before its last listing');
  if (sequence === 0 || (sequence === 1) !== (previous === NO_HASH)) {
    throw new HopfairError('DECODE_FAILED', 'a lane begins with chunk 1 after nothing');
  }
  r.raw(SIGNATURE_BYTES);
  r.end();
  return { lane, sequence, previous, time, listings, hash: voters.hashOf(bodyOf(bytes)), bytes };
}

export function chunkSigned(voters: Voters, chunk: Chunk): boolean {
  return voters.verify('chunk', chunk.lane, bodyOf(chunk.bytes), chunk.bytes.subarray(-SIGNATURE_BYTES));
}

const bodyOf = (bytes: Uint8Array): Uint8Array => bytes.subarray(0, Math.max(0, bytes.length - SIGNATURE_BYTES));
