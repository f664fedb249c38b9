/**
 * Own health first (overlay.md point 9): when this process stood still, receipts wait in its sockets. What was due before
 * the sockets were polled completely may be judged, what fell due later may not; so even a process that is late all the
 * time judges one turn late, and rightly. RTT samples of that time measured ourselves.
 */
import { after, type Instant } from '../env.js';

/** Input this late for a promised deadline means that this process stalled: timers have a grain of 1 ms. */
const STALL_MS = 2;
/** A timer of this length comes after a complete poll of the sockets. */
const POLL_MS = 1;

export class OwnHealth {
  /** Since when the sockets are being polled after a stall; undefined when all is well. */
  #pollingSince: Instant | undefined;
  /** Receipts taken until then waited in our sockets. */
  #staleUntil: Instant | undefined;

  /** Any input: how late it is tells whether this process stood still. */
  note(promised: Instant | undefined, now: Instant): void {
    if (promised === undefined || now - promised <= STALL_MS) return;
    this.#staleUntil = after(now, POLL_MS);
  }

  /** RTT samples taken now would measure this process. */
  samplesAreStale(now: Instant): boolean {
    return this.#staleUntil !== undefined && now <= this.#staleUntil;
  }

  /**
   * A tick: what fell due up to the returned instant may be judged. Undefined: nothing, until the poll that follows.
   * Afterwards `askAgainAt` says when the next tick is wanted in any case.
   */
  judgeUntil(promised: Instant | undefined, now: Instant): Instant | undefined {
    const polledSince = this.#pollingSince;
    const late = promised !== undefined && now - promised > STALL_MS;
    this.#pollingSince = late ? now : undefined;
    return late ? polledSince : now;
  }

  get askAgainAt(): Instant | undefined {
    return this.#pollingSince === undefined ? undefined : after(this.#pollingSince, POLL_MS);
  }
}
