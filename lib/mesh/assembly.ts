/** A message of which not all pieces have come, or not its turn. */
import type { Instant } from '../env.js';

export class Assembly {
  readonly bytes: Uint8Array;
  /** What it counts of the room of its peer. */
  readonly cost: number;
  expiresAt: Instant | undefined;
  /** Offsets of the pieces that came: a sender cuts a message only once, so the offset names the piece. */
  #offsets: Set<number> | undefined;
  #received = 0;
  #started = false;

  constructor(total: number, cost: number) {
    this.bytes = new Uint8Array(total);
    this.cost = cost;
  }

  get total(): number {
    return this.bytes.length;
  }

  get whole(): boolean {
    return this.#started && this.#received === this.bytes.length;
  }

  /** False for what came before. A piece that overlaps others spoils its own message only. */
  add(offset: number, piece: Uint8Array): boolean {
    if (this.whole || this.#received + piece.length > this.bytes.length || this.#offsets?.has(offset)) return false;
    if (piece.length < this.bytes.length) {
      this.#offsets ??= new Set();
      this.#offsets.add(offset);
    }
    this.#started = true;
    this.bytes.set(piece, offset);
    this.#received += piece.length;
    return true;
  }
}
