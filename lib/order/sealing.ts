/**
 * Sealing an order for the committee, and what a validator checks of it: order.md section 1. One cipher call and a few
 * hashes each; the only public-key work is one signature for a whole batch of orders.
 */
import { equalBytes, fromHex, fromUtf8, toHex, Writer } from '../bytes.js';
import type { AeadKey, CryptoProvider, Signer } from '../crypto/interface.js';
import type { UnixMs } from '../env.js';
import { requireArgument } from '../errors.js';
import { type PeerId, publicKeyOf } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import type { PinnedCommittee } from './committee.js';
import {
  decodeEnvelope,
  type Envelope,
  type EnvelopeFields,
  encodeCorePrefix,
  encodeEnvelope,
  PAIR_KEY_NAME_BYTES,
  type PairKeyName,
  SEALED_OVERHEAD_BYTES,
} from './envelope.js';
import { SECRET_BYTES, splitSecret } from './shamir.js';
import { deriveKey, taggedHash } from './tagged-hash.js';
import type { OrderFacts, OrderId, ValidatorIndex } from './types.js';

const NO_NONCE = new Uint8Array(12); // every payload has a key of its own

/** A secret that a client shares with one validator, exported from their end-to-end session, and its public name. */
export interface PairKey {
  readonly name: PairKeyName;
  readonly key: Uint8Array;
}

/** Both ends derive the same name from the exported secret. `secret` is 32 bytes and becomes the key. */
export function pairKeyFrom(crypto: CryptoProvider, secret: Uint8Array): PairKey {
  const name = toHex(deriveKey(crypto, 'pair-key-name', secret).subarray(0, PAIR_KEY_NAME_BYTES)) as PairKeyName;
  return { name, key: secret };
}

/** What the sender decides of an order. */
export interface OrderDraft extends Omit<OrderFacts, 'id'> {
  readonly payload: Uint8Array;
}

/** Index of the smallest size class that holds `length` bytes; undefined when none does. */
export function sizeClassOf(committee: PinnedCommittee, length: number): number | undefined {
  const index = committee.parameters.sizeClasses.findIndex(size => length <= size);
  return index < 0 ? undefined : index;
}

function fieldsOf(
  committee: PinnedCommittee,
  draft: OrderDraft,
  secrets: Pick<EnvelopeFields, 'pairKeyNames' | 'commitments'>,
): EnvelopeFields {
  const { sender, stream, sequence, prev, expiry, payload } = draft;
  const sizeClass = sizeClassOf(committee, payload.length);
  requireArgument(sizeClass !== undefined, `a payload of ${payload.length} bytes is above the largest size class`);
  requireArgument(Number.isSafeInteger(sequence) && sequence >= 1, 'sequences count from 1');
  requireArgument((sequence === 1) === (prev === undefined), 'sequence 1 and only it has no predecessor');
  requireArgument(fromUtf8(stream).length <= LIMITS.maxStreamKeyBytes, 'the stream key is too long');
  const { mode } = committee.parameters;
  return { mode, committeeHash: committee.hash, sender, stream, sequence, prev, expiry, sizeClass, ...secrets };
}

/** How many fresh random bytes `sealOrder` needs: the key of the payload and the polynomial that hides it. */
export const sealingRandomnessBytes = (committee: PinnedCommittee): number => committee.tolerance.t * SECRET_BYTES;

/**
 * Seals one order for every validator.
 *
 * @param pairKeys by validator index.
 * @param randomness `sealingRandomnessBytes` fresh random bytes; zeroed here.
 * @throws HopfairError INVALID_ARGUMENT when the draft does not fit the committee.
 */
