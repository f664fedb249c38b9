/**
 * The order core: from sealed orders of many senders to one fair log, the same at every member of a committee. It knows
 * sealing, lanes, consensus on cuts, the linearizer and proofs; all of it is a pure function of inputs, and time,
 * randomness and cryptography are handed in. It must never know sockets, disks, routes, clocks or what a payload means:
 * the shells of lib/broadcast carry its effects out. docs/order.md tells the protocol; begin with member.ts.
 */
export * from './client-messages.js';
export {
  checkCommittee,
  decodeCommittee,
  defaultParameters,
  encodeCommittee,
  PinnedCommittee,
} from './committee.js';
export { decodeEnvelope, type Envelope } from './envelope.js';
export { type Evidence, type EvidenceCheck, type EvidenceFault, encodeEvidence, verifyEvidence } from './evidence.js';
export {
  decodeFairnessReceipt,
  type FairnessReceipt,
  type ReceiptCheck,
  type ReceiptFault,
  verifyFairnessReceipt,
} from './fairness-receipt.js';
export { Linearizer } from './linearizer.js';
export type { EmittedBatch, FactsOf, FinalCut, GoneOrder, Listing, Selection } from './linearizer-io.js';
export { Member } from './member.js';
export * from './member-io.js';
export { Observer, type ObserverEffect, type ObserverInput, type ObserverOptions } from './observer.js';
export { Opener, type OpeningStep, type Verdict } from './opening.js';
export { decodePromise, encodePromise, type SignedPromise, verifyPromise } from './promise.js';
export {
  type OrderDraft,
  type PairKey,
  pairKeyFrom,
  plainOrder,
  sealingRandomnessBytes,
  sealOrder,
  signOrderBatch,
} from './sealing.js';
export { type CutRules, Simplex, type SimplexEffect, type SimplexInput, type SimplexOptions } from './simplex.js';
export { encodeSubmission, type SignedIds } from './submission.js';
export { explainTolerance, toleranceOf } from './tolerance.js';
export type * from './types.js';
