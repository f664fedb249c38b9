/** The messages of a measurement: a number, the time of sending, and bytes that follow from the number. Pure. */
import { monotonicMs } from './clock.js';

export const MESSAGE_BYTES = 256;
const HEADER_BYTES = 16;

/** Message `number`, as it is sent at this moment. */
export function numbered(number: number, bytes: number = MESSAGE_BYTES): Uint8Array {
  const message = new Uint8Array(bytes);
  const view = new DataView(message.buffer);
  view.setFloat64(0, number);
  view.setFloat64(8, monotonicMs());
  for (let i = HEADER_BYTES; i < bytes; i++) message[i] = fillerAt(number, i);
  return message;
}

const fillerAt = (number: number, i: number): number => (number * 31 + i * 7) & 0xff;

/** What arrived: for every number how long it took, and what must not be. */
export interface Arrivals {
  /** By number; null where nothing came. */
  readonly oneWayMs: readonly (number | null)[];
  readonly duplicated: number;
  /** Came after one with a higher number. */
  readonly reordered: number;
  /** Its bytes are not those of its number. */
  readonly corrupt: number;
}

export class Ledger {
  readonly #oneWayMs: (number | null)[] = [];
  #duplicated = 0;
  #reordered = 0;
  #corrupt = 0;

  get arrivals(): Arrivals {
    return {
      oneWayMs: [...this.#oneWayMs],
      duplicated: this.#duplicated,
      reordered: this.#reordered,
      corrupt: this.#corrupt,
    };
  }

  get received(): number {
    return this.#oneWayMs.reduce<number>((sum, ms) => sum + Number(ms !== null), 0);
  }

  /** A message that arrived at `nowMs`, on the clock of `monotonicMs`. */
  take(message: Uint8Array, nowMs: number): void {
    const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
    const number = message.length < HEADER_BYTES ? -1 : view.getFloat64(0);
    const isWhole = Number.isSafeInteger(number) && number >= 0 && number < 1e8;
    if (!isWhole || message.some((byte, i) => i >= HEADER_BYTES && byte !== fillerAt(number, i))) {
      this.#corrupt += 1;
      return;
    }
    const known = this.#oneWayMs;
    if (number < known.length) {
      if (known[number] === null) this.#reordered += 1;
      else {
        this.#duplicated += 1;
        return;
      }
    }
    while (known.length < number) known.push(null);
    known[number] = nowMs - view.getFloat64(8);
  }
}