export function sealOrder(
  crypto: CryptoProvider,
  committee: PinnedCommittee,
  draft: OrderDraft,
  pairKeys: readonly PairKey[],
  randomness: Uint8Array,
): Envelope {
  const { n, t } = committee.tolerance;
  requireArgument(committee.parameters.mode === 'sealed', 'this committee takes orders in plaintext');
  requireArgument(pairKeys.length === n, `${n} pair keys are needed, one for each validator`);
  requireArgument(randomness.length === sealingRandomnessBytes(committee), 'wrong number of random bytes');
  const secret = randomness.slice(0, SECRET_BYTES);
  const shares = splitSecret(secret, n, t, randomness.subarray(SECRET_BYTES));
  const prefix = encodeCorePrefix(
    fieldsOf(committee, draft, {
      pairKeyNames: pairKeys.map(({ name }) => name),
      commitments: shares.map((share, i) => commitmentTo(crypto, i, share)),
    }),
  );
  const padded = pad(draft.payload, committee.parameters.sizeClasses);
  const ciphertext = withPayloadKey(crypto, secret, key => key.seal(NO_NONCE, prefix, padded));
  const ciphertextHash = taggedHash(crypto, 'ciphertext', ciphertext);
  const coreHash = taggedHash(crypto, 'core', prefix, ciphertextHash);
  const sealed = pairKeys.map(({ key }, i) => masked(crypto, key, coreHash, shares[i] as Uint8Array));
  for (const bytes of [secret, randomness, padded, ...shares]) bytes.fill(0);
  return decodeEnvelope(crypto, encodeEnvelope(prefix, ciphertextHash, ciphertext, sealed));
}

/**
 * The envelope of an order in `open` mode: the same fields and id, the payload in plaintext, no shares.
 *
 * @throws HopfairError INVALID_ARGUMENT when the draft does not fit the committee.
 */
export function plainOrder(crypto: CryptoProvider, committee: PinnedCommittee, draft: OrderDraft): Envelope {
  requireArgument(committee.parameters.mode === 'open', 'this committee takes sealed orders only');
  const prefix = encodeCorePrefix(fieldsOf(committee, draft, { pairKeyNames: [], commitments: [] }));
  const hash = taggedHash(crypto, 'ciphertext', draft.payload);
  return decodeEnvelope(crypto, encodeEnvelope(prefix, hash, draft.payload, []));
}

/** C_i: the commitment to the share of validator `index`. */
export function commitmentTo(crypto: CryptoProvider, index: ValidatorIndex, share: Uint8Array): Uint8Array {
  return taggedHash(crypto, 'share-commitment', Uint8Array.of(index), share);
}

/** Seals a share, and opens a sealed one. */
function masked(crypto: CryptoProvider, pairKey: Uint8Array, coreHash: Uint8Array, share: Uint8Array): Uint8Array {
  const mask = deriveKey(crypto, 'share-mask', pairKey, coreHash);
  return mask.map((byte, i) => byte ^ (share[i] as number));
}

function withPayloadKey<T>(crypto: CryptoProvider, secret: Uint8Array, use: (key: AeadKey) => T): T {
  const bytes = deriveKey(crypto, 'payload-key', secret);
  const key = crypto.aead('ChaChaPoly').key(bytes);
  try {
    return use(key);
  } finally {
    bytes.fill(0);
    key.destroy();
  }
}

/** Two bytes of length, the payload, zeros up to the smallest size class that holds it. */
function pad(payload: Uint8Array, sizeClasses: readonly number[]): Uint8Array {
  const size = sizeClasses.find(candidate => payload.length <= candidate) ?? payload.length;
  return new Writer(size + 2)
    .bytes16(payload)
    .raw(new Uint8Array(size - payload.length))
    .finish();
}

/** What the cipher hides, still padded; undefined when it does not authenticate. */
export function decryptPayload(crypto: CryptoProvider, envelope: Envelope, secret: Uint8Array): Uint8Array | undefined {
  return withPayloadKey(crypto, secret, key => key.open(NO_NONCE, envelope.associatedData, envelope.ciphertext));
}

declare const verified: unique symbol;
/** An envelope that passed `checkEnvelope`: only such may enter a lane. */
export type VerifiedEnvelope = Envelope & { readonly [verified]: true };

/** Why a validator does not list an order. */
export type EnvelopeRefusal = 'committee' | 'expired' | 'ttl' | 'size' | 'ciphertext' | 'pair-key' | 'share';

