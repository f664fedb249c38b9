/**
 * The mesh: nodes that forward for one another, end-to-end sessions over routes that heal, publish/subscribe. A shell
 * around lib/route: it owns channels, timers and keys, and does what the flow of each destination decides.
 *
 * It must never know what a message means, nor believe what a relay says of itself. Everything inside is synchronous and
 * takes time, randomness and transports as given, so that the simulator runs it as it is.
 */

export type { AdmissionEvidence, AdmitPeer } from './admission.js';
export { type CreateIdentityOptions, createIdentity } from './create-identity.js';
export { createNode } from './create-node.js';
export {
  type CandidateExplanation,
  explanationText,
  type PathExplanation,
  type PeerExplanation,
} from './explanation.js';
export { MeshNode } from './mesh-node.js';
export type { DeliveryClass, Messaging, SendOptions, Service } from './messaging.js';
export type { CompleteNodeOptions, NodeChannelLimits, NodeOptions } from './node-options.js';
export type * from './types.js';
