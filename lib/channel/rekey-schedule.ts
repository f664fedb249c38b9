/** When the sending key is replaced (Noise spec section 11.3): each direction counts and ratchets alone. */
import type { Instant } from '../env.js';

const MAX_RECORDS = 2 ** 20;
const MAX_BYTES = 2 ** 30;
const MAX_AGE_MS = 120_000;
/** How much more a peer may send under one key: it may count a little otherwise, but not forget to rekey. */
const SLACK = 1 + 1 / 16;

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

/** Whether the peer rekeys as it must. Its clock is not judged: an idle channel rekeys with its next record. */
export class KeyUse {
  #records = 0;
  #bytes = 0;

  /** A record of the peer opened; false when its key has served for too long. */
  onOpened(bytes: number): boolean {
    this.#records++;
    this.#bytes += bytes;
    return this.#records <= MAX_RECORDS * SLACK && this.#bytes <= MAX_BYTES * SLACK;
  }

  onRekeyed(): void {
    this.#records = 0;
    this.#bytes = 0;
  }
}