export type EnvelopeCheck =
  | {
      readonly ok: true;
      readonly envelope: VerifiedEnvelope;
      /** This validator's share, to be stored with the envelope; undefined in `open` mode. */
      readonly share: Uint8Array | undefined;
    }
  | { readonly ok: false; readonly reason: EnvelopeRefusal };

export interface CheckContext {
  /** Who checks. */
  readonly validator: ValidatorIndex;
  readonly now: UnixMs;
  /** The key of that name shared with that sender, if this validator has it. */
  pairKey(sender: PeerId, name: PairKeyName): Uint8Array | undefined;
}

/**
 * All that one validator can know of a sealed order, cheapest first, without public-key work: the signature of its batch
 * and its predecessor are checked apart.
 */
export function checkEnvelope(
  crypto: CryptoProvider,
  committee: PinnedCommittee,
  envelope: Envelope,
  context: CheckContext,
): EnvelopeCheck {
  const reason = publicRefusal(crypto, committee, envelope, context.now);
  if (reason !== undefined) return { ok: false, reason };
  const accepted = envelope as VerifiedEnvelope;
  if (envelope.mode === 'open') return { ok: true, envelope: accepted, share: undefined };
  const name = envelope.pairKeyNames[context.validator];
  const key = name === undefined ? undefined : context.pairKey(envelope.sender, name);
  if (key === undefined) return { ok: false, reason: 'pair-key' };
  const share = masked(crypto, key, envelope.coreHash, envelope.sealedShares[context.validator] as Uint8Array);
  const commitment = envelope.commitments[context.validator] as Uint8Array;
  if (!equalBytes(commitmentTo(crypto, context.validator, share), commitment)) return { ok: false, reason: 'share' };
  return { ok: true, envelope: accepted, share };
}

/** What anyone can check. */
function publicRefusal(
  crypto: CryptoProvider,
  committee: PinnedCommittee,
  envelope: Envelope,
  now: UnixMs,
): EnvelopeRefusal | undefined {
  const { mode, maxOrderTtlMs, sizeClasses } = committee.parameters;
  const shares = mode === 'sealed' ? committee.tolerance.n : 0;
  if (envelope.mode !== mode || envelope.commitments.length !== shares) return 'committee';
  if (!equalBytes(envelope.committeeHash, committee.hash)) return 'committee';
  if (envelope.expiry <= now) return 'expired';
  if (envelope.expiry > now + maxOrderTtlMs) return 'ttl';
  const size = sizeClasses[envelope.sizeClass];
  if (size === undefined) return 'size';
  const fits =
    mode === 'sealed'
      ? envelope.ciphertext.length === size + SEALED_OVERHEAD_BYTES
      : envelope.sizeClass === sizeClassOf(committee, envelope.ciphertext.length);
  if (!fits) return 'size';
  const hash = taggedHash(crypto, 'ciphertext', envelope.ciphertext);
  return equalBytes(hash, envelope.ciphertextHash) ? undefined : 'ciphertext';
}

/** What a client signs once for all orders that leave in one flush. */
export function encodeOrderBatch(ids: readonly OrderId[]): Uint8Array {
  requireArgument(ids.length >= 1 && ids.length <= LIMITS.maxBatchOrders, `a batch of ${ids.length} orders`);
  const writer = new Writer(2 + 32 * ids.length).u16(ids.length);
  for (const id of ids) writer.raw(fromHex(id));
  return writer.finish();
}

/** The 64-byte signature of a client over a batch of orders. */
export function signOrderBatch(committee: PinnedCommittee, signer: Signer, ids: readonly OrderId[]): Uint8Array {
  return signer.sign(committee.signingBytes('order-batch', encodeOrderBatch(ids)));
}

/** True when `sender` signed exactly this list of ids for this network and epoch. */
export function verifyOrderBatch(
  crypto: CryptoProvider,
  committee: PinnedCommittee,
  sender: PeerId,
  ids: readonly OrderId[],
  signature: Uint8Array,
): boolean {
  if (ids.length < 1 || ids.length > LIMITS.maxBatchOrders) return false;
  const message = committee.signingBytes('order-batch', encodeOrderBatch(ids));
  return crypto.verify(publicKeyOf(sender), message, signature);
}
