/** Whether the peer still lives: something must be heard of it, and it must take what waits for it. */
import type { Instant } from '../env.js';
import type { ChannelLimits } from './types.js';

type LivenessLimits = Pick<
  ChannelLimits,
  'pingIntervalMs' | 'deadPeerTimeoutMs' | 'stallTimeoutMs' | 'throttledPeerTimeoutMs'
>;

export class LivenessWatch {
  readonly #pingIntervalMs: number;
  readonly #deadPeerTimeoutMs: number;
  readonly #stallTimeoutMs: number;
  #heardAt: Instant;
  #starvedSince: Instant | undefined;

  /** A peer that declared throttled timers is given more time for everything. */
  constructor(limits: LivenessLimits, isThrottled: boolean, now: Instant) {
    const leastMs = isThrottled ? limits.throttledPeerTimeoutMs : 0;
    this.#pingIntervalMs = limits.pingIntervalMs;
    this.#deadPeerTimeoutMs = Math.max(limits.deadPeerTimeoutMs, leastMs);
    this.#stallTimeoutMs = Math.max(limits.stallTimeoutMs, leastMs);
    this.#heardAt = now;
  }

  onHeard(now: Instant): void {
    this.#heardAt = now;
  }

  /**
   * `isStarved`: messages wait for credit that the peer does not grant. A peer that answers every ask but never takes
   * anything is as dead as a silent one, only later.
   */
  check(now: Instant, isStarved: boolean): 'alive' | 'silent' | 'dead' {
    if (!isStarved) this.#starvedSince = undefined;
    else this.#starvedSince ??= now;
    if (now - this.#heardAt >= this.#deadPeerTimeoutMs) return 'dead';
    if (this.#starvedSince !== undefined && now - this.#starvedSince >= this.#stallTimeoutMs) return 'dead';
    return now - this.#heardAt >= this.#pingIntervalMs ? 'silent' : 'alive';
  }
}
