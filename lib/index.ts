/**
 * What an application imports: identities and who is admitted, the node, the broadcast, errors and limits. Transports
 * come from `hopfair/transports/…`, channels alone from `hopfair/channel`, the order core from `hopfair/order`, the
 * simulator from `hopfair/sim`.
 */
export {
  type EntriesOptions,
  type JoinOptions,
  joinBroadcast,
  type LogPosition,
  type OrderReceipt,
  type Orders,
  type OrdersEvents,
  type ReceiptStage,
  type SubmitOptions,
} from './broadcast/index.js';
export { powerOfTwoBuckets } from './channel/index.js';
export { defaultCrypto, reproducibleCrypto } from './crypto/index.js';
export type { CryptoProvider } from './crypto/interface.js';
export type { Env, Instant, Logger, UnixMs } from './env.js';
export { type NodeEnvOptions, nodeEnv } from './env-node.js';
export { systemEnv } from './env-system.js';
export { ERROR_CODES, type ErrorCode, HopfairError } from './errors.js';
export {
  AllowList,
  createIdentitySeeds,
  Identity,
  type IdentitySeeds,
  type Membership,
  openMembership,
  type PeerId,
  type PeerLabels,
  parsePeerId,
  parseRosterTrust,
  publicKeyOf,
  type Roster,
  type RosterChange,
  RosterMembership,
  type RosterMembershipOptions,
  type RosterTrust,
} from './identity/index.js';
export { LIMITS } from './limits.js';
export {
  type AdmissionEvidence,
  type AdmitPeer,
  type ConnectionEvent,
  type ConnectionSnapshot,
  type ConnectionState,
  createIdentity,
  createNode,
  type DeliveryClass,
  type DrainOptions,
  explanationText,
  type Messaging,
  type Node,
  type NodeOptions,
  type PeerEvent,
  type PeerExplanation,
  type Publication,
  type RefusedEvent,
  type RosterEvent,
  type RouteSnapshot,
  type Session,
} from './mesh/index.js';
export {
  type Batch,
  type Committee,
  checkCommittee,
  decodeCommittee,
  defaultParameters,
  type Entry,
  encodeCommittee,
  verifyEvidence,
  verifyFairnessReceipt,
  verifyPromise,
} from './order/index.js';
export { explain, type RouteEvent } from './route/index.js';
export type { LogStore, OpenedLog } from './storage/interface.js';
export type { NodeStore } from './store.js';
export type { Connection, Transport } from './transport.js';
export { decodePayload, encodePayload, type PayloadValue } from './wire/index.js';
