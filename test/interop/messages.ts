/** The messages that both ends of a case know beforehand: a thousand each way, of all sizes that one record can have. */
import { concat, EMPTY, equalBytes } from '../../lib/bytes.js';
import type { Role } from './cases.js';

export const MESSAGES = 1_000;
/** The largest Noise message without its tag. */
const LARGEST = 65_519;
/** Around the block of ChaCha20 and of AES, and at both ends. libp2p's stream does not carry an empty message. */
const SPECIAL_SIZES = [1, 15, 16, 17, 63, 64, 65, 4_096, 16_384, LARGEST];

function sizeAt(index: number): number {
  const special = index % 50 === 0 ? SPECIAL_SIZES[(index / 50) % SPECIAL_SIZES.length] : undefined;
  return special ?? 1 + ((index * 37) % 700);
}

/** Message number `index` of the sender with this role; no two begin alike. */
export function messageAt(sender: Role, index: number): Uint8Array {
  const message = new Uint8Array(sizeAt(index));
  let state = Math.imul(index + 1, sender === 'initiator' ? 0x9e3779b1 : 0x85ebca77);
  for (let at = 0; at < message.length; at++) {
    state = Math.imul(state, 0x41c64e6d) + 12_345;
    message[at] = state >>> 16;
  }
  return message;
}

export const otherRole = (role: Role): Role => (role === 'initiator' ? 'responder' : 'initiator');

/** Counts what arrives and compares it with what must have been sent. */
export class Inbox {
  readonly #sender: Role;
  readonly #complete: () => void;
  #received = 0;
  #held: Uint8Array = EMPTY;
  readonly done: Promise<void>;

  constructor(sender: Role) {
    this.#sender = sender;
    let complete = (): void => undefined;
    this.done = new Promise(resolve => {
      complete = resolve;
    });
    this.#complete = complete;
  }

  get received(): number {
    return this.#received;
  }

  /** Throws when this is not the message that is next. */
  take(message: Uint8Array): void {
    const expected = messageAt(this.#sender, this.#received);
    if (!equalBytes(message, expected)) {
      throw new Error(`message ${this.#received}: ${message.length} bytes instead of ${expected.length}, or others`);
    }
    if (++this.#received === MESSAGES) this.#complete();
  }

  /** For a stream that may join messages: as many as are whole are taken. */
  takeBytes(chunk: Uint8Array): void {
    this.#held = concat(this.#held, chunk);
    while (this.#received < MESSAGES) {
      const { length } = messageAt(this.#sender, this.#received);
      if (this.#held.length < length) return;
      this.take(this.#held.subarray(0, length));
      this.#held = this.#held.subarray(length);
    }
    if (this.#held.length > 0) throw new Error('bytes follow the last message');
  }
}
