/** How far behind the announcements of the publisher a forwarder is, and when it is too far (overlay.md point 19). */
const MIN_GRACE_MS = 20;
const MIN_LONGEST_GRACE_MS = 50;
/** In round trips to the publisher: whoever is slower than the longest is of no use. */
const SHORTEST_GRACE_RTTS = 2;
const LONGEST_GRACE_RTTS = 8;

export class ArrivalLag {
  #smoothedMs = 0;
  #deviationMs = 0;

  /** What was announced came this much later; 0 when it came before. */
  sample(lagMs: number): void {
    this.#deviationMs += (Math.abs(lagMs - this.#smoothedMs) - this.#deviationMs) / 4;
    this.#smoothedMs += (lagMs - this.#smoothedMs) / 8;
  }

  /** How long to wait for what was announced. */
  graceMs(rttMs: number): number {
    const usual = this.#smoothedMs + 4 * this.#deviationMs;
    const shortest = Math.max(MIN_GRACE_MS, SHORTEST_GRACE_RTTS * rttMs);
    const longest = Math.max(MIN_LONGEST_GRACE_MS, LONGEST_GRACE_RTTS * rttMs);
    return Math.min(Math.max(usual, shortest), longest);
  }
}
