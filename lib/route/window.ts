/**
 * How many bytes a path may have unreceipted: the rule of channels (lib/channel/send-window.ts, decision 072) with what
 * receipts show. The window is what the path carries in its base round trip and the queue that is tolerated, so the queue
 * stays here, where priorities still count; pauses of a busy host lower single rounds, not the highest of a second.
 */
import { after, type Instant } from '../env.js';

const MIN_BYTES = 32 * 1024;
const MAX_BYTES = 16 * 1024 * 1024;
/** What is not bulk is not slowed below this: a path whose delay is not ours must not starve it. */
const INITIAL_BYTES = 256 * 1024;
/** Room that bulk leaves for the other classes. */
const EXTRA_BYTES = 64 * 1024;
/** The queue that bulk, and that all else may build, as time, or as a share of the base round trip if that is more. */
const BULK_QUEUE_MS = 0.25;
const QUEUE_MS = 5;
const QUEUE_SHARE = 0.25;
/** By which the window grows in one round at most. */
const GROWTH = 2;
/** The base round trip is the lowest of the present and the previous span: at most 10 s, so that a new one is learned. */
const FLOOR_SPAN_MS = 5_000;
/** The rate is the highest round of the present and the previous of these. */
const RATE_SPAN_MS = 500;
/** After each span of a full path its queue runs dry for so many rounds, or the base would creep up with it. */
const DRAIN_ROUNDS = 2;
/** Receipts are so far apart at times; a shorter round would measure how they bunch. */
const MIN_ROUND_MS = 1;

export class PathWindow {
  #bytes = INITIAL_BYTES;
  #bulkBytes = INITIAL_BYTES;
  #inFlight = 0;
  #settled = 0;
  #roundEnds: Instant | undefined;
  #roundBeganAt: Instant | undefined;
  #settledBefore = 0;
  #floorMs = Number.POSITIVE_INFINITY;
  #olderFloorMs = Number.POSITIVE_INFINITY;
  #floorSpanEnds: Instant | undefined;
  /** Bytes per ms. */
  #rate = 0;
  #olderRate = 0;
  #rateSpanEnds: Instant | undefined;
  #drainRounds = 0;
  /** Only a window that was the limit is measured by: a path that is half idle proves nothing. */
  #wasFull = false;

  /** For all classes but bulk. */
  get bytes(): number {
    return this.#drainRounds > 0 ? Math.min(this.#bytes, this.#drainBytes) : this.#bytes;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** True while samples are taken with a queue that is ours: not the relay's delay. */
  get selfInflicted(): boolean {
    return this.#wasFull;
  }

  get room(): number {
    return this.bytes - this.#inFlight;
  }

  get bulkRoom(): number {
    return Math.min(this.#bulkBytes, this.bytes) - this.#inFlight;
  }

  sent(bytes: number): void {
    this.#inFlight += bytes;
    if (this.bulkRoom <= 0) this.#wasFull = true;
  }

  settled(bytes: number): void {
    this.#inFlight -= bytes;
    this.#settled += bytes;
  }

  sample(rttMs: number, now: Instant): void {
    this.#learnFloor(rttMs, now);
    if (this.#roundEnds === undefined || this.#roundBeganAt === undefined) {
      this.#beginRound(rttMs, now);
      return;
    }
    if (now < this.#roundEnds) return;
    this.#learnRate((this.#settled - this.#settledBefore) / (now - this.#roundBeganAt), now);
    if (this.#drainRounds > 0) this.#drainRounds -= 1;
    else if (this.#wasFull && this.#rateMax > 0) this.#resize();
    this.#wasFull = this.bulkRoom <= 0;
    this.#beginRound(rttMs, now);
  }

  #beginRound(rttMs: number, now: Instant): void {
    this.#roundBeganAt = now;
    this.#roundEnds = after(now, Math.max(rttMs, MIN_ROUND_MS));
    this.#settledBefore = this.#settled;
  }

  #learnFloor(rttMs: number, now: Instant): void {
    if (this.#floorSpanEnds === undefined || now >= this.#floorSpanEnds) {
      if (this.#floorSpanEnds !== undefined && this.#wasFull) this.#drainRounds = DRAIN_ROUNDS + 1;
      this.#olderFloorMs = this.#floorMs;
      this.#floorMs = Number.POSITIVE_INFINITY;
      this.#floorSpanEnds = after(now, FLOOR_SPAN_MS);
    }
    this.#floorMs = Math.min(this.#floorMs, rttMs);
  }

  #learnRate(rate: number, now: Instant): void {
    if (this.#rateSpanEnds === undefined || now >= this.#rateSpanEnds) {
      this.#olderRate = this.#rate;
      this.#rate = 0;
      this.#rateSpanEnds = after(now, RATE_SPAN_MS);
    }
    this.#rate = Math.max(this.#rate, rate);
  }

  /** To what the path carries in a round trip with no more of a queue than is tolerated. */
  #resize(): void {
    const [baseMs, rate] = [this.#baseMs, this.#rateMax];
    const carried = (queueMs: number): number => rate * (baseMs + Math.max(queueMs, baseMs * QUEUE_SHARE));
    this.#bulkBytes = clamp(Math.min(carried(BULK_QUEUE_MS), this.#bulkBytes * GROWTH), MIN_BYTES);
    const bytes = Math.min(carried(QUEUE_MS), this.#bytes * GROWTH);
    this.#bytes = clamp(Math.max(bytes, this.#bulkBytes + EXTRA_BYTES), INITIAL_BYTES);
  }

  get #baseMs(): number {
    return Math.min(this.#floorMs, this.#olderFloorMs);
  }

  get #rateMax(): number {
    return Math.max(this.#rate, this.#olderRate);
  }

  get #drainBytes(): number {
    return clamp((this.#rateMax * this.#baseMs) / 2, MIN_BYTES);
  }
}

const clamp = (bytes: number, min: number): number => Math.min(Math.max(bytes, min), MAX_BYTES);
