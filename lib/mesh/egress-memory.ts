/** What waits for all neighbours of a node together, bounded: beyond it, the neighbour that most waits for loses frames. */
import { LIMITS } from '../limits.js';

/** An egress, as far as its memory matters. */
interface Holder {
  readonly bytes: number;
  dropOne(): void;
}

export class EgressMemory {
  readonly #holders = new Set<Holder>();
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  add(holder: Holder): void {
    this.#holders.add(holder);
  }

  remove(holder: Holder): void {
    this.#holders.delete(holder);
  }

  reserve(bytes: number): void {
    this.#bytes += bytes;
    while (this.#bytes > LIMITS.maxRelayQueueBytes) this.#largest().dropOne();
  }

  release(bytes: number): void {
    this.#bytes -= bytes;
  }

  #largest(): Holder {
    let largest: Holder | undefined;
    for (const holder of this.#holders) if (largest === undefined || holder.bytes > largest.bytes) largest = holder;
    if (largest === undefined) throw new Error('memory is counted that nobody holds');
    return largest;
  }
}
