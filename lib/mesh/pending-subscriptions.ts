/** Subscriptions that wait for something, by peer and topic: bounded, so that no peer takes the places of others. */
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';

export class PendingSubscriptions<T> {
  readonly #byPeer = new Map<PeerId, Map<string, T>>();
  #size = 0;

  /** False when this peer, or all together, wait for too many. */
  set(peer: PeerId, name: string, value: T): boolean {
    const own = this.#byPeer.get(peer) ?? new Map<string, T>();
    if (!own.has(name)) {
      if (!this.hasRoomFor(peer)) return false;
      this.#size += 1;
    }
    own.set(name, value);
    this.#byPeer.set(peer, own);
    return true;
  }

  hasRoomFor(peer: PeerId): boolean {
    const own = this.#byPeer.get(peer)?.size ?? 0;
    return own < LIMITS.maxPendingSubscriptionsPerPeer && this.#size < LIMITS.maxPendingSubscriptions;
  }

  get(peer: PeerId, name: string): T | undefined {
    return this.#byPeer.get(peer)?.get(name);
  }

  /** Those who wait for this topic, who then wait no more. */
  take(name: string): readonly (readonly [PeerId, T])[] {
    const taken: (readonly [PeerId, T])[] = [];
    for (const [peer, own] of this.#byPeer) {
      const value = own.get(name);
      if (value === undefined) continue;
      taken.push([peer, value]);
      this.delete(peer, name);
    }
    return taken;
  }

  /** Returns what waited. */
  delete(peer: PeerId, name: string): T | undefined {
    const own = this.#byPeer.get(peer);
    const value = own?.get(name);
    if (own?.delete(name) !== true) return undefined;
    this.#size -= 1;
    if (own.size === 0) this.#byPeer.delete(peer);
    return value;
  }

  /** Returns what waited for this peer. */
  deletePeer(peer: PeerId): readonly T[] {
    const own = [...(this.#byPeer.get(peer)?.values() ?? [])];
    this.#size -= own.length;
    this.#byPeer.delete(peer);
    return own;
  }

  clear(): readonly T[] {
    return [...this.#byPeer.keys()].flatMap(peer => this.deletePeer(peer));
  }
}
