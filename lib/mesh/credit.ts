/**
 * Credit: how much of the reliable messages of one service their sender may have sent. The receiver grants a constant
 * window beyond what its application has taken, so what was receipted never has to be dropped, and a reader that is slow
 * makes the sender of its own service wait, nobody else (overlay.md point 17).
 *
 * Both ends count what each message costs, in the order in which the sender queued them. The next message that the
 * application can be given is always within the limit: all before it were taken or wait to be.
 */
import { LIMITS } from '../limits.js';

/**
 * What a message costs besides its bytes: what keeping it takes, so that small ones are bounded in number. A window of
 * credit is no more messages than may be ahead of one that is missing (`maxMessagesAhead`).
 */
const MESSAGE_OVERHEAD_BYTES = 192;

export const messageCost = (bytes: number): number => bytes + MESSAGE_OVERHEAD_BYTES;

/** The limit of a stream at its beginning, which nobody needs to tell. */
export const FIRST_LIMIT: number = LIMITS.serviceCreditBytes;

/** What the receiver of one stream grants. */
export class Grant {
  #taken = 0;
  #told = FIRST_LIMIT;
  /** Unread messages of an earlier run of the peer: they are read first, and are not of this stream. */
  #stale: number;

  constructor(stale: number) {
    this.#stale = stale;
  }

  get limit(): number {
    return this.#taken + LIMITS.serviceCreditBytes;
  }

  /** The application has taken a message. True when the sender should hear of it. What expires needs no credit. */
  take(cost: number, reliable: boolean): boolean {
    if (this.#stale > 0) {
      this.#stale -= cost;
      return false;
    }
    if (!reliable) return false;
    this.#taken += cost;
    return this.limit - this.#told >= LIMITS.serviceCreditBytes / 4;
  }

  /** The sender is told the present limit. */
  tell(): number {
    this.#told = this.limit;
    return this.#told;
  }
}
