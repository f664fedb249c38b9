/** Sealed orders on their way to a member: some or all of what one signature of their sender covers. */
import { Reader, Writer } from '../bytes.js';
import type { CryptoProvider } from '../crypto/interface.js';
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import { decodeEnvelope, type Envelope } from './envelope.js';
import { readIds, readMany, writeIds } from './messages.js';
import type { OrderId } from './types.js';

/** The ids that one signature covers (`signOrderBatch`), in its order. */
export interface SignedIds {
  readonly ids: readonly OrderId[];
  readonly signature: Uint8Array;
}

export interface Submission extends SignedIds {
  readonly sender: PeerId;
  /** At least one; each id stands among `ids`. */
  readonly envelopes: readonly Envelope[];
}

/**
 * @example
 * const signature = signOrderBatch(committee, signer, envelopes.map(envelope => envelope.id));
 * encodeClientMessage({ kind: 'submit', batch: encodeSubmission({ ids, signature }, envelopes) });
 */
export function encodeSubmission(
  { ids, signature }: SignedIds,
  envelopes: readonly Pick<Envelope, 'bytes'>[],
): Uint8Array {
  const w = new Writer(1024);
  writeIds(w, ids).raw(signature).u16(envelopes.length);
  for (const { bytes } of envelopes) w.bytes32(bytes);
  return w.finish();
}

/** Throws DECODE_FAILED. The signature is not checked here. */
export function decodeSubmission(crypto: CryptoProvider, bytes: Uint8Array): Submission {
  const r = new Reader(bytes);
  const ids = readIds(r, LIMITS.maxBatchOrders);
  const signature = r.raw(64);
  const envelopes = readMany(r.count16(LIMITS.maxBatchOrders), () =>
    decodeEnvelope(crypto, r.bytes32(LIMITS.maxApplicationMessageBytes)),
  );
  r.end();
  const sender = envelopes[0]?.sender;
  if (sender === undefined) throw new HopfairError('DECODE_FAILED', 'a submission of nothing');
  const signed = new Set(ids);
  for (const envelope of envelopes) {
    if (envelope.sender !== sender) throw new HopfairError('DECODE_FAILED', 'one submission, two senders');
    if (!signed.has(envelope.id)) throw new HopfairError('DECODE_FAILED', 'an order that the signature does not cover');
  }
  return { ids, signature, sender, envelopes };
}
