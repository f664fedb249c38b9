/** Pacing: expensive work comes one piece in a turn of the event loop, so that whatever else is due comes in between. */
import type { Clock } from '../env.js';

/** Work goes on within one turn until so much was spent: what is refused at a glance costs less, a DH more. */
const SLICE_MS = 0.1;

/** Work is done at once while there is time in this turn; then it waits for another, the known ahead of strangers. */
export class Turns {
  readonly #clock: Clock;
  readonly #known: (() => void)[] = [];
  readonly #strange: (() => void)[] = [];
  #isResting = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The caller bounds how many wait. */
  add(work: () => void, isKnown: boolean): void {
    (isKnown ? this.#known : this.#strange).push(work);
    if (!this.#isResting) this.#run();
  }

  readonly #run = (): void => {
    this.#isResting = false;
    const begun = this.#clock.now();
    do {
      const work = this.#known.shift() ?? this.#strange.shift();
      if (work === undefined) return;
      work();
    } while (this.#clock.now() - begun < SLICE_MS);
    this.#isResting = true;
    this.#clock.schedule(0, this.#run);
  };
}
