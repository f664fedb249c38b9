/** What the other members are known to hold of each lane, so that a proposal carries only what its receiver lacks. */
import type { Chunk } from './chunk.js';
import type { ValidatorIndex } from './types.js';

export class Links {
  readonly #held: number[][];

  constructor(n: number) {
    this.#held = Array.from({ length: n }, () => Array.from({ length: n }, () => 0));
  }

  /** A member reports what it holds; a report may be older than what is known already. */
  reported(by: ValidatorIndex, held: readonly number[]): void {
    held.forEach((sequence, lane) => {
      this.raise(by, lane, sequence);
    });
  }

  /** A member holds, or will have received before anything that is sent to it from now on, this much of a lane. */
  raise(member: ValidatorIndex, lane: ValidatorIndex, sequence: number): void {
    const held = this.#held[member];
    if (held !== undefined) held[lane] = Math.max(held[lane] ?? 0, sequence);
  }

  lacks(member: ValidatorIndex, { lane, sequence }: Chunk): boolean {
    return sequence > (this.#held[member]?.[lane] ?? 0);
  }

  /** A session ended or began: what was under way in it may be lost. */
  reset(member: ValidatorIndex): void {
    this.#held[member]?.fill(0);
  }
}
