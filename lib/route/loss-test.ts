/**
 * A sequential test for loss (overlay.md point 8): a CUSUM over the outcomes of single packets, with the log-likelihood
 * ratio of a loss of 1 % against one of 0.2 %. It has no window that a relay could wait out: good packets pay a loss back
 * only at about 1 in 200, so what counts is the average, whatever the rhythm.
 */

const HONEST_SHARE = 0.002;
const HOSTILE_SHARE = 0.01;
const LOST_SCORE: number = Math.log(HOSTILE_SHARE / HONEST_SHARE);
const ARRIVED_SCORE: number = Math.log((1 - HOSTILE_SHARE) / (1 - HONEST_SHARE));
/** Eight losses in close succession; at 0.1 % of independent loss once in more than 10^8 packets. */
export const ALARM_SCORE = 12;
/** A loss of everything must not take hours of good behaviour to live down. */
const MAX_SCORE: number = 2 * ALARM_SCORE;

export class LossTest {
  #score = 0;
  #lastLostSentAtMs = Number.NEGATIVE_INFINITY;

  get alarmed(): boolean {
    return this.#score >= ALARM_SCORE;
  }

  get score(): number {
    return this.#score;
  }

  arrived(): void {
    if (this.#score > 0) this.#score = Math.max(0, this.#score + ARRIVED_SCORE);
  }

  /** Packets that were sent within `togetherMs` of each other and are lost are one event: a hiccup takes neighbours. */
  lost(sentAtMs: number, togetherMs: number): void {
    if (sentAtMs - this.#lastLostSentAtMs < togetherMs) return;
    this.#lastLostSentAtMs = sentAtMs;
    this.#score = Math.min(MAX_SCORE, this.#score + LOST_SCORE);
  }

  reset(): void {
    this.#score = 0;
  }

  /** It was punished for what it did so far; the next time half as much is enough. */
  paroled(): void {
    this.#score = Math.min(this.#score, ALARM_SCORE / 2);
  }
}
