/** Rebuilds a member from its log: each record goes where it came from. What a record led to then it leads to again. */
import type { Instant } from '../env.js';
import { HopfairError } from '../errors.js';
import type { Agreement } from './agreement.js';
import { decodeChunk } from './chunk.js';
import { decodeBlock } from './cut.js';
import type { Delivery } from './delivery.js';
import type { EvidenceBook } from './evidence-book.js';
import type { Intake } from './intake.js';
import type { Lane } from './lane.js';
import type { OrderPool } from './pool.js';
import { decodeRecord, type MemberRecord } from './records.js';
import { decodeSubmission } from './submission.js';
import type { ValidatorIndex } from './types.js';
import type { Voters } from './voters.js';

export interface ReplayParts {
  readonly pool: OrderPool;
  readonly lanes: readonly Lane[];
  readonly intake: Intake;
  readonly agreement: Agreement;
  readonly delivery: Delivery;
  readonly evidence: EvidenceBook;
}

/** @throws HopfairError STORAGE_CORRUPT when the record cannot be read. */
export function replayRecord(
  voters: Voters,
  self: ValidatorIndex,
  bytes: Uint8Array,
  parts: ReplayParts,
  now: Instant,
): void {
  try {
    replay(voters, self, decodeRecord(voters, bytes), parts, now);
  } catch (cause) {
    if (!(cause instanceof HopfairError) || cause.code !== 'DECODE_FAILED') throw cause;
    throw new HopfairError('STORAGE_CORRUPT', 'a record of the log cannot be read', { cause });
  }
}

function replay(voters: Voters, self: ValidatorIndex, record: MemberRecord, parts: ReplayParts, now: Instant): void {
  const { pool, lanes, intake, agreement, delivery, evidence } = parts;
  switch (record.kind) {
    case 'pair-key':
      pool.addPairKey(record.peer, record.secret);
      break;
    case 'orders': {
      const { ids, signature, envelopes } = decodeSubmission(voters.crypto, record.batch);
      const signed = { ids, signature };
      envelopes.forEach((envelope, i) => {
        pool.add({ envelope, signed, share: record.shares[i] });
      });
      break;
    }
    case 'chunk': {
      const chunk = decodeChunk(voters, record.bytes);
      lanes[chunk.lane]?.accept(chunk, true);
      if (chunk.lane === self) intake.chunkClosed(chunk);
      break;
    }
    case 'block':
      agreement.replayBlock(decodeBlock(voters, record.bytes), now);
      break;
    case 'vote':
      agreement.replayVote(record.vote);
      break;
    case 'certificate':
      agreement.replayCertificate(record.certificate, now);
      break;
    case 'verdicts':
      delivery.replayVerdicts(record.height, record.verdicts);
      break;
    case 'evidence':
      evidence.replay(record.bytes);
      break;
  }
}
