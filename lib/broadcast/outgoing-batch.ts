/** Orders that left in one flush: one signature over their ids, and the messages that carry them. */
import type { Signer } from '../crypto/interface.js';
import { LIMITS } from '../limits.js';
import { encodeClientMessage } from '../order/client-messages.js';
import type { PinnedCommittee } from '../order/committee.js';
import type { Envelope } from '../order/envelope.js';
import { signOrderBatch } from '../order/sealing.js';
import { encodeSubmission, type SignedIds } from '../order/submission.js';

interface Sealed {
  readonly envelope: Envelope;
}

/** Splits orders into batches that fit into one message each; what is in one batch shares one signature. */
export function splitIntoBatches<T extends Sealed>(orders: readonly T[]): T[][] {
  const batches: T[][] = [];
  let bytes = 0;
  for (const order of orders) {
    const current = batches.at(-1);
    bytes += order.envelope.bytes.length;
    if (current === undefined || current.length === LIMITS.maxBatchOrders || bytes > LIMITS.maxAnswerBytes) {
      batches.push([order]);
      bytes = order.envelope.bytes.length;
    } else current.push(order);
  }
  return batches;
}

export function signBatch(committee: PinnedCommittee, signer: Signer, batch: readonly Sealed[]): SignedIds {
  const ids = batch.map(({ envelope }) => envelope.id);
  return { ids, signature: signOrderBatch(committee, signer, ids) };
}

/** Orders by the signature that covers them; those that have not left yet are left out. */
export function groupBySignature<T extends Sealed & { readonly signed: SignedIds | undefined }>(
  orders: readonly T[],
): ReadonlyMap<SignedIds, readonly T[]> {
  const groups = new Map<SignedIds, T[]>();
  for (const order of orders) {
    if (order.signed === undefined) continue;
    const group = groups.get(order.signed);
    if (group === undefined) groups.set(order.signed, [order]);
    else group.push(order);
  }
  return groups;
}

/** The message that brings some or all orders of one batch to a member. */
export function encodeSubmit(signed: SignedIds, orders: readonly Sealed[]): Uint8Array {
  const envelopes = orders.map(({ envelope }) => envelope);
  return encodeClientMessage({ kind: 'submit', batch: encodeSubmission(signed, envelopes) });
}
