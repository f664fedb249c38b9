/**
 * Round-trip time of one path (RFC 9002 section 5) and its probe time-out, and a CUSUM that notices when it rises.
 */

/** What a receiver may dwell on a receipt (overlay.md point 6). */
export const MAX_RECEIPT_DELAY_MS = 5;
const MIN_VARIANCE_TERM_MS = 2;

export class RttEstimator {
  #smoothedMs: number;
  #varianceMs: number;
  #minMs: number;
  #latestMs: number;
  #samples = 0;

  /** `hintMs` stands in until the first sample, e.g. the time that the path set-up took. */
  constructor(hintMs: number) {
    this.#smoothedMs = hintMs;
    this.#varianceMs = hintMs / 2;
    this.#minMs = hintMs;
    this.#latestMs = hintMs;
  }

  get smoothedMs(): number {
    return this.#smoothedMs;
  }

  get varianceMs(): number {
    return this.#varianceMs;
  }

  get minMs(): number {
    return this.#minMs;
  }

  get latestMs(): number {
    return this.#latestMs;
  }

  get samples(): number {
    return this.#samples;
  }

  /** SRTT + max(4 RTTVAR, 2 ms) + the longest delay of a receipt. */
  get ptoMs(): number {
    return this.#smoothedMs + Math.max(4 * this.#varianceMs, MIN_VARIANCE_TERM_MS) + MAX_RECEIPT_DELAY_MS;
  }

  /**
   * `receiptDelayMs` is what the receiver says it dwelt. Unlike RFC 9002 section 5.3 it is subtracted always: the bound is
   * small, and with few packets every receipt may be a late one.
   */
  sample(rawMs: number, receiptDelayMs: number): void {
    const delay = Math.min(Math.max(receiptDelayMs, 0), MAX_RECEIPT_DELAY_MS);
    const adjusted = Math.max(rawMs - delay, 0);
    this.#minMs = this.#samples === 0 ? adjusted : Math.min(this.#minMs, adjusted);
    this.#latestMs = adjusted;
    if (this.#samples++ === 0) {
      this.#smoothedMs = adjusted;
      this.#varianceMs = adjusted / 2;
      return;
    }
    this.#varianceMs = 0.75 * this.#varianceMs + 0.25 * Math.abs(this.#smoothedMs - adjusted);
    this.#smoothedMs = 0.875 * this.#smoothedMs + 0.125 * adjusted;
  }
}

/** Samples until the baseline is frozen. */
const BASELINE_SAMPLES = 8;
/** ln(1.15): a rise below 15 % is never summed. */
const DRIFT = 0.14;
const ALARM = 1;
const MIN_RISE_MS = 2;
const SPREAD_SAMPLES = 16;

/**
 * CUSUM on log RTT against a frozen baseline: the baseline may sink but never follows a slow rise, so that a relay
 * cannot boil the frog.
 */
export class DelayAlarm {
  #baselineMs: number | undefined;
  #spreadMs = 0;
  #seen = 0;
  #sum = 0;

  get baselineMs(): number | undefined {
    return this.#baselineMs;
  }

  /** The usual deviation of the RTT: what it was before anything was suspected. */
  get spreadMs(): number {
    return this.#spreadMs;
  }

  /** Takes a new sample of the estimator; true while the rise is significant. */
  sample({ latestMs, smoothedMs, varianceMs }: RttEstimator): boolean {
    if (++this.#seen < BASELINE_SAMPLES) {
      this.#spreadMs = varianceMs;
      return false;
    }
    // The smoothed time follows a rise late: it must not take back a baseline that was raised to what is now.
    if (this.#baselineMs === undefined) this.#baselineMs = smoothedMs;
    else this.#baselineMs = Math.min(this.#baselineMs, Math.max(smoothedMs, latestMs));
    const rise = Math.log(Math.max(latestMs, 0.01) / Math.max(this.#baselineMs, 0.01));
    this.#sum = Math.max(0, this.#sum + Math.min(rise, ALARM / 2) - DRIFT);
    if (this.#sum === 0) this.#spreadMs += (varianceMs - this.#spreadMs) / SPREAD_SAMPLES;
    return this.#sum >= ALARM && latestMs - this.#baselineMs >= MIN_RISE_MS;
  }

  /**
   * The rival was no better: the rise is nobody's fault. The baseline rises to what is now, but never above what the rival
   * needs: a relay that behaves while a race is run has won it, and must not have raised what it is measured by.
   */
  accept(smoothedMs: number, rivalMs: number): void {
    this.#sum = 0;
    if (this.#baselineMs === undefined) return;
    this.#baselineMs = Math.max(this.#baselineMs, Math.min(smoothedMs, rivalMs));
  }
}
