/**
 * Pacing: expensive work comes one piece in a turn of the event loop, so that whatever else is due comes in between, and
 * waits until there is processor time for its kind. The known go ahead of strangers.
 */
import type { Cancel, Clock } from '../env.js';

/** Work goes on within one turn until so much was spent: what is refused at a glance costs less, a DH more. */
const SLICE_MS = 0.1;
/** Finer than this a timer does not come. */
const MIN_WAIT_MS = 1;

interface Piece {
  readonly work: () => void;
}

export class Turns {
  readonly #clock: Clock;
  readonly #waitMs: (isKnown: boolean) => number;
  readonly #known = new Set<Piece>();
  readonly #strange = new Set<Piece>();
  #isResting = false;
  #cancelTimer: Cancel | undefined;

  /** `waitMs` tells how long it takes until there is time for a piece of the known, or of strangers; 0: now. */
  constructor(clock: Clock, waitMs: (isKnown: boolean) => number) {
    this.#clock = clock;
    this.#waitMs = waitMs;
  }

  /** How many pieces go before one that came now. */
  ahead(isKnown: boolean): number {
    return this.#known.size + (isKnown ? 0 : this.#strange.size);
  }

  /** Does the work at once or in a later turn. The caller bounds how many wait. Returns how to take it back. */
  add(work: () => void, isKnown: boolean): Cancel {
    const queue = isKnown ? this.#known : this.#strange;
    const piece: Piece = { work };
    queue.add(piece);
    if (!this.#isResting) this.#run();
    return () => queue.delete(piece);
  }

  readonly #run = (): void => {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#isResting = true; // what a piece brings about is not run within it
    const begun = this.#clock.now();
    for (let piece = this.#take(); piece !== undefined; piece = this.#take()) {
      piece.work();
      if (this.#clock.now() - begun < SLICE_MS) continue;
      this.#cancelTimer = this.#clock.schedule(0, this.#run);
      return;
    }
    this.#isResting = false;
    const waitMs = Math.min(
      this.#known.size > 0 ? this.#waitMs(true) : Number.POSITIVE_INFINITY,
      this.#strange.size > 0 ? this.#waitMs(false) : Number.POSITIVE_INFINITY,
    );
    if (waitMs < Number.POSITIVE_INFINITY) {
      this.#cancelTimer = this.#clock.schedule(Math.max(waitMs, MIN_WAIT_MS), this.#run);
    }
  };

  #take(): Piece | undefined {
    for (const [queue, isKnown] of [
      [this.#known, true],
      [this.#strange, false],
    ] as const) {
      const [first] = queue;
      if (first === undefined || this.#waitMs(isKnown) > 0) continue;
      queue.delete(first);
      return first;
    }
    return undefined;
  }
}
