/** The records of a member's log: order.md section 6. They are replayed in order at a restart. */
import { fromHex, Reader, toHex, Writer } from '../bytes.js';
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import { readMany } from './messages.js';
import type { Verdict } from './opening.js';
import type { OrderId, VoidReason } from './types.js';
import { type Certificate, readCertificate, readVote, type Vote, writeCertificate, writeVote } from './vote.js';
import type { Voters } from './voters.js';

export type MemberRecord =
  /** "First use of a pair key." */
  | { readonly kind: 'pair-key'; readonly peer: PeerId; readonly secret: Uint8Array }
  /** An encoded submission, and this member's own share of each of its envelopes. */
  | { readonly kind: 'orders'; readonly batch: Uint8Array; readonly shares: readonly (Uint8Array | undefined)[] }
  /** Of any lane; of the member's own: "before sending a lane chunk, an inclusion promise". */
  | { readonly kind: 'chunk'; readonly bytes: Uint8Array }
  /** Of any leader; of the member's own: "the proposal: it is a vote". */
  | { readonly kind: 'block'; readonly bytes: Uint8Array }
  /** The member's own. */
  | { readonly kind: 'vote'; readonly vote: Vote }
  | { readonly kind: 'certificate'; readonly certificate: Certificate }
  /** How every order of a batch came out, ascending by id: index, root and watermarks follow from it. */
  | { readonly kind: 'verdicts'; readonly height: number; readonly verdicts: ReadonlyMap<OrderId, Verdict> }
  | { readonly kind: 'evidence'; readonly bytes: Uint8Array };

const KINDS: readonly MemberRecord['kind'][] = [
  'pair-key',
  'orders',
  'chunk',
  'block',
  'vote',
  'certificate',
  'verdicts',
  'evidence',
];
const VOID_REASONS: readonly VoidReason[] = ['commitment', 'cipher', 'padding', 'class'];

export function encodeRecord(record: MemberRecord): Uint8Array {
  const w = new Writer().u8(KINDS.indexOf(record.kind));
  switch (record.kind) {
    case 'pair-key':
      return w.text(record.peer).raw(record.secret).finish();
    case 'orders':
      w.bytes32(record.batch).u16(record.shares.length);
      for (const share of record.shares) writeOptional(w, share);
      return w.finish();
    case 'vote':
      return writeVote(w, record.vote).finish();
    case 'certificate':
      return writeCertificate(w, record.certificate).finish();
    case 'verdicts':
      w.u64(record.height).u32(record.verdicts.size);
      for (const [id, verdict] of record.verdicts) writeVerdict(w.raw(fromHex(id)), verdict);
      return w.finish();
    case 'chunk':
    case 'block':
    case 'evidence':
      return w.raw(record.bytes).finish();
  }
}

/** Throws DECODE_FAILED: the log is of another version, or damaged in a way that its checksums did not find. */
export function decodeRecord(voters: Voters, bytes: Uint8Array): MemberRecord {
  const r = new Reader(bytes);
  const record = readRecord(voters, r, KINDS[r.u8()]);
  r.end();
  return record;
}

function readRecord(voters: Voters, r: Reader, kind: MemberRecord['kind'] | undefined): MemberRecord {
  switch (kind) {
    case 'pair-key':
      return { kind, peer: r.text(LIMITS.maxPeerIdBytes) as PeerId, secret: r.raw(32).slice() };
    case 'orders': {
      const batch = r.bytes32(LIMITS.maxLogRecordBytes);
      return { kind, batch, shares: readMany(r.count16(LIMITS.maxBatchOrders), () => readOptional(r)) };
    }
    case 'vote':
      return { kind, vote: readVote(voters, r) };
    case 'certificate':
      return { kind, certificate: readCertificate(voters, r) };
    case 'verdicts': {
      const height = r.u64();
      const verdicts = new Map<OrderId, Verdict>();
      for (let left = r.u32(); left > 0; left--) verdicts.set(toHex(r.raw(32)) as OrderId, readVerdict(r));
      return { kind, height, verdicts };
    }
    case 'chunk':
    case 'block':
    case 'evidence':
      return { kind, bytes: r.rest() };
    case undefined:
      throw new HopfairError('DECODE_FAILED', 'unknown kind of record');
  }
}

function writeVerdict(w: Writer, { secret, opening }: Verdict): void {
  writeOptional(w, secret);
  if (opening.kind === 'opened') w.u8(0).bytes32(opening.payload);
  else w.u8(1 + VOID_REASONS.indexOf(opening.reason));
}

function readVerdict(r: Reader): Verdict {
  const secret = readOptional(r);
  const verdict = r.u8();
  if (verdict === 0) return { secret, opening: { kind: 'opened', payload: r.bytes32(LIMITS.maxPayloadBytes) } };
  const reason = VOID_REASONS[verdict - 1];
  if (reason === undefined) throw new HopfairError('DECODE_FAILED', 'unknown verdict');
  return { secret, opening: { kind: 'void', reason } };
}

/** 32 bytes, or none. */
function writeOptional(w: Writer, bytes: Uint8Array | undefined): void {
  if (bytes === undefined) w.u8(0);
  else w.u8(1).raw(bytes);
}

function readOptional(r: Reader): Uint8Array | undefined {
  const there = r.u8();
  if (there > 1) throw new HopfairError('DECODE_FAILED', 'something is there or not');
  return there === 1 ? r.raw(32) : undefined;
}
