/** A bucket of tokens that work earns: each unit of traffic adds `share`, up to `burst`; a hedge costs one. */
export class EarnedTokens {
  readonly #share: number;
  readonly #burst: number;
  #tokens: number;

  constructor(share: number, burst: number) {
    this.#share = share;
    this.#burst = burst;
    this.#tokens = burst;
  }

  get level(): number {
    return this.#tokens;
  }

  earn(): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + this.#share);
  }

  take(): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

/** A bucket of tokens that time fills: `perSecond`, up to `burst`. Instants are milliseconds of one monotonic clock. */
export class RateLimit {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #filledAtMs: number | undefined;

  constructor(perSecond: number, burst: number) {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#tokens = burst;
  }

  /** Whether `take` would succeed now. */
  has(nowMs: number, amount = 1): boolean {
    const elapsedMs = nowMs - (this.#filledAtMs ?? nowMs);
    this.#filledAtMs = nowMs;
    this.#tokens = Math.min(this.#burst, this.#tokens + elapsedMs * this.#perMs);
    return this.#tokens >= amount;
  }

  take(nowMs: number, amount = 1): boolean {
    if (!this.has(nowMs, amount)) return false;
    this.#tokens -= amount;
    return true;
  }
}
