/**
 * How many copies a flow may send beyond the first: critical payloads up to a rate of bytes, everything else from tokens
 * that traffic earns (overlay.md point 10). Without the bound, hedging would never let a slow destination recover.
 */
import type { Instant } from '../env.js';
import { EarnedTokens, RateLimit } from './token-bucket.js';

/** Hedges are 5 % of traffic, with a burst of 64. */
const HEDGE_SHARE = 0.05;
const HEDGE_BURST = 64;
const CRITICAL_BYTES_PER_SECOND = 1_000_000;
const CRITICAL_BURST_BYTES = 262_144;

export class CopyBudget {
  readonly #tokens = new EarnedTokens(HEDGE_SHARE, HEDGE_BURST);
  readonly #criticalBytes = new RateLimit(CRITICAL_BYTES_PER_SECOND, CRITICAL_BURST_BYTES);

  get level(): number {
    return this.#tokens.level;
  }

  /** A payload was submitted. */
  earn(): void {
    this.#tokens.earn();
  }

  take(): boolean {
    return this.#tokens.take();
  }

  takeCritical(bytes: number, now: Instant): boolean {
    return this.#criticalBytes.take(now, bytes);
  }
}
