/**
 * What happened, as one number: two runs of a seed are the same run when their hashes agree. The last lines are kept
 * for the report of a failure. The mixing is that of MurmurHash3's 32-bit body, twice with different seeds.
 */
export class Trace {
  #h1 = 0x9e3779b9;
  #h2 = 0x85ebca6b;
  #events = 0;
  readonly #kept: number;
  readonly #tail: string[] = [];

  constructor(keepLines = 0) {
    this.#kept = keepLines;
  }

  #mix(word: number): void {
    this.#h1 = Math.imul(this.#h1 ^ Math.imul(word, 0xcc9e2d51), 0x1b873593);
    this.#h1 = (this.#h1 << 13) | (this.#h1 >>> 19);
    this.#h2 = Math.imul(this.#h2 ^ Math.imul(word, 0x1b873593), 0xcc9e2d51);
    this.#h2 = (this.#h2 << 15) | (this.#h2 >>> 17);
  }

  /** Notes one event of the run. */
  note(atMs: number, what: string, value = 0): void {
    this.#events += 1;
    this.#mix(Math.round(atMs * 1000) | 0);
    for (let i = 0; i < what.length; i++) this.#mix(what.charCodeAt(i));
    this.#mix(value | 0);
    if (this.#kept === 0) return;
    this.#tail.push(`${atMs.toFixed(3)} ${what} ${(value >>> 0).toString(16)}`);
    if (this.#tail.length > 2 * this.#kept) this.#tail.splice(0, this.#kept);
  }

  get events(): number {
    return this.#events;
  }

  get hash(): string {
    return [this.#h1, this.#h2].map(word => (word >>> 0).toString(16).padStart(8, '0')).join('');
  }

  /** The last events, if the trace was told to keep them. */
  get tail(): readonly string[] {
    return this.#tail.slice(-this.#kept);
  }
}

/** A 32-bit checksum of bytes, to tell messages apart in a trace (FNV-1a). */
export function checksum(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
  return hash;
}
