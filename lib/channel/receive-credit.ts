/** How much the peer may still send: an absolute offset over all lanes, which never goes back. */
import { INITIAL_CREDIT_BYTES } from './record.js';

export class ReceiveCredit {
  readonly #maxHeldBytes: number;
  readonly #heldBytes: () => number;
  #received = 0;
  #granted: number = INITIAL_CREDIT_BYTES;

  /** `heldBytes` tells what the application has not taken yet: it is what credit is kept back for. */
  constructor(maxHeldBytes: number, heldBytes: () => number) {
    this.#maxHeldBytes = maxHeldBytes;
    this.#heldBytes = heldBytes;
  }

  get received(): number {
    return this.#received;
  }

  /** False when the peer sent more than it was granted. */
  onReceived(bytes: number): boolean {
    this.#received += bytes;
    return this.#received <= this.#granted;
  }

  /** The offset to tell the peer now. */
  grant(): number {
    this.#granted = this.#available();
    return this.#granted;
  }

  /** Telling costs a record, so it waits until half of the credit is new, or the peer asks. */
  isWorthTelling(): boolean {
    return this.#received > 0 && this.#available() - this.#granted > this.#maxHeldBytes / 2;
  }

  #available(): number {
    return Math.max(this.#granted, this.#received - this.#heldBytes() + this.#maxHeldBytes);
  }
}
