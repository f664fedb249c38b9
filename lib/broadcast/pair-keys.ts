/** The keys under which this client seals shares: one for each validator, exported from the newest session with it. */
import type { CryptoProvider } from '../crypto/interface.js';
import type { Instant, Rng } from '../env.js';
import { type PairKey, pairKeyFrom } from '../order/sealing.js';
import type { Tolerance, ValidatorIndex } from '../order/types.js';

export class PairKeys {
  readonly #crypto: CryptoProvider;
  readonly #tolerance: Tolerance;
  readonly #patienceMs: number;
  readonly #keys = new Map<ValidatorIndex, PairKey>();
  #quorumSince: Instant | undefined;

  /** With keys of n-f validators and none of the rest for `patienceMs`, orders are sealed without the rest. */
  constructor(crypto: CryptoProvider, tolerance: Tolerance, patienceMs: number) {
    this.#crypto = crypto;
    this.#tolerance = tolerance;
    this.#patienceMs = patienceMs;
  }

  /** Replaces the key of a validator: both ends certainly hold the one of their present session. */
  set(validator: ValidatorIndex, secret: Uint8Array, now: Instant): void {
    this.#keys.set(validator, pairKeyFrom(this.#crypto, secret));
    if (this.#keys.size >= this.#tolerance.n - this.#tolerance.f) this.#quorumSince ??= now;
  }

  /** How long to wait before orders may be sealed: 0 is now, undefined until more validators are met. */
  waitMs(now: Instant): number | undefined {
    if (this.#keys.size === this.#tolerance.n) return 0;
    return this.#quorumSince === undefined ? undefined : Math.max(0, this.#quorumSince + this.#patienceMs - now);
  }

  /**
   * One key by validator. A validator that was never met gets a key that nobody has: it cannot open its share, and
   * does not list the order, which the n-f others can do without it.
   */
  forSealing(rng: Rng): readonly PairKey[] {
    return Array.from({ length: this.#tolerance.n }, (_, validator) => {
      return this.#keys.get(validator) ?? pairKeyFrom(this.#crypto, rng.bytes(32));
    });
  }

  destroy(): void {
    for (const { key } of this.#keys.values()) key.fill(0);
    this.#keys.clear();
  }
}
