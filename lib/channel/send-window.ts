/**
 * How much may be under way: the credit that the receiver granted, and a window that keeps the queue of the path short.
 * A socket hides how much waits in the kernel, so what is bounded is what the peer has not acknowledged.
 */
import { INITIAL_CREDIT_BYTES } from './record.js';
import type { Priority } from './types.js';

const INITIAL_BYTES = INITIAL_CREDIT_BYTES;
const MIN_BYTES = 32_768;
const MAX_BYTES = 16_777_216;
/** Normal messages are not slowed below this: a path whose delay is not ours must not starve them. */
const MIN_NORMAL_BYTES = 262_144;
/** Urgent messages may exceed the window by this, so that a full one never delays them by a round trip. */
const URGENT_EXTRA_BYTES = 16_384;
/** A round whose lowest round trip exceeds the base by more than this has filled a queue somewhere. */
const TOLERANCE_MS = 0.5;
const TOLERANCE_SHARE = 0.25;
const GROWTH = 1.5;
const SHRINKAGE = 0.7;
/** The base round trip is the lowest of this time: two halves, the older of which is forgotten as a whole. */
const HALF_MEMORY_MS = 5_000;
const PROBES = 16;

export class SendWindow {
  #bytes = INITIAL_BYTES;
  #sent = 0;
  #acked = 0;
  #credit = INITIAL_CREDIT_BYTES;
  #asked = 0;
  /** Offsets and instants of asks that are not answered yet, oldest first. */
  readonly #probeOffsets = new Float64Array(PROBES);
  readonly #probeInstants = new Float64Array(PROBES);
  #firstProbe = 0;
  #probes = 0;
  #roundEnd = 0;
  #roundRtt = Number.POSITIVE_INFINITY;
  #wasLimiting = false;
  #rtt = Number.POSITIVE_INFINITY;
  #olderRtt = Number.POSITIVE_INFINITY;
  #halfEnds = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get unacknowledged(): number {
    return this.#sent - this.#acked;
  }

  get creditLeft(): number {
    return this.#credit - this.#sent;
  }

  /** The lowest round trip of the last five to ten seconds; Infinity before the first. */
  get minRttMs(): number {
    return Math.min(this.#rtt, this.#olderRtt);
  }

  /** Bytes of this priority that may be sent now. */
  room(priority: Priority): number {
    let bytes = this.#bytes;
    if (priority !== 'bulk') bytes = Math.max(bytes, MIN_NORMAL_BYTES);
    if (priority === 'urgent') bytes += URGENT_EXTRA_BYTES;
    return Math.min(this.#acked + bytes, this.#credit) - this.#sent;
  }

  onSent(bytes: number): void {
    this.#sent += bytes;
  }

  /** What waits is held back by the window alone: only then may it grow. */
  onLimited(): void {
    this.#wasLimiting = true;
  }

  /** Four acks a window keep it moving; what is blocked must always have one on its way. */
  shouldAsk(isBlocked: boolean): boolean {
    return this.#sent - this.#asked >= (isBlocked ? 1 : this.#bytes / 4);
  }

  onAsk(now: number): void {
    this.#asked = this.#sent;
    if (this.#probes === PROBES) return;
    const at = (this.#firstProbe + this.#probes++) % PROBES;
    this.#probeOffsets[at] = this.#sent;
    this.#probeInstants[at] = now;
  }

  /** Takes an ack. False when it claims what cannot be: bytes never sent, or credit taken back. */
  onAck(received: number, credit: number, now: number): boolean {
    if (received < this.#acked || received > this.#sent || credit < this.#credit) return false;
    this.#acked = received;
    this.#credit = credit;
    while (this.#probes > 0 && (this.#probeOffsets[this.#firstProbe] as number) <= received) {
      this.#onRoundTrip(now - (this.#probeInstants[this.#firstProbe] as number), now);
      this.#firstProbe = (this.#firstProbe + 1) % PROBES;
      this.#probes--;
    }
    if (received >= this.#roundEnd) this.#endRound();
    return true;
  }

  #onRoundTrip(rtt: number, now: number): void {
    this.#roundRtt = Math.min(this.#roundRtt, rtt);
    if (now >= this.#halfEnds) {
      this.#olderRtt = this.#rtt;
      this.#rtt = Number.POSITIVE_INFINITY;
      this.#halfEnds = now + HALF_MEMORY_MS;
    }
    this.#rtt = Math.min(this.#rtt, rtt);
  }

  #endRound(): void {
    if (this.#roundRtt !== Number.POSITIVE_INFINITY) {
      const base = this.minRttMs;
      const isQueued = this.#roundRtt > base + Math.max(TOLERANCE_MS, base * TOLERANCE_SHARE);
      // A window that nobody has used up has no part in the delay, and proves nothing about more room.
      if (this.#wasLimiting) this.#resize(isQueued ? SHRINKAGE : GROWTH);
    }
    this.#roundEnd = this.#sent;
    this.#roundRtt = Number.POSITIVE_INFINITY;
    this.#wasLimiting = false;
  }

  #resize(factor: number): void {
    this.#bytes = Math.min(Math.max(Math.floor(this.#bytes * factor), MIN_BYTES), MAX_BYTES);
  }
}
