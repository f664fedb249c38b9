/**
 * How long a path is barred from voluntary use after it failed: 2 s, doubling up to 10 min, spread by 25 % so that flows
 * do not return in step. A relay that behaves on and off pays twice as much each time; good time pays back one step a
 * minute (overlay.md point 12). Keyed by route, so that a path that is set up again does not come back innocent.
 */
import type { Instant } from '../env.js';
import { after } from '../env.js';

const BASE_MS = 2_000;
const MAX_MS = 600_000;
const FORGIVE_MS = 60_000;
const SPREAD = 0.25;
const MAX_ROUTES = 256;

interface Sentence {
  strikes: number;
  until: Instant;
}

export class Quarantine {
  readonly #sentences = new Map<string, Sentence>();
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Bars the route and returns for how long, in ms. */
  impose(route: string, now: Instant): number {
    const previous = this.#sentences.get(route);
    const forgiven = previous ? Math.max(0, Math.floor((now - previous.until) / FORGIVE_MS)) : 0;
    const strikes = previous ? Math.max(0, previous.strikes - forgiven) + 1 : 1;
    const spread = 1 + SPREAD * (2 * this.#random() - 1);
    const lengthMs = Math.min(BASE_MS * 2 ** (strikes - 1), MAX_MS) * spread;
    this.#sentences.delete(route); // reinserted as the youngest
    this.#sentences.set(route, { strikes, until: after(now, lengthMs) });
    if (this.#sentences.size > MAX_ROUTES) {
      const oldest = this.#sentences.keys().next();
      if (!oldest.done) this.#sentences.delete(oldest.value);
    }
    return lengthMs;
  }

  bars(route: string, now: Instant): boolean {
    return this.remainingMs(route, now) > 0;
  }

  /** For how long the route is still barred; 0 when it is not. */
  remainingMs(route: string, now: Instant): number {
    const sentence = this.#sentences.get(route);
    return sentence === undefined ? 0 : Math.max(0, sentence.until - now);
  }
}
