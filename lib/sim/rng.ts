/**
 * The seeded source of all chance in a simulation. sfc32 by Chris Doty-Humphrey (PractRand): 128 bits of state, passes
 * BigCrush, a few nanoseconds a number. Never for keys outside the simulator.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { fromUtf8 } from '../bytes.js';
import type { Rng } from '../env.js';
import { invariant } from '../errors.js';

export class SeededRng implements Rng {
  readonly #seed: string;
  #a: number;
  #b: number;
  #c: number;
  #counter: number;

  constructor(seed: string | number) {
    this.#seed = String(seed);
    const digest = sha256(fromUtf8(this.#seed));
    const view = new DataView(digest.buffer, digest.byteOffset);
    this.#a = view.getInt32(0);
    this.#b = view.getInt32(4);
    this.#c = view.getInt32(8);
    this.#counter = view.getInt32(12);
  }

  /** A source of its own, so that one more draw here changes nothing there: what each part draws is independent. */
  fork(name: string): SeededRng {
    return new SeededRng(`${this.#seed}/${name}`);
  }

  #u32(): number {
    const t = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + t) | 0;
    return t >>> 0;
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i += 4) {
      const word = this.#u32();
      for (let j = i; j < Math.min(i + 4, length); j++) bytes[j] = word >>> (8 * (j - i));
    }
    return bytes;
  }

  float(): number {
    return this.#u32() / 0x1_0000_0000;
  }

  /** A uniform integer in [0, below). */
  int(below: number): number {
    return Math.floor(this.float() * below);
  }

  /** A uniform number in [from, to). */
  between(from: number, to: number): number {
    return from + this.float() * (to - from);
  }

  chance(probability: number): boolean {
    return this.float() < probability;
  }

  /** An exponentially distributed waiting time: gaps of a Poisson process. */
  exponential(mean: number): number {
    return -mean * Math.log(1 - this.float());
  }

  pick<T>(items: readonly T[]): T {
    invariant(items.length > 0, 'pick from an empty list');
    return items[this.int(items.length)] as T;
  }

  /** A copy in random order (Fisher and Yates). */
  shuffle<T>(items: readonly T[]): T[] {
    const shuffled = [...items];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = this.int(i + 1);
      const held = shuffled[i] as T;
      shuffled[i] = shuffled[j] as T;
      shuffled[j] = held;
    }
    return shuffled;
  }
}
