/**
 * Inclusion promises: a validator tells a client, signed, that orders of its are in its lane at chunk `sequence`. When a
 * later chunk or cut shows that lane without them, promise and chunk together prove the lie to anyone.
 */
import { fromHex, Reader, toHex, Writer } from '../bytes.js';
import type { CryptoProvider, Signer } from '../crypto/interface.js';
import { HopfairError, requireArgument } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { PinnedCommittee } from './committee.js';
import { HASH_BYTES } from './envelope.js';
import type { OrderId, ValidatorIndex } from './types.js';

export const SIGNATURE_BYTES = 64;

/** One signature covers all orders of one client in one chunk. */
export interface InclusionPromise {
  readonly validator: ValidatorIndex;
  /** Sequence of the chunk in that validator's lane. */
  readonly sequence: number;
  readonly ids: readonly OrderId[];
}

export interface SignedPromise extends InclusionPromise {
  readonly signature: Uint8Array;
}

function promiseBody({ validator, sequence, ids }: InclusionPromise): Uint8Array {
  requireArgument(ids.length >= 1 && ids.length <= LIMITS.maxBatchOrders, `a promise of ${ids.length} orders`);
  const writer = new Writer(16 + HASH_BYTES * ids.length).u8(validator).u64(sequence).u16(ids.length);
  for (const id of ids) writer.raw(fromHex(id));
  return writer.finish();
}

export function signPromise(committee: PinnedCommittee, signer: Signer, promise: InclusionPromise): SignedPromise {
  return { ...promise, signature: signer.sign(committee.signingBytes('promise', promiseBody(promise))) };
}

export function encodePromise(promise: SignedPromise): Uint8Array {
  return new Writer().raw(promiseBody(promise)).raw(promise.signature).finish();
}

/** @throws HopfairError DECODE_FAILED. */
export function decodePromise(bytes: Uint8Array): SignedPromise {
  const reader = new Reader(bytes);
  const validator = reader.u8();
  const sequence = reader.u64();
  const count = reader.count16(LIMITS.maxBatchOrders);
  if (count === 0) throw new HopfairError('DECODE_FAILED', 'a promise of nothing');
  const ids = Array.from({ length: count }, () => toHex(reader.raw(HASH_BYTES)) as OrderId);
  const signature = reader.raw(SIGNATURE_BYTES);
  reader.end();
  return { validator, sequence, ids, signature };
}

/** True when the named validator of this committee signed the promise. */
export function verifyPromise(crypto: CryptoProvider, committee: PinnedCommittee, promise: SignedPromise): boolean {
  return committee.verify(crypto, promise.validator, 'promise', promiseBody(promise), promise.signature);
}
