/** `hopfair verify`: checks proofs offline, with nothing but the committee's descriptor. */
import { readFileSync, statSync } from 'node:fs';
import { fromUtf8 } from '../bytes.js';
import type { CryptoProvider } from '../crypto/interface.js';
import { HopfairError } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { PinnedCommittee } from '../order/committee.js';
import { type Evidence, verifyEvidence } from '../order/evidence.js';
import { verifyFairnessReceipt } from '../order/fairness-receipt.js';
import { decodePromise, type SignedPromise, verifyPromise } from '../order/promise.js';
import { readCommitteeFile } from './committee-file.js';
import { EXIT, type ExitCode } from './exit-code.js';
import type { Output } from './output.js';

/** What one file turned out to be. `text` says it for people, as a sentence without its end. */
export type Verdict =
  | { readonly valid: true; readonly kind: ProofKind; readonly text: string; readonly facts: Facts }
  | { readonly valid: false; readonly kind: ProofKind | 'unknown'; readonly text: string };

type ProofKind = 'receipt' | 'promise' | 'evidence';

type Facts = Readonly<Record<string, unknown>>;

export interface VerifyOptions {
  readonly committee: string;
  readonly json: boolean;
}

/** One line for each file, in their order. Exit code 0 only when every one of them is valid. */
export function verifyFiles(
  crypto: CryptoProvider,
  files: readonly string[],
  { committee: committeePath, json }: VerifyOptions,
  output: Output,
): ExitCode {
  const committee = readCommitteeFile(crypto, committeePath);
  let code: ExitCode = EXIT.ok;
  for (const file of files) {
    const verdict = verifyProof(crypto, committee, readProof(file));
    if (!verdict.valid) code = EXIT.refused;
    if (json) {
      const { text, ...rest } = verdict;
      output.out(JSON.stringify({ file, ...rest, ...(verdict.valid ? {} : { reason: text }) }));
    } else output.out(`${verdict.valid ? 'valid  ' : 'INVALID'}  ${file}: ${verdict.text}`);
  }
  return code;
}

function readProof(file: string): Uint8Array {
  const { size } = statSync(file);
  if (size > LIMITS.maxEvidenceBytes) {
    throw new HopfairError('LIMIT_EXCEEDED', `${file}: ${size} bytes are more than any proof has`);
  }
  return readFileSync(file);
}

/** Tells what kind of proof the bytes are, and whether they prove it. Never throws on bytes. */
export function verifyProof(crypto: CryptoProvider, committee: PinnedCommittee, bytes: Uint8Array): Verdict {
  if (beginsWith(bytes, RECEIPT_MAGIC)) return verifyReceipt(crypto, committee, bytes);
  if (beginsWith(bytes, EVIDENCE_MAGIC)) return judgeEvidence(crypto, committee, bytes);
  const promise = promiseOf(bytes);
  if (promise !== undefined) return judgePromise(crypto, committee, promise);
  return { valid: false, kind: 'unknown', text: 'neither a fairness receipt, an inclusion promise nor evidence' };
}

/** Texts behind their length. */
const RECEIPT_MAGIC = fromUtf8('\0\x11hopfair-receipt/1');
const EVIDENCE_MAGIC = fromUtf8('\0\x12hopfair-evidence/1');

const beginsWith = (bytes: Uint8Array, magic: Uint8Array): boolean => magic.every((byte, i) => bytes[i] === byte);

function verifyReceipt(crypto: CryptoProvider, committee: PinnedCommittee, bytes: Uint8Array): Verdict {
  const check = verifyFairnessReceipt(crypto, committee, bytes);
  if (!check.ok) return { valid: false, kind: 'receipt', text: `fairness receipt refused: ${check.fault}` };
  const { height, index, id } = check.leaf;
  const signers = check.signers.map(signer => `member ${signer}`).join(', ');
  return {
    valid: true,
    kind: 'receipt',
    text: `order ${id} is entry ${index} of the log, at height ${height}; signed by ${signers}`,
    facts: { id, index, height, signers: check.signers },
  };
}

/** What each kind of evidence says of its culprit. */
const MISDEEDS: Readonly<Record<Evidence['kind'], string>> = {
  'two-votes': 'cast two votes in one view that exclude each other',
  'two-proposals': 'proposed two blocks in one view',
  'lane-fork': 'signed two chunks with one sequence in its lane',
  'broken-promise': 'promised to list an order, and did not',
  'bad-share': 'revealed a share that misses the commitment of the order',
  'double-sequence': 'signed two orders for one place of a stream',
};

function judgeEvidence(crypto: CryptoProvider, committee: PinnedCommittee, bytes: Uint8Array): Verdict {
  const check = verifyEvidence(bytes, committee, crypto);
  if (!check.ok) return { valid: false, kind: 'evidence', text: `evidence refused: ${check.fault}` };
  const { culprit, kind } = check;
  const index = committee.indexOf(culprit);
  const who = index === undefined ? culprit : `member ${index} (${culprit})`;
  return { valid: true, kind: 'evidence', text: `${who} ${MISDEEDS[kind]}`, facts: { culprit, misdeed: kind } };
}

function promiseOf(bytes: Uint8Array): SignedPromise | undefined {
  try {
    return decodePromise(bytes);
  } catch (error) {
    if (error instanceof HopfairError && error.code === 'DECODE_FAILED') return undefined;
    throw error;
  }
}

function judgePromise(crypto: CryptoProvider, committee: PinnedCommittee, promise: SignedPromise): Verdict {
  const { validator, sequence, ids } = promise;
  if (!verifyPromise(crypto, committee, promise)) {
    const text = `inclusion promise refused: no signature of member ${validator} of this committee`;
    return { valid: false, kind: 'promise', text };
  }
  const orders = ids.length === 1 ? `order ${ids[0]}` : `${ids.length} orders, from ${ids[0]} on,`;
  return {
    valid: true,
    kind: 'promise',
    text: `member ${validator} promised to have ${orders} in its lane by chunk ${sequence}`,
    facts: { validator, sequence, ids },
  };
}
