/**
 * Proofs of misbehaviour: order.md section 6. Each is one self-contained file of two signed statements that an honest
 * member or sender could not both have made; anyone checks it with the committee's descriptor alone.
 */
import { fromHex, Reader, toHex, Writer } from '../bytes.js';
import type { CryptoProvider } from '../crypto/interface.js';
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import { type Chunk, chunkSigned, decodeChunk } from './chunk.js';
import type { PinnedCommittee } from './committee.js';
import { type Block, blockLeader, blockSigned, decodeBlock } from './cut.js';
import type { Envelope } from './envelope.js';
import { decodeMemberMessage, encodeMemberMessage, type SharesMessage, sharesBody } from './messages.js';
import { shareMatches } from './opening.js';
import { decodePromise, encodePromise, type SignedPromise, verifyPromise } from './promise.js';
import { verifyOrderBatch } from './sealing.js';
import { decodeSubmission, encodeSubmission, type SignedIds } from './submission.js';
import type { HashHex, ValidatorIndex } from './types.js';
import { decodeVote, encodeVote, type Vote, voteSigned } from './vote.js';
import { Voters } from './voters.js';

const MAGIC = 'hopfair-evidence/1';

/** An order with the signature of the batch that it came in. */
export interface SignedOrder {
  readonly envelope: Pick<Envelope, 'bytes'>;
  readonly signed: SignedIds;
}

export type Evidence =
  /** Two notarizations or finalizations of different blocks in one view, or nullify and finalize. */
  | { readonly kind: 'two-votes'; readonly first: Vote; readonly second: Vote }
  | { readonly kind: 'two-proposals'; readonly first: Block; readonly second: Block }
  | { readonly kind: 'lane-fork'; readonly first: Chunk; readonly second: Chunk }
  /** The chunk that a promise names, without the order that it promises. */
  | { readonly kind: 'broken-promise'; readonly promise: SignedPromise; readonly chunk: Chunk }
  /** A share that misses the commitment in the order's envelope. */
  | {
      readonly kind: 'bad-share';
      readonly validator: ValidatorIndex;
      readonly message: SharesMessage;
      readonly order: SignedOrder;
    }
  /** Two orders of one sender for the same stream and sequence. */
  | { readonly kind: 'double-sequence'; readonly first: SignedOrder; readonly second: SignedOrder };

const KINDS: readonly Evidence['kind'][] = [
  'two-votes',
  'two-proposals',
  'lane-fork',
  'broken-promise',
  'bad-share',
  'double-sequence',
];

export function encodeEvidence(committeeHash: HashHex, evidence: Evidence): Uint8Array {
  const w = new Writer(1024).text(MAGIC).raw(fromHex(committeeHash)).u8(KINDS.indexOf(evidence.kind));
  const [first, second] = partsOf(evidence);
  return w.bytes32(first).bytes32(second).finish();
}

function partsOf(evidence: Evidence): readonly [Uint8Array, Uint8Array] {
  switch (evidence.kind) {
    case 'two-votes':
      return [encodeVote(evidence.first), encodeVote(evidence.second)];
    case 'two-proposals':
    case 'lane-fork':
      return [evidence.first.bytes, evidence.second.bytes];
    case 'broken-promise':
      return [encodePromise(evidence.promise), evidence.chunk.bytes];
    case 'bad-share': {
      const message = new Writer(1024).u8(evidence.validator).raw(encodeMemberMessage(evidence.message)).finish();
      return [message, encodeSubmission(evidence.order.signed, [evidence.order.envelope])];
    }
    case 'double-sequence':
      return [
        encodeSubmission(evidence.first.signed, [evidence.first.envelope]),
        encodeSubmission(evidence.second.signed, [evidence.second.envelope]),
      ];
  }
}

export type EvidenceFault = 'malformed' | 'another committee' | 'a signature is wrong' | 'no contradiction';

export type EvidenceCheck =
  | { readonly ok: true; readonly kind: Evidence['kind']; readonly culprit: PeerId }
  | { readonly ok: false; readonly fault: EvidenceFault };

/**
 * Checks a file of evidence offline.
 *
 * @example
 * const check = verifyEvidence(await readFile('1.evidence'), new PinnedCommittee(crypto, descriptor), crypto);
 * if (check.ok) console.log(`${check.culprit}: ${check.kind}`);
 */
export function verifyEvidence(bytes: Uint8Array, committee: PinnedCommittee, crypto: CryptoProvider): EvidenceCheck {
  try {
    const r = new Reader(bytes);
    if (r.text(MAGIC.length) !== MAGIC) return { ok: false, fault: 'malformed' };
    if (toHex(r.raw(32)) !== committee.hashHex) return { ok: false, fault: 'another committee' };
    const kind = KINDS[r.u8()];
    const first = r.bytes32(LIMITS.maxEvidenceBytes);
    const second = r.bytes32(LIMITS.maxEvidenceBytes);
    r.end();
    if (kind === undefined) return { ok: false, fault: 'malformed' };
    const found = culpritOf(new Voters(committee, crypto), kind, first, second);
    return 'fault' in found ? { ok: false, ...found } : { ok: true, kind, ...found };
  } catch (error) {
    if (error instanceof HopfairError && error.code === 'DECODE_FAILED') return { ok: false, fault: 'malformed' };
    throw error;
  }
}

