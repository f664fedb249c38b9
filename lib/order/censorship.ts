/**
 * "Forward to all, once, a chunk that is not included 2D after you got it. Do not notarize a cut that leaves out a chunk
 * that you forwarded >= 2D before the proposal came." (order.md section 3.) Only chunks that list something count: an
 * empty one is a sign of life that every later chunk replaces.
 */
import { after, type Instant } from '../env.js';
import { earliest } from '../machine.js';
import type { Chunk } from './chunk.js';
import type { Cut } from './cut.js';
import type { ValidatorIndex } from './types.js';

interface Waiting {
  readonly chunk: Chunk;
  readonly arrivedAt: Instant;
  forwardedAt: Instant | undefined;
}

export class CensorshipWatch {
  readonly #patienceMs: number;
  readonly #waiting: Waiting[][];

  constructor(n: number, delayBoundMs: number) {
    this.#patienceMs = 2 * delayBoundMs;
    this.#waiting = Array.from({ length: n }, () => []);
  }

  arrived(chunk: Chunk, now: Instant): void {
    if (chunk.listings.length > 0) this.#of(chunk.lane).push({ chunk, arrivedAt: now, forwardedAt: undefined });
  }

  /** Chunks to forward now: those that `cut`, the furthest one known to be notarized, does not count. */
  due(cut: Cut, now: Instant): Chunk[] {
    const due: Chunk[] = [];
    this.#waiting.forEach((waiting, lane) => {
      for (const entry of waiting) {
        if (entry.forwardedAt !== undefined || entry.chunk.sequence <= (cut[lane]?.sequence ?? 0)) continue;
        if (now < after(entry.arrivedAt, this.#patienceMs)) break; // later ones came later
        entry.forwardedAt = now;
        due.push(entry.chunk);
      }
    });
    return due;
  }

  /** True when a cut that was proposed at `arrivedAt` leaves out what its proposer must have had. */
  omits(cut: Cut, arrivedAt: Instant): boolean {
    return this.#waiting.some((waiting, lane) =>
      waiting.some(({ chunk, forwardedAt }) => {
        const forwardedInTime = forwardedAt !== undefined && after(forwardedAt, this.#patienceMs) <= arrivedAt;
        return forwardedInTime && chunk.sequence > (cut[lane]?.sequence ?? 0);
      }),
    );
  }

  /** A cut is final. */
  settle(cut: Cut): void {
    this.#waiting.forEach((waiting, lane) => {
      const kept = waiting.filter(({ chunk }) => chunk.sequence > (cut[lane]?.sequence ?? 0));
      this.#waiting[lane] = kept;
    });
  }

  /** A forked lane has no claim to be counted. */
  drop(lane: ValidatorIndex): void {
    this.#waiting[lane] = [];
  }

  /** When `due` of this cut has something to forward. */
  nextDeadline(cut: Cut): Instant | undefined {
    const firsts = this.#waiting.map((waiting, lane) =>
      waiting.find(
        ({ chunk, forwardedAt }) => forwardedAt === undefined && chunk.sequence > (cut[lane]?.sequence ?? 0),
      ),
    );
    return earliest(...firsts.map(first => first && after(first.arrivedAt, this.#patienceMs)));
  }

  #of(lane: ValidatorIndex): Waiting[] {
    return this.#waiting[lane] ?? [];
  }
}
