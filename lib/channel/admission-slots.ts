/** How many verdicts on authenticated peers may be awaited at once: each one is a question to the application. */
export class AdmissionSlots {
  readonly #max: number;
  #taken = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Takes a slot; returns what gives it back, which may be called more than once, or undefined when all are taken. */
  enter(): (() => void) | undefined {
    if (this.#taken >= this.#max) return undefined;
    this.#taken++;
    let isTaken = true;
    return () => {
      if (isTaken) this.#taken--;
      isTaken = false;
    };
  }
}
