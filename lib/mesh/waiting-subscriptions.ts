/** Subscriptions to topics that the publisher has not opened yet: bounded, and without a trace among its topics. */
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';

export class WaitingSubscriptions<T> {
  readonly #byPeer = new Map<PeerId, Map<string, T>>();
  #size = 0;

  /** False when this peer, or all together, wait for too many. */
  add(peer: PeerId, name: string, request: T): boolean {
    const own = this.#byPeer.get(peer) ?? new Map<string, T>();
    if (!own.has(name)) {
      if (own.size >= LIMITS.maxWaitingSubscriptionsPerPeer || this.#size >= LIMITS.maxWaitingSubscriptions)
        return false;
      this.#size += 1;
    }
    own.set(name, request);
    this.#byPeer.set(peer, own);
    return true;
  }

  /** Those who wait for this topic, who then wait no more. */
  take(name: string): readonly (readonly [PeerId, T])[] {
    const taken: (readonly [PeerId, T])[] = [];
    for (const [peer, own] of this.#byPeer) {
      const request = own.get(name);
      if (request === undefined) continue;
      taken.push([peer, request]);
      this.delete(peer, name);
    }
    return taken;
  }

  delete(peer: PeerId, name: string): boolean {
    const own = this.#byPeer.get(peer);
    if (own?.delete(name) !== true) return false;
    this.#size -= 1;
    if (own.size === 0) this.#byPeer.delete(peer);
    return true;
  }

  deletePeer(peer: PeerId): void {
    this.#size -= this.#byPeer.get(peer)?.size ?? 0;
    this.#byPeer.delete(peer);
  }
}
