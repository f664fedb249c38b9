/**
 * How many bytes a path may have unreceipted: the rule of channel.md, once per round-trip. It grows while the round's
 * lowest RTT shows no queue, and shrinks when it does, so that the queue stays here, where priorities still count.
 */
import { after, type Instant } from '../env.js';

const MIN_BYTES = 32 * 1024;
const MAX_BYTES = 16 * 1024 * 1024;
const INITIAL_BYTES = 256 * 1024;
/** The lowest RTT is that of the present and the previous span: at most 10 s, so that a new floor is learned. */
const FLOOR_SPAN_MS = 5_000;

export class PathWindow {
  #bytes = INITIAL_BYTES;
  #inFlight = 0;
  #roundLowestMs = Number.POSITIVE_INFINITY;
  #roundEnds: Instant | undefined;
  #floorMs = Number.POSITIVE_INFINITY;
  #previousFloorMs = Number.POSITIVE_INFINITY;
  #floorSpanEnds: Instant | undefined;
  /** Only a window that was the limit may grow: an idle path proves nothing. */
  #wasFull = false;

  get bytes(): number {
    return this.#bytes;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** True while samples are taken with the window full: our own queue, not the relay's delay. */
  get selfInflicted(): boolean {
    return this.#wasFull;
  }

  get room(): number {
    return this.#bytes - this.#inFlight;
  }

  sent(bytes: number): void {
    this.#inFlight += bytes;
    if (this.room <= 0) this.#wasFull = true;
  }

  settled(bytes: number): void {
    this.#inFlight -= bytes;
  }

  sample(rttMs: number, now: Instant): void {
    this.#learnFloor(rttMs, now);
    this.#roundLowestMs = Math.min(this.#roundLowestMs, rttMs);
    if (this.#roundEnds === undefined) this.#roundEnds = after(now, rttMs);
    if (now < this.#roundEnds) return;
    const floorMs = Math.min(this.#floorMs, this.#previousFloorMs);
    const quiet = this.#roundLowestMs <= floorMs + Math.max(0.5, floorMs / 4);
    if (!quiet) this.#bytes = Math.max(MIN_BYTES, this.#bytes * 0.7);
    else if (this.#wasFull) this.#bytes = Math.min(MAX_BYTES, this.#bytes * 1.5);
    this.#wasFull = this.room <= 0;
    this.#roundLowestMs = Number.POSITIVE_INFINITY;
    this.#roundEnds = after(now, rttMs);
  }

  #learnFloor(rttMs: number, now: Instant): void {
    if (this.#floorSpanEnds === undefined || now >= this.#floorSpanEnds) {
      this.#previousFloorMs = this.#floorMs;
      this.#floorMs = Number.POSITIVE_INFINITY;
      this.#floorSpanEnds = after(now, FLOOR_SPAN_MS);
    }
    this.#floorMs = Math.min(this.#floorMs, rttMs);
  }
}
