/**
 * Flushes that are kept for those who missed them, as they were signed and sealed, bounded in publications and bytes;
 * and how much of them one peer may ask for (overlay.md point 19).
 */
import type { Instant } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import { RateLimit } from '../route/index.js';
import { encodePubSub, type TopicName } from '../wire/index.js';

export interface KeptFlush {
  readonly epoch: number;
  readonly first: number;
  readonly count: number;
  readonly encoded: Uint8Array;
}

export interface MissedRange {
  readonly epoch: number;
  readonly from: number;
  readonly to: number;
}

export class FlushStore {
  readonly #maxPublications: number;
  /** In the order of their publication. */
  readonly #flushes: KeptFlush[] = [];
  #publications = 0;
  #bytes = 0;

  constructor(maxPublications: number = LIMITS.publicationHistory) {
    this.#maxPublications = maxPublications;
  }

  /** The first publication that is held; undefined when there is none. */
  get oldest(): number | undefined {
    return this.#flushes[0]?.first;
  }

  add(flush: KeptFlush): void {
    this.#flushes.push(flush);
    this.#publications += flush.count;
    this.#bytes += flush.encoded.length;
    while (this.#isFull && this.#flushes.length > 1) this.#shift();
  }

  get #isFull(): boolean {
    return this.#publications > this.#maxPublications || this.#bytes > LIMITS.maxPublicationHistoryBytes;
  }

  dropBefore(first: number): void {
    while ((this.oldest ?? first) < first) this.#shift();
  }

  #shift(): void {
    const flush = this.#flushes.shift();
    this.#publications -= flush?.count ?? 0;
    this.#bytes -= flush?.encoded.length ?? 0;
  }

  /**
   * Sends what is held of a range, in order, and says what is not; stops when `send` returns false. It is then asked
   * again, since whoever misses something asks until it has it.
   */
  serve(topic: TopicName, { epoch, from, to }: MissedRange, send: (bytes: Uint8Array) => boolean): void {
    const missing = (first: number, last: number): boolean =>
      send(encodePubSub({ kind: 'unavailable', ...topic, epoch, from: first, to: last }));
    let next = from;
    for (const flush of this.#flushes) {
      const last = flush.first + flush.count - 1;
      if (flush.epoch !== epoch || last < next) continue;
      if (flush.first > to) break;
      if (flush.first > next && !missing(next, flush.first - 1)) return;
      if (!send(flush.encoded)) return;
      next = last + 1;
    }
    if (next <= to) missing(next, to);
  }
}

/** A request costs this much, whatever the answer is. */
const MIN_FILL_BYTES = 1_024;

/** What each peer may ask for, over all topics. */
export class FillLimits {
  readonly #limits = new Map<PeerId, RateLimit>();

  take(peer: PeerId, bytes: number, now: Instant): boolean {
    let limit = this.#limits.get(peer);
    if (limit === undefined) {
      limit = new RateLimit(LIMITS.fillBytesPerSecond, LIMITS.fillBurstBytes);
      this.#limits.set(peer, limit);
      if (this.#limits.size > LIMITS.maxFilledPeers) {
        for (const oldest of this.#limits.keys()) {
          this.#limits.delete(oldest);
          break;
        }
      }
    }
    return limit.take(now, Math.max(bytes, MIN_FILL_BYTES));
  }
}
