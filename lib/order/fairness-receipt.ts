/**
 * Fairness receipts: proof, in one file, that an order stands at one place of the log. f+1 validators signed the root of
 * the log after the batch, at least one of them is honest, and honest validators sign only what they delivered.
 */
import { fromHex, Reader, toHex, Writer } from '../bytes.js';
import type { CryptoProvider, Signer } from '../crypto/interface.js';
import { HopfairError } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { PinnedCommittee } from './committee.js';
import { HASH_BYTES } from './envelope.js';
import { type LeafFields, logLeaf, verifyLogPath } from './log-root.js';
import { SIGNATURE_BYTES } from './promise.js';
import type { Batch, HashHex, OrderId, ValidatorIndex } from './types.js';

const MAGIC = 'hopfair-receipt/1';

/** What a validator signs once a batch is opened; kind, network and epoch are added by the signature. */
export type RootStatement = Pick<Batch, 'height' | 'cutHash' | 'firstIndex' | 'logRoot'> & { readonly count: number };

export interface RootSignature {
  readonly validator: ValidatorIndex;
  readonly signature: Uint8Array;
}

export const rootStatementOf = (batch: Batch): RootStatement => ({
  height: batch.height,
  cutHash: batch.cutHash,
  firstIndex: batch.firstIndex,
  count: batch.entries.length,
  logRoot: batch.logRoot,
});

export function encodeRootStatement(statement: RootStatement): Uint8Array {
  return new Writer(96)
    .u64(statement.height)
    .raw(fromHex(statement.cutHash))
    .u64(statement.firstIndex)
    .u32(statement.count)
    .raw(fromHex(statement.logRoot))
    .finish();
}

/** @throws HopfairError DECODE_FAILED when the fields are truncated. */
export function readRootStatement(reader: Reader): RootStatement {
  return {
    height: reader.u64(),
    cutHash: toHex(reader.raw(HASH_BYTES)) as HashHex,
    firstIndex: reader.u64(),
    count: reader.u32(),
    logRoot: toHex(reader.raw(HASH_BYTES)) as HashHex,
  };
}

export function signRoot(committee: PinnedCommittee, signer: Signer, statement: RootStatement): Uint8Array {
  return signer.sign(committee.signingBytes('root', encodeRootStatement(statement)));
}

export function verifyRoot(
  crypto: CryptoProvider,
  committee: PinnedCommittee,
  statement: RootStatement,
  { validator, signature }: RootSignature,
): boolean {
  return committee.verify(crypto, validator, 'root', encodeRootStatement(statement), signature);
}

/** A self-contained proof; `encodeFairnessReceipt` makes the file. */
export interface FairnessReceipt {
  /** Of the committee whose descriptor is needed to check it. */
  readonly committeeHash: HashHex;
  readonly statement: RootStatement;
  /** Position of the order in the log. */
  readonly index: number;
  readonly id: OrderId;
  readonly path: readonly Uint8Array[];
  readonly signatures: readonly RootSignature[];
}

export function encodeFairnessReceipt(receipt: FairnessReceipt): Uint8Array {
  const writer = new Writer(1024)
    .text(MAGIC)
    .raw(fromHex(receipt.committeeHash))
    .raw(encodeRootStatement(receipt.statement))
    .u64(receipt.index)
    .raw(fromHex(receipt.id))
    .u16(receipt.path.length);
  for (const sibling of receipt.path) writer.raw(sibling);
  writer.u16(receipt.signatures.length);
  for (const { validator, signature } of receipt.signatures) writer.u8(validator).raw(signature);
  return writer.finish();
}

/** @throws HopfairError DECODE_FAILED on anything but a well-formed receipt. */
export function decodeFairnessReceipt(bytes: Uint8Array): FairnessReceipt {
  const reader = new Reader(bytes);
  if (reader.text(MAGIC.length) !== MAGIC) throw new HopfairError('DECODE_FAILED', 'not a fairness receipt');
  const committeeHash = toHex(reader.raw(HASH_BYTES)) as HashHex;
  const statement = readRootStatement(reader);
  const index = reader.u64();
  const id = toHex(reader.raw(HASH_BYTES)) as OrderId;
  const path = Array.from({ length: reader.count16(LIMITS.maxLogPathHashes) }, () => reader.raw(HASH_BYTES));
  const signatures = Array.from({ length: reader.count16(LIMITS.maxMembers) }, () => ({
    validator: reader.u8(),
    signature: reader.raw(SIGNATURE_BYTES),
  }));
  reader.end();
  return { committeeHash, statement, index, id, path, signatures };
}

export type ReceiptFault =
  | 'malformed'
  | 'another committee'
  | 'index outside the batch'
  | 'the path does not lead to the root'
  | 'too few valid signatures';

export type ReceiptCheck =
  | { readonly ok: true; readonly leaf: LeafFields; readonly signers: readonly ValidatorIndex[] }
  | { readonly ok: false; readonly fault: ReceiptFault };

/**
 * Checks a receipt offline, with nothing but the committee's descriptor.
 *
 * @example
 * const check = verifyFairnessReceipt(crypto, committee, await readFile('order.receipt'));
 * if (check.ok) console.log(`entry ${check.leaf.index}, signed by ${check.signers.length}`);
 */
export function verifyFairnessReceipt(
  crypto: CryptoProvider,
  committee: PinnedCommittee,
  bytes: Uint8Array,
): ReceiptCheck {
  const receipt = decodeOrUndefined(bytes);
  if (receipt === undefined) return { ok: false, fault: 'malformed' };
  if (receipt.committeeHash !== committee.hashHex) return { ok: false, fault: 'another committee' };
  const { statement, index, id } = receipt;
  const size = statement.firstIndex + statement.count;
  if (!Number.isSafeInteger(size) || index < statement.firstIndex || index >= size)
    return { ok: false, fault: 'index outside the batch' };
  const leaf = { height: statement.height, index, id };
  if (!verifyLogPath(crypto, logLeaf(crypto, leaf), index, size, receipt.path, fromHex(statement.logRoot)))
    return { ok: false, fault: 'the path does not lead to the root' };
  const signers = new Set<ValidatorIndex>();
  for (const signature of receipt.signatures)
    if (!signers.has(signature.validator) && verifyRoot(crypto, committee, statement, signature))
      signers.add(signature.validator);
  if (signers.size <= committee.tolerance.f) return { ok: false, fault: 'too few valid signatures' };
  return { ok: true, leaf, signers: [...signers] };
}

function decodeOrUndefined(bytes: Uint8Array): FairnessReceipt | undefined {
  try {
    return decodeFairnessReceipt(bytes);
  } catch (error) {
    if (error instanceof HopfairError && error.code === 'DECODE_FAILED') return undefined;
    throw error;
  }
}
