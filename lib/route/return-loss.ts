/**
 * What a path loses on the way back, receipts above all (bar R2): the packets of the peer are numbered without gaps on each
 * path, so what never comes shows as a gap. Later receipts repeat what a dropped one said, which hides it from the misses.
 */
import type { Instant } from '../env.js';
import { LIMITS } from '../limits.js';
import { LossTest } from './loss-test.js';

/** Urgent frames overtake others on the way, by far less than this. */
const MIN_LINGER_MS = 1_000;

export class ReturnLoss {
  readonly test: LossTest = new LossTest();
  #highest: number | undefined;
  /** Numbers that were skipped, and when that showed. */
  readonly #missing = new Map<number, Instant>();

  /** A packet of the peer was opened. */
  heard(packet: number, now: Instant, ptoMs: number): void {
    const highest = this.#highest;
    if (highest === undefined || packet === highest + 1) this.#highest = packet;
    else if (packet > highest) {
      for (let skipped = Math.max(highest + 1, packet - LIMITS.maxMissingPackets); skipped < packet; skipped++) {
        if (this.#missing.size < LIMITS.maxMissingPackets) this.#missing.set(skipped, now);
      }
      this.#highest = packet;
    } else this.#missing.delete(packet);
    this.test.arrived();
    if (this.#missing.size > 0) this.#expire(now, Math.max(MIN_LINGER_MS, 4 * ptoMs));
  }

  #expire(now: Instant, lingerMs: number): void {
    for (const [packet, since] of this.#missing) {
      if (now - since < lingerMs) return;
      this.#missing.delete(packet);
      this.test.lost(since, 0);
    }
  }
}
