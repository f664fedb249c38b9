/** Whether the peer still lives: something must be heard of it, and it must take what waits for it. */
import type { Instant } from '../env.js';
import type { ChannelLimits } from './types.js';

type LivenessLimits = Pick<ChannelLimits, 'pingIntervalMs' | 'deadPeerTimeoutMs' | 'stallTimeoutMs'>;

export class LivenessWatch {
  readonly #limits: LivenessLimits;
  #heardAt: Instant;
  #starvedSince: Instant | undefined;

  constructor(limits: LivenessLimits, now: Instant) {
    this.#limits = limits;
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
    const { pingIntervalMs, deadPeerTimeoutMs, stallTimeoutMs } = this.#limits;
    if (now - this.#heardAt >= deadPeerTimeoutMs) return 'dead';
    if (this.#starvedSince !== undefined && now - this.#starvedSince >= stallTimeoutMs) return 'dead';
    return now - this.#heardAt >= pingIntervalMs ? 'silent' : 'alive';
  }
}