type Found = { readonly culprit: PeerId } | { readonly fault: EvidenceFault };
const UNSIGNED: Found = { fault: 'a signature is wrong' };
const NO_CONTRADICTION: Found = { fault: 'no contradiction' };

function culpritOf(voters: Voters, kind: Evidence['kind'], first: Uint8Array, second: Uint8Array): Found {
  switch (kind) {
    case 'two-votes':
      return twoVotes(voters, decodeVote(voters, first), decodeVote(voters, second));
    case 'two-proposals':
      return twoProposals(voters, decodeBlock(voters, first), decodeBlock(voters, second));
    case 'lane-fork':
      return laneFork(voters, decodeChunk(voters, first), decodeChunk(voters, second));
    case 'broken-promise':
      return brokenPromise(voters, decodePromise(first), decodeChunk(voters, second));
    case 'bad-share':
      return badShare(voters, first, second);
    case 'double-sequence':
      return doubleSequence(voters, first, second);
  }
}

function member(voters: Voters, index: ValidatorIndex): Found {
  const found = voters.committee.descriptor.members[index];
  return found === undefined ? { fault: 'malformed' } : { culprit: found.peer };
}

function twoVotes(voters: Voters, first: Vote, second: Vote): Found {
  if (!voteSigned(voters, first) || !voteSigned(voters, second)) return UNSIGNED;
  const kinds = new Set([first.kind, second.kind]);
  const sameKind = kinds.size === 1 && first.block !== second.block;
  const excluded = kinds.has('nullify') && kinds.has('finalize');
  const contradiction = first.voter === second.voter && first.view === second.view && (sameKind || excluded);
  return contradiction ? member(voters, first.voter) : NO_CONTRADICTION;
}

function twoProposals(voters: Voters, first: Block, second: Block): Found {
  if (!blockSigned(voters, first) || !blockSigned(voters, second)) return UNSIGNED;
  const contradiction = first.view === second.view && first.hash !== second.hash;
  return contradiction ? member(voters, blockLeader(voters, first)) : NO_CONTRADICTION;
}

function laneFork(voters: Voters, first: Chunk, second: Chunk): Found {
  if (!chunkSigned(voters, first) || !chunkSigned(voters, second)) return UNSIGNED;
  const { lane, sequence, hash } = first;
  const contradiction = lane === second.lane && sequence === second.sequence && hash !== second.hash;
  return contradiction ? member(voters, lane) : NO_CONTRADICTION;
}

function brokenPromise(voters: Voters, promise: SignedPromise, chunk: Chunk): Found {
  if (!verifyPromise(voters.crypto, voters.committee, promise) || !chunkSigned(voters, chunk)) return UNSIGNED;
  const listed = new Set(chunk.listings.map(({ id }) => id));
  const named = promise.validator === chunk.lane && promise.sequence === chunk.sequence;
  return named && promise.ids.some(id => !listed.has(id)) ? member(voters, chunk.lane) : NO_CONTRADICTION;
}

function badShare(voters: Voters, first: Uint8Array, second: Uint8Array): Found {
  const validator = first[0] ?? voters.n;
  const message = decodeMemberMessage(voters, first.subarray(1));
  const [envelope] = decodeSubmission(voters.crypto, second).envelopes;
  if (message.kind !== 'shares' || envelope === undefined) return { fault: 'malformed' };
  if (!voters.verify('shares', validator, sharesBody(message), message.signature)) return UNSIGNED;
  const share = message.shares[message.ids.indexOf(envelope.id)];
  const bad = share !== undefined && !shareMatches(voters.crypto, envelope, validator, share);
  return bad ? member(voters, validator) : NO_CONTRADICTION;
}

function doubleSequence(voters: Voters, first: Uint8Array, second: Uint8Array): Found {
  const [a, b] = [decodeSubmission(voters.crypto, first), decodeSubmission(voters.crypto, second)];
  for (const { sender, ids, signature } of [a, b]) {
    if (!verifyOrderBatch(voters.crypto, voters.committee, sender, ids, signature)) return UNSIGNED;
  }
  const [one, other] = [a.envelopes[0], b.envelopes[0]];
  const contradiction =
    one !== undefined &&
    other !== undefined &&
    a.sender === b.sender &&
    one.stream === other.stream &&
    one.sequence === other.sequence &&
    one.id !== other.id;
  return contradiction ? { culprit: a.sender } : NO_CONTRADICTION;
}
