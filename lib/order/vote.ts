/** Votes, and the certificates that q of them make: order.md section 3. */
import { fromHex, Reader, toHex, Writer } from '../bytes.js';
import type { Signer } from '../crypto/interface.js';
import { HopfairError } from '../errors.js';
import { NO_HASH } from './chunk.js';
import type { HashHex, ValidatorIndex } from './types.js';
import type { Voters } from './voters.js';

export const VOTE_KINDS = ['notarize', 'nullify', 'finalize'] as const;
export type VoteKind = (typeof VOTE_KINDS)[number];

/** What is voted on. A nullification names no block: its hash is NO_HASH. */
export interface Ballot {
  readonly kind: VoteKind;
  readonly view: number;
  readonly block: HashHex;
}

export interface Vote extends Ballot {
  readonly voter: ValidatorIndex;
  readonly signature: Uint8Array;
}

export interface Signature {
  readonly voter: ValidatorIndex;
  readonly signature: Uint8Array;
}

/** q signatures of different voters on one ballot, ascending by voter. */
export interface Certificate extends Ballot {
  readonly signatures: readonly Signature[];
}

/** The bytes that a vote signs, under the signature kind of the same name. */
export function ballotBody({ kind, view, block }: Ballot): Uint8Array {
  const w = new Writer(40).u64(view);
  return (kind === 'nullify' ? w : w.raw(fromHex(block))).finish();
}

export function castVote(voters: Voters, signer: Signer, voter: ValidatorIndex, ballot: Ballot): Vote {
  return { ...ballot, voter, signature: voters.sign(signer, ballot.kind, ballotBody(ballot)) };
}

export function voteSigned(voters: Voters, vote: Vote): boolean {
  return voters.verify(vote.kind, vote.voter, ballotBody(vote), vote.signature);
}

function writeBallot(w: Writer, ballot: Ballot): Writer {
  return w.u8(VOTE_KINDS.indexOf(ballot.kind)).raw(ballotBody(ballot));
}

function readBallot(r: Reader): Ballot {
  const kind = VOTE_KINDS[r.u8()];
  if (kind === undefined) throw new HopfairError('DECODE_FAILED', 'unknown kind of vote');
  const view = r.u64();
  if (view === 0) throw new HopfairError('DECODE_FAILED', 'views begin at 1');
  return { kind, view, block: kind === 'nullify' ? NO_HASH : (toHex(r.raw(32)) as HashHex) };
}

export function writeVote(w: Writer, vote: Vote): Writer {
  return writeBallot(w, vote).u8(vote.voter).raw(vote.signature);
}

export function readVote(voters: Voters, r: Reader): Vote {
  const ballot = readBallot(r);
  return { ...ballot, ...readSignature(voters, r) };
}

function readSignature(voters: Voters, r: Reader): Signature {
  const voter = r.u8();
  if (voter >= voters.n) throw new HopfairError('DECODE_FAILED', `voter ${voter} of ${voters.n}`);
  return { voter, signature: r.raw(64) };
}

export function writeCertificate(w: Writer, certificate: Certificate): Writer {
  writeBallot(w, certificate).u8(certificate.signatures.length);
  for (const { voter, signature } of certificate.signatures) w.u8(voter).raw(signature);
  return w;
}

/** Reads a certificate of q or more different voters; the signatures are not checked here. Throws DECODE_FAILED. */
export function readCertificate(voters: Voters, r: Reader): Certificate {
  const ballot = readBallot(r);
  const count = r.u8();
  if (count < voters.q || count > voters.n) throw new HopfairError('DECODE_FAILED', `${count} is no quorum`);
  const signatures: Signature[] = [];
  for (let i = 0; i < count; i++) {
    const signature = readSignature(voters, r);
    const previous = signatures[i - 1];
    if (previous !== undefined && previous.voter >= signature.voter) {
      throw new HopfairError('DECODE_FAILED', 'voters of a certificate ascend');
    }
    signatures.push(signature);
  }
  return { ...ballot, signatures };
}

/** Checks every signature of a certificate, except those that `known` vouches for. */
export function certificateSigned(
  voters: Voters,
  certificate: Certificate,
  known: (vote: Vote) => boolean = () => false,
): boolean {
  const body = ballotBody(certificate);
  return certificate.signatures.every(({ voter, signature }) => {
    if (known({ ...certificate, voter, signature })) return true;
    return voters.verify(certificate.kind, voter, body, signature);
  });
}

/** A vote as a file or record of its own. */
export function encodeVote(vote: Vote): Uint8Array {
  return writeVote(new Writer(128), vote).finish();
}

export function decodeVote(voters: Voters, bytes: Uint8Array): Vote {
  const r = new Reader(bytes);
  const vote = readVote(voters, r);
  r.end();
  return vote;
}
