/** Makes what the parts of one node share, of what the application chose. */
import { HandshakeGate } from '../channel/index.js';
import { KnownPeers } from '../identity/known-peers.js';
import { LIMITS } from '../limits.js';
import { Suspicion } from '../route/index.js';
import { Admission } from './admission.js';
import type { MeshContext } from './context.js';
import { Holdings } from './holdings.js';
import { nextRunEpoch, restoreEpochs } from './kept.js';
import { type CompleteNodeOptions, handshakePolicyOf } from './node-options.js';

/** Throws STORAGE_CORRUPT when the store holds what no node wrote. */
export function meshContext(options: CompleteNodeOptions): MeshContext {
  const { identity, env, crypto, networkId, membership, relay, admit, store } = options;
  const knownPeers = new KnownPeers();
  restoreEpochs(store, knownPeers);
  return {
    self: identity.peer,
    env,
    crypto,
    identity,
    networkId,
    membership,
    knownPeers,
    store,
    runEpoch: nextRunEpoch(env, store),
    gate: new HandshakeGate(env.clock, options.handshakeLimits),
    admission: new Admission(membership, knownPeers, env.clock, admit),
    suspicion: new Suspicion(),
    sessionLifetimeMs: options.sessionLifetimeMs ?? LIMITS.sessionLifetimeMs,
    maxSessions: options.maxSessions ?? LIMITS.maxSessions,
    holdings: new Holdings(options.maxReceiveBytes ?? LIMITS.maxReceiveBytes),
    relay: relay === true ? {} : relay === false ? undefined : relay,
    handshakePolicy: handshakePolicyOf(options),
  };
}
