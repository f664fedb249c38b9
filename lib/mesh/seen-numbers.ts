/**
 * Which numbers of a sequence came, exactly: everything below `floor`, and some of the 16,384 from there on. Unlike a replay
 * window it forgets nothing that did not come: a number too far ahead is refused, not taken for old.
 */
import { LIMITS } from '../limits.js';

const WORD = 32;

export class SeenNumbers {
  readonly #words = new Uint32Array(LIMITS.maxMessagesAhead / WORD);
  #floor = 1;

  /** The lowest number that has not come. */
  get floor(): number {
    return this.#floor;
  }

  has(number: number): boolean {
    if (number < this.#floor) return true;
    return !this.isAhead(number) && (this.#word(number) & (1 << (number % WORD))) !== 0;
  }

  /** It cannot be remembered yet. */
  isAhead(number: number): boolean {
    return number >= this.#floor + LIMITS.maxMessagesAhead;
  }

  /** Only for numbers that are not ahead. */
  add(number: number): void {
    const at = Math.floor(number / WORD) % this.#words.length;
    this.#words[at] = this.#word(number) | (1 << (number % WORD));
    while (number >= this.#floor && (this.#word(this.#floor) & (1 << (this.#floor % WORD))) !== 0) this.#pass();
  }

  #pass(): void {
    const at = Math.floor(this.#floor / WORD) % this.#words.length;
    this.#words[at] = this.#word(this.#floor) & ~(1 << (this.#floor % WORD));
    this.#floor += 1;
  }

  #word(number: number): number {
    return this.#words[Math.floor(number / WORD) % this.#words.length] as number;
  }
}
