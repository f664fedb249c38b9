/**
 * What this node holds of the messages of its peers: those that are not whole, came too early, or wait for their reader.
 * Bounded per peer and over all peers. Near the end of the common room a peer may hold no more than what is left of it, so
 * the one that holds most is refused first, and whoever holds little still gets in.
 */
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import type { Service } from './messaging.js';

export class Holdings {
  readonly #maxBytes: number;
  readonly #peers = new Map<PeerId, Holding>();
  #bytes = 0;
  /** Messages and pieces that found no room; they come again. */
  refused = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** That of one peer: it outlives the link, since the application may not have read all when the link ends. */
  of(peer: PeerId): Holding {
    return this.#peers.get(peer) ?? new Holding(this, peer);
  }

  /**
   * Room for one more of a peer that holds `held`. What a stream waits for may use all of it, everything else half: what
   * came early can always be completed.
   */
  hasRoom(held: number, bytes: number, isNext: boolean): boolean {
    const peerLimit = LIMITS.maxPeerReceiveBytes + (isNext ? LIMITS.maxApplicationMessageBytes : 0);
    const room = (isNext ? this.#maxBytes : this.#maxBytes / 2) - this.#bytes;
    const fits = held + bytes <= peerLimit && held + bytes <= room;
    if (!fits) this.refused += 1;
    return fits;
  }

  /** For a holding alone: what it has changed by. */
  note(peer: PeerId, holding: Holding, bytes: number): void {
    this.#bytes += bytes;
    if (holding.bytes > 0) this.#peers.set(peer, holding);
    else this.#peers.delete(peer);
  }
}

export class Holding {
  readonly #all: Holdings;
  readonly #peer: PeerId;
  /** By service: what was delivered and waits for its reader. */
  readonly #unread = new Map<Service, number>();
  #bytes = 0;

  constructor(all: Holdings, peer: PeerId) {
    this.#all = all;
    this.#peer = peer;
  }

  get bytes(): number {
    return this.#bytes;
  }

  unread(service: Service): number {
    return this.#unread.get(service) ?? 0;
  }

  hasRoom(bytes: number, isNext: boolean): boolean {
    return this.#all.hasRoom(this.#bytes, bytes, isNext);
  }

  add(bytes: number): void {
    this.#bytes += bytes;
    this.#all.note(this.#peer, this, bytes);
  }

  addUnread(service: Service, bytes: number): void {
    this.#unread.set(service, this.unread(service) + bytes);
    this.add(bytes);
  }

  takeUnread(service: Service, bytes: number): void {
    const left = this.unread(service) - bytes;
    if (left > 0) this.#unread.set(service, left);
    else this.#unread.delete(service);
    this.add(-bytes);
  }
}
