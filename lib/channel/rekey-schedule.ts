/** When the sending key is replaced (Noise spec section 11.3): each direction counts and ratchets alone. */
import type { Instant } from '../env.js';

const MAX_RECORDS = 2 ** 20;
const MAX_BYTES = 2 ** 30;
const MAX_AGE_MS = 120_000;

export class RekeySchedule {
  #records = 0;
  #bytes = 0;
  #since: Instant;

  constructor(now: Instant) {
    this.#since = now;
  }

  /** Whether the record that is sealed next should be the last under this key. */
  isDue(now: Instant): boolean {
    return this.#records >= MAX_RECORDS - 1 || this.#bytes >= MAX_BYTES || now - this.#since >= MAX_AGE_MS;
  }

  onSealed(bytes: number): void {
    this.#records++;
    this.#bytes += bytes;
  }

  onRekeyed(now: Instant): void {
    this.#records = 0;
    this.#bytes = 0;
    this.#since = now;
  }
}
