/** Nonces of set-ups that were taken, until those expire: a set-up counts once (overlay.md point 4). */
import { toHex } from '../bytes.js';
import type { UnixMs } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';

/** While all places are taken, looking for expired ones costs a walk over all. */
const EXPIRY_INTERVAL_MS = 1_000;

export class Nonces {
  /** Per source: when each may be forgotten. */
  readonly #bySource = new Map<PeerId, Map<string, number>>();
  #count = 0;
  #expiredAt = 0;

  get count(): number {
    return this.#count;
  }

  has(source: PeerId, nonce: Uint8Array): boolean {
    return this.#bySource.get(source)?.has(toHex(nonce)) === true;
  }

  /** False when there is no room: whoever cannot be told from a replay is refused. */
  add(source: PeerId, nonce: Uint8Array, untilUnixMs: number, now: UnixMs): boolean {
    let nonces = this.#bySource.get(source) ?? new Map<string, number>();
    if (nonces.size >= LIMITS.maxNoncesPerSource) this.#forget(source, nonces, now);
    if (this.#count >= LIMITS.maxNonces && now - this.#expiredAt >= EXPIRY_INTERVAL_MS) this.expire(now);
    if (nonces.size >= LIMITS.maxNoncesPerSource || this.#count >= LIMITS.maxNonces) return false;
    nonces = this.#bySource.get(source) ?? nonces;
    this.#bySource.set(source, nonces.set(toHex(nonce), untilUnixMs));
    this.#count += 1;
    return true;
  }

  expire(now: UnixMs): void {
    this.#expiredAt = now;
    for (const [source, nonces] of this.#bySource) this.#forget(source, nonces, now);
  }

  #forget(source: PeerId, nonces: Map<string, number>, now: UnixMs): void {
    for (const [nonce, until] of nonces) {
      if (until >= now) continue;
      nonces.delete(nonce);
      this.#count -= 1;
    }
    if (nonces.size === 0) this.#bySource.delete(source);
  }
}
