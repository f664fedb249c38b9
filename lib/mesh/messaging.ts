/**
 * What the layers above need of the mesh: end-to-end messages between peers, whatever the routes do. The node implements
 * it over real channels, the simulator over its virtual network, and the broadcast knows nothing else.
 */
import type { Cancel } from '../env.js';
import { requireArgument } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';

/** Names one consumer of messages within a peer, as ports do: at most 32 ASCII characters, e.g. `order/0`. */
export type Service = string;

/** `critical` is copied over two disjoint paths, `normal` is hedged, `bulk` yields to both. */
export type DeliveryClass = 'critical' | 'normal' | 'bulk';

export const CLASSES: readonly DeliveryClass[] = ['critical', 'normal', 'bulk'];

/**
 * How one message is delivered (overlay.md, point 17). By default it is reliable and in the order of its service.
 *
 * @example
 * node.send(peer, 'fills', bytes, { class: 'critical', paths: 2 })   // over two disjoint paths, in order
 * node.send(peer, 'marks', bytes, { ordered: false })                // once, but never behind a message that is late
 * node.send(peer, 'quotes', bytes, { ttlMs: 50 })                    // within 50 ms or not at all
 */
export interface SendOptions {
  readonly class?: DeliveryClass;
  /** The message is worthless after this long and is dropped wherever it is then. Without it, delivery is reliable. */
  readonly ttlMs?: number;
  /** `false`: reliable, but delivered as it comes, without waiting for messages before it. With `ttlMs` always so. */
  readonly ordered?: boolean;
  /**
   * Sent at once over that many paths (1 to 4) which mutually share no relay and no operator: f + 1 deliver whatever f
   * hostile operators do. With fewer such paths it goes over what there is, and the flow says `paths-short`.
   */
  readonly paths?: number;
}

const PATHS = `paths is 1 to ${LIMITS.maxPathsPerMessage}`;

/** Throws INVALID_ARGUMENT. */
export function requireSendOptions({ class: trafficClass, ttlMs, ordered, paths }: SendOptions): void {
  requireArgument(trafficClass === undefined || CLASSES.includes(trafficClass), 'class is critical, normal or bulk');
  requireArgument(ttlMs === undefined || (Number.isFinite(ttlMs) && ttlMs > 0), 'ttlMs is a positive number');
  requireArgument(ttlMs === undefined || ordered !== true, 'a message that may expire cannot be ordered');
  const isCount = paths === undefined || (Number.isInteger(paths) && paths >= 1 && paths <= LIMITS.maxPathsPerMessage);
  requireArgument(isCount, PATHS);
}

export interface Messaging {
  readonly self: PeerId;
  /**
   * Queues one message of 1 MiB at most; reliable and in order per (peer, service) unless the options say otherwise. The
   * bytes must not change afterwards. Returns false, having queued nothing, when the peer's queue is full, or this service
   * has its share of it waiting for a receiver that takes nothing: a node says `room` when there is some again.
   * Throws INVALID_ARGUMENT, INVALID_STATE, NOT_ADMITTED.
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
