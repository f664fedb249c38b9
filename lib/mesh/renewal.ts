/** When the keys of a session are to come from a new Diffie-Hellman exchange (channel.md, "A fresh DH"). */
import { after, type Instant } from '../env.js';
import type { SecureSession } from './secure-session.js';

/**
 * Shares of the lifetime: the side that began the session begins the next one, and the other when that does not happen.
 * Both are spread, so that sessions that were begun at once are not renewed at once.
 */
const FIRST_TRY = { initiator: 0.8, responder: 0.9 };
const SPREAD = 0.1;

export class Renewal {
  readonly #lifetimeMs: number;
  readonly #random: () => number;
  #dueAt: Instant | undefined;
  #endsAt: Instant | undefined;

  /** `random` is uniform in [0, 1). */
  constructor(lifetimeMs: number, random: () => number) {
    this.#lifetimeMs = lifetimeMs;
    this.#random = random;
  }

  onSession({ role, since }: Pick<SecureSession, 'role' | 'since'>): void {
    this.#dueAt = after(since, this.#lifetimeMs * (FIRST_TRY[role] + SPREAD * this.#random()));
    this.#endsAt = after(since, this.#lifetimeMs);
  }

  /** A new session should be set up beside this one. */
  isDue(now: Instant): boolean {
    return this.#dueAt !== undefined && now >= this.#dueAt;
  }

  /** No new one came about: this one ends all the same, and its streams wait for the next. */
  isOverdue(now: Instant): boolean {
    return this.#endsAt !== undefined && now >= this.#endsAt;
  }
}
