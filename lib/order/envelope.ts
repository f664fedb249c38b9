/**
 * The envelope in which an order travels, waits and is ordered, and its bytes:
 *
 *   core        mode, committee hash, sender, stream, sequence, prev, expiry, size class,
 *               per validator the name of a pair key and the commitment to its share, H(ciphertext)
 *   ciphertext  the padded payload (in `open` mode the payload itself)
 *   shares      one sealed share per validator
 *
 * Order id = H(H(core), H(shares)). Every envelope carries all n sealed shares, so any holder can serve it to anyone.
 */
import { fromHex, Reader, toHex, Writer } from '../bytes.js';
import type { CryptoProvider } from '../crypto/interface.js';
import { type UnixMs, unixMs } from '../env.js';
import { HopfairError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { readPeerId } from './peer-field.js';
import { SECRET_BYTES } from './shamir.js';
import { taggedHash } from './tagged-hash.js';
import type { Mode, OrderFacts, OrderId } from './types.js';

declare const pairKeyNameBrand: unique symbol;
/** Hex of the 8 bytes that name a pair key. */
export type PairKeyName = string & { readonly [pairKeyNameBrand]: true };

export const PAIR_KEY_NAME_BYTES = 8;
export const HASH_BYTES = 32;
/** Length of the payload and the tag of the cipher: what a sealed payload needs beyond its size class. */
export const SEALED_OVERHEAD_BYTES: number = 2 + 16;
const MODES: readonly Mode[] = ['sealed', 'open'];

/** What the core says, with the position, id and expiry of the order. */
export interface EnvelopeFields extends Omit<OrderFacts, 'id'> {
  readonly mode: Mode;
  readonly committeeHash: Uint8Array;
  /** Index into the committee's size classes. */
  readonly sizeClass: number;
  /** By validator; empty in `open` mode, as are the commitments and the sealed shares. */
  readonly pairKeyNames: readonly PairKeyName[];
  readonly commitments: readonly Uint8Array[];
}

/** A decoded envelope. Its byte fields are views on `bytes`. Nothing in it is checked but its form and its id. */
export interface Envelope extends EnvelopeFields, OrderFacts {
  readonly ciphertextHash: Uint8Array;
  readonly ciphertext: Uint8Array;
  readonly sealedShares: readonly Uint8Array[];
  /** H(core): under it each share is masked. */
  readonly coreHash: Uint8Array;
  /** The core without H(ciphertext): what the cipher authenticates besides the payload. */
  readonly associatedData: Uint8Array;
  /** As sent. */
  readonly bytes: Uint8Array;
}

/** The core up to, not including, H(ciphertext). */
export function encodeCorePrefix(fields: EnvelopeFields): Uint8Array {
  const writer = new Writer(256 + fields.commitments.length * (PAIR_KEY_NAME_BYTES + HASH_BYTES))
    .u8(MODES.indexOf(fields.mode))
    .raw(fields.committeeHash)
    .text(fields.sender)
    .text(fields.stream)
    .u64(fields.sequence);
  if (fields.prev === undefined) writer.u8(0);
  else writer.u8(1).raw(fromHex(fields.prev));
  writer.u64(fields.expiry).u8(fields.sizeClass).u8(fields.commitments.length);
  for (const name of fields.pairKeyNames) writer.raw(fromHex(name));
  for (const commitment of fields.commitments) writer.raw(commitment);
  return writer.finish();
}

/** Joins the parts; what it returns is what `decodeEnvelope` accepts. */
export function encodeEnvelope(
  corePrefix: Uint8Array,
  ciphertextHash: Uint8Array,
  ciphertext: Uint8Array,
  sealedShares: readonly Uint8Array[],
): Uint8Array {
  const writer = new Writer(corePrefix.length + HASH_BYTES * (sealedShares.length + 1) + ciphertext.length + 4)
    .raw(corePrefix)
    .raw(ciphertextHash)
    .bytes32(ciphertext);
  for (const share of sealedShares) writer.raw(share);
  return writer.finish();
}

function oneOf<T>(values: readonly T[], at: number): T {
  const value = values[at];
  if (value === undefined) throw new HopfairError('DECODE_FAILED', `${at} is none of ${values.length} choices`);
  return value;
}

/** @throws HopfairError DECODE_FAILED on anything but a well-formed envelope. Hashes it, and does nothing else. */
export function decodeEnvelope(crypto: CryptoProvider, bytes: Uint8Array): Envelope {
  const reader = new Reader(bytes);
  const mode = oneOf(MODES, reader.u8());
  const committeeHash = reader.raw(HASH_BYTES);
  const sender = readPeerId(reader);
  const stream = reader.text(LIMITS.maxStreamKeyBytes);
  const sequence = reader.u64();
  const prev = oneOf([false, true], reader.u8()) ? (toHex(reader.raw(HASH_BYTES)) as OrderId) : undefined;
  if (sequence < 1 || (sequence === 1) !== (prev === undefined))
    throw new HopfairError('DECODE_FAILED', 'sequence 1 and only it has no predecessor');
  const expiry: UnixMs = unixMs(reader.u64());
  const sizeClass = reader.u8();
  const n = reader.u8();
  if (n > LIMITS.maxMembers || (n === 0) !== (mode === 'open'))
    throw new HopfairError('DECODE_FAILED', `an envelope of mode ${mode} with ${n} shares`);
  const pairKeyNames = Array.from({ length: n }, () => toHex(reader.raw(PAIR_KEY_NAME_BYTES)) as PairKeyName);
  const commitments = Array.from({ length: n }, () => reader.raw(HASH_BYTES));
  const associatedData = bytes.subarray(0, bytes.length - reader.remaining);
  const ciphertextHash = reader.raw(HASH_BYTES);
  const coreHash = taggedHash(crypto, 'core', associatedData, ciphertextHash);
  const ciphertext = reader.bytes32(LIMITS.maxPayloadBytes + SEALED_OVERHEAD_BYTES);
  const sharesHash = taggedHash(crypto, 'sealed-shares', bytes.subarray(bytes.length - reader.remaining));
  const sealedShares = Array.from({ length: n }, () => reader.raw(SECRET_BYTES));
  reader.end();
  const id = toHex(taggedHash(crypto, 'order-id', coreHash, sharesHash)) as OrderId;
  return {
    id,
    mode,
    committeeHash,
    sender,
    stream,
    sequence,
    prev,
    expiry,
    sizeClass,
    pairKeyNames,
    commitments,
    ciphertextHash,
    ciphertext,
    sealedShares,
    coreHash,
    associatedData,
    bytes,
  };
}

/** True when `next` is the direct successor of `prev` in one stream: what a lane checks before it lists `next`. */
export function follows(next: OrderFacts, prev: OrderFacts): boolean {
  return (
    next.prev === prev.id &&
    next.sender === prev.sender &&
    next.stream === prev.stream &&
    next.sequence === prev.sequence + 1
  );
}
