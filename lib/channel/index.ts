/**
 * Authenticated, encrypted, flow-controlled channels over the connections of any transport: handshake driver, records,
 * priorities, credit, liveness and the authenticated end. A shell: it has time and randomness from an Env only.
 * The handshake driver serves end-to-end sessions too, whose messages travel in path set-up.
 * This room must never know a route, a topic or an order, nor which transport is below.
 */
export { HandshakeGate, type HandshakeGateOptions, type HandshakeGateStats, type HandshakeTicket } from './gate.js';
export { HandshakeDriver } from './handshake.js';
export { requireRefreshInterval } from './key-refresh.js';
export { powerOfTwoBuckets, requireLengthBuckets } from './length-buckets.js';
export { openChannel } from './open.js';
export type {
  Admit,
  Channel,
  ChannelEvents,
  ChannelHandler,
  ChannelLimits,
  ChannelOptions,
  ChannelSendOptions,
  ChannelStats,
  HandshakeOptions,
  HandshakePolicy,
  HandshakeResult,
  HandshakeStep,
  LocalIdentity,
  PeerEvidence,
  PostQuantumPolicy,
  Priority,
  Role,
} from './types.js';
