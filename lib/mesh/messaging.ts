/**
 * What the layers above need of the mesh: end-to-end messages between peers, whatever the routes do. The node implements
 * it over real channels, the simulator over its virtual network, and the broadcast knows nothing else.
 */
import type { Cancel } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';

/** Names one consumer of messages within a peer, as ports do: at most 32 ASCII characters, e.g. `order/0`. */
export type Service = string;

/** `critical` is copied over two disjoint paths, `normal` is hedged, `bulk` yields to both. */
export type DeliveryClass = 'critical' | 'normal' | 'bulk';

export interface SendOptions {
  readonly class?: DeliveryClass;
  /** The message is worthless after this long and is dropped wherever it is then. Without it, delivery is reliable. */
  readonly ttlMs?: number;
}

export interface Messaging {
  readonly self: PeerId;
  /**
   * Queues one message; reliable and in order per (peer, service) unless `ttlMs` is set. The bytes must not change
   * afterwards. Returns false, having queued nothing, when the peer's queue is full: wait for `onPeer` or a timer.
   */
  send(to: PeerId, service: Service, bytes: Uint8Array, options?: SendOptions): boolean;
  /** Receives every message for `service`, exactly once each. One server per service. */
  serve(service: Service, handler: (from: PeerId, bytes: Uint8Array) => void): Cancel;
  /** Tells when a session with a peer comes up or is gone for good (messages not receipted by then may be lost). */
  onPeer(handler: (peer: PeerId, state: 'up' | 'down') => void): Cancel;
  /**
   * `length` secret bytes that only the two ends of the present session can derive (exporter of channel.md), the same
   * at both for the same label; undefined while there is no session.
   */
  exportSecret(peer: PeerId, label: string, length: number): Uint8Array | undefined;
}
