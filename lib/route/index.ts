/**
 * Routes as decisions, pure: estimators of paths, receipts, the link-state database, candidate paths, and the flow to one
 * destination, which chooses, hedges, races and switches, and explains each time why.
 *
 * It knows peers by name, packet numbers and instants. It must never know keys, sockets, timers or what a payload says;
 * time and randomness are handed to it.
 */

export { type Candidate, type CandidateOptions, candidatePaths } from './candidates.js';
export {
  type Alternative,
  describeRoute,
  describeSuspect,
  explain,
  type Route,
  type RouteEvent,
  type RouteTrigger,
} from './explain.js';
export { Flow } from './flow.js';
export type { FlowOptions } from './flow-core.js';
export { type FlowEffect, type FlowInput, type FlowPathInfo, MAX_PATHS, type TrafficClass } from './flow-types.js';
export {
  type HeldLinkState,
  isMaterial,
  isNewer,
  LinkStateDatabase,
  type LinkStateDatabaseOptions,
  type Neighbour,
  type VerifiedLinkState,
  verifiedLinkState,
} from './link-state.js';
export type { LossWindow } from './loss.js';
export { RoutePlanner } from './planner.js';
export { Quarantine } from './quarantine.js';
export { MAX_RECEIPT_RANGES, type PacketRange, ReceiptRanges, ReplayWindow } from './ranges.js';
export { MAX_RECEIPT_DELAY_MS } from './rtt.js';
export { type Suspect, Suspicion } from './suspicion.js';
export { RateLimit } from './token-bucket.js';
