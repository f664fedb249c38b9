/**
 * Who a peer is: its id, its key pair, the certificate of its static key, what signatures cover, and who is a member of
 * the network. Pure: time and random bytes are inputs, cryptography comes in as a `CryptoProvider`.
 * It must never know a connection, a route or an order: the rooms above decide what an identity may do.
 */
export { type Certificate, type CertificateClaims, issueCertificate, verifyCertificate } from './certificate.js';
export { createIdentitySeeds, Identity, type IdentityOptions, type IdentitySeeds } from './identity.js';
export { KnownPeers, type SeenEpoch } from './known-peers.js';
export { AllowList, type AllowListEntry, type Membership, openMembership, type PeerLabels } from './membership.js';
export { type PeerId, parsePeerId, peerIdOf, publicKeyOf } from './peer-id.js';
export {
  assembleRotation,
  decodeRotation,
  decodeRotationBody,
  encodeRotationBody,
  type RootKeys,
  type RootRotation,
  type RootSignature,
  signRotationBody,
} from './root-keys.js';
export {
  assembleRoster,
  decodeRoster,
  decodeRosterBody,
  type EdgeFloor,
  encodeRosterBody,
  type Roster,
  type RosterMember,
  type RosterTrust,
  signRosterBody,
  type TopicAlias,
  verifyRoster,
} from './roster.js';
export { type RosterChange, RosterMembership, type RosterMembershipOptions } from './roster-membership.js';
export { parseRosterTrust } from './roster-trust.js';
export { type SignatureContext, type SignatureKind, signingBytes, verifySignature } from './signing.js';
