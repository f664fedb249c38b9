/**
 * When a real message is copied onto a path only to measure it (overlay.md point 13): at Poisson times, so that a relay
 * cannot know them, and at the rate that copies 1.5 % of messages.
 */
import { after, type Instant } from '../env.js';

const SHARE = 0.015;
/** Weight of the newest interval in the usual one. */
const WEIGHT = 1 / 64;
/** A pause says nothing about the rate of what is sent when something is sent. */
const MAX_INTERVAL_MS = 10_000;

export class Exploration {
  readonly #random: () => number;
  #intervalMs: number | undefined;
  #lastAt: Instant | undefined;
  #nextAt: Instant | undefined;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** A message is sent; true when it is one to be copied. */
  isDue(now: Instant): boolean {
    if (this.#lastAt !== undefined) {
      const interval = Math.min(now - this.#lastAt, MAX_INTERVAL_MS);
      this.#intervalMs =
        this.#intervalMs === undefined ? interval : this.#intervalMs + WEIGHT * (interval - this.#intervalMs);
    }
    this.#lastAt = now;
    if (this.#intervalMs === undefined) return false;
    const due = this.#nextAt !== undefined && now >= this.#nextAt;
    if (due || this.#nextAt === undefined) {
      // From now, not from when it was due: a pause is not made good by a burst of copies.
      this.#nextAt = after(now, (-Math.log(1 - this.#random()) * this.#intervalMs) / SHARE);
    }
    return due;
  }
}
