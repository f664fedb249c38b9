/**
 * How many set-ups one ingress may ask for, and whose they are (overlay.md point 4). Half of the burst is kept for sources
 * that asked for fewer than the average of late, so that a source with few paths gets them beside one that asks for ever
 * more. The sources are those that the set-ups name: this is asked before anything is verified, since refusing must be
 * cheap. A neighbour that invents names takes from what comes through itself.
 */
import type { Instant } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';

const BURST = LIMITS.pathSetupBurst;
const KEPT_FOR_OTHERS = BURST / 2;
/** What a source asked for counts half after so long. */
const HALF_LIFE_MS = 5_000;
/** A flood of set-ups must not be one of sums over all sources. */
const FADE_INTERVAL_MS = 100;
/** Below it a source is forgotten. */
const MIN_USE = 0.1;

export class SetupRate {
  #tokens: number = BURST;
  #filledAt: Instant;
  #fadedAt: Instant;
  /** Set-ups of late by source, older ones for less. */
  readonly #use = new Map<PeerId, number>();
  #total = 0;

  constructor(now: Instant) {
    this.#filledAt = now;
    this.#fadedAt = now;
  }

  /** Whether nothing is left for anybody: then a set-up need not even be read. */
  isExhausted(now: Instant): boolean {
    this.#fill(now);
    return this.#tokens < 1;
  }

  /** Whether this source may have one more now, which counts then. */
  take(source: PeerId, now: Instant): boolean {
    this.#fill(now);
    this.#fade(now);
    if (this.#tokens < 1) return false;
    const use = this.#use.get(source) ?? 0;
    if (this.#tokens - 1 < KEPT_FOR_OTHERS && use > 0 && use >= this.#total / this.#use.size) return false;
    this.#tokens -= 1;
    this.#use.set(source, use + 1);
    this.#total += 1;
    return true;
  }

  #fill(now: Instant): void {
    const earned = ((now - this.#filledAt) * LIMITS.pathSetupsPerSecond) / 1_000;
    this.#filledAt = now;
    this.#tokens = Math.min(BURST, this.#tokens + earned);
  }

  #fade(now: Instant): void {
    const elapsedMs = now - this.#fadedAt;
    if (elapsedMs < FADE_INTERVAL_MS) return;
    this.#fadedAt = now;
    const fading = 0.5 ** (elapsedMs / HALF_LIFE_MS);
    this.#total = 0;
    for (const [source, use] of this.#use) {
      const faded = use * fading;
      if (faded < MIN_USE) this.#use.delete(source);
      else {
        this.#use.set(source, faded);
        this.#total += faded;
      }
    }
  }
}
