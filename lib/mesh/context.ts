/** What the parts of one node share. */
import type { HandshakeGate } from '../channel/index.js';
import type { HandshakePolicy } from '../channel/types.js';
import type { CryptoProvider } from '../crypto/interface.js';
import type { Env } from '../env.js';
import type { Identity } from '../identity/identity.js';
import type { KnownPeers } from '../identity/known-peers.js';
import type { Membership } from '../identity/membership.js';
import type { PeerId } from '../identity/peer-id.js';
import type { Suspicion } from '../route/index.js';
import type { NodeStore } from '../store.js';
import type { Admission } from './admission.js';
import type { Holdings } from './holdings.js';
import type { RelayOptions } from './types.js';

export interface MeshContext {
  readonly self: PeerId;
  readonly env: Env;
  readonly crypto: CryptoProvider;
  readonly identity: Identity;
  readonly networkId: string;
  readonly membership: Membership;
  /** Whoever proved who it is, in a channel or a session, is let in by this alone. */
  readonly admission: Admission;
  readonly knownPeers: KnownPeers;
  /** Undefined when nothing of this node outlives its process. */
  readonly store: NodeStore | undefined;
  /** Of what this run signs as newest: above that of every earlier run, with a store even when the clock went back. */
  readonly runEpoch: number;
  /** About relays and links, from the flows of this node to all of its peers. */
  readonly suspicion: Suspicion;
  /** What others' handshakes may cost, of channels and of sessions. */
  readonly gate: HandshakeGate;
  readonly sessionLifetimeMs: number;
  readonly maxSessions: number;
  /** What is kept of messages of all peers. */
  readonly holdings: Holdings;
  /** Undefined when this node does not forward. */
  readonly relay: RelayOptions | undefined;
  /** For channels and sessions; read anew for each, since certificates and evidence are renewed. */
  readonly handshakePolicy: () => HandshakePolicy;
}

/** What spreading lists of edges needs of it. */
export type FloodContext = Pick<
  MeshContext,
  'self' | 'env' | 'crypto' | 'identity' | 'networkId' | 'membership' | 'relay' | 'store'
>;

/** What publish/subscribe needs of it. */
export type PubSubContext = Pick<
  MeshContext,
  'self' | 'env' | 'crypto' | 'identity' | 'networkId' | 'membership' | 'runEpoch'
>;
