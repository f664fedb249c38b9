/** Sending to peers that may be gone, revoked, or slow: for everything that the protocol repeats where it matters. */
import type { Logger } from '../env.js';
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import type { Messaging, Service } from '../mesh/messaging.js';

/** False when nothing was queued: the queue is full, the peer is not admitted any more, or the node is closed. */
export function trySend(messaging: Messaging, log: Logger, to: PeerId, service: Service, bytes: Uint8Array): boolean {
  try {
    return messaging.send(to, service, bytes);
  } catch (error) {
    if (!(error instanceof HopfairError)) throw error;
    log.warn('a message was not sent', { to, bytes: bytes.length, code: error.code, reason: error.message });
    return false;
  }
}
