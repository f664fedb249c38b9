/** Asks one member after the other for a fairness receipt, until one gives a receipt that verifies. */
import type { CryptoProvider } from '../crypto/interface.js';
import type { Cancel, Env } from '../env.js';
import type { HopfairError } from '../errors.js';
import type { MemberReply } from '../order/client-messages.js';
import { verifyFairnessReceipt } from '../order/fairness-receipt.js';
import type { OrderId, ValidatorIndex } from '../order/types.js';
import type { CommitteePort, PortHandler } from './committee-port.js';

interface Request {
  readonly resolve: (receipt: Uint8Array) => void;
  readonly reject: (error: HopfairError) => void;
  asked: ValidatorIndex;
  cancelTimer: Cancel;
}

export class FairnessRequests implements PortHandler {
  readonly #port: CommitteePort;
  readonly #crypto: CryptoProvider;
  readonly #env: Env;
  readonly #requests = new Map<OrderId, Request[]>();

  constructor(port: CommitteePort, crypto: CryptoProvider, env: Env) {
    this.#port = port;
    this.#crypto = crypto;
    this.#env = env;
    port.attach(this);
  }

  /** Resolves with the bytes of the receipt: it may take a little until f+1 members have signed the root. */
  request(id: OrderId): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const asked = Math.floor(this.#env.rng.float() * this.#port.committee.tolerance.n);
      const request: Request = { resolve, reject, asked, cancelTimer: () => undefined };
      this.#requests.set(id, [...(this.#requests.get(id) ?? []), request]);
      this.#ask(id, request);
    });
  }

  onReply(_from: ValidatorIndex, reply: MemberReply): void {
    if (reply.kind !== 'receipt' || !('id' in reply.by) || reply.bytes.length === 0) return;
    const { id } = reply.by;
    const waiting = this.#requests.get(id);
    if (waiting === undefined) return;
    const check = verifyFairnessReceipt(this.#crypto, this.#port.committee, reply.bytes);
    if (!check.ok || check.leaf.id !== id) return; // another member is asked when the timer runs out
    this.#requests.delete(id);
    for (const { resolve, cancelTimer } of waiting) {
      cancelTimer();
      resolve(reply.bytes.slice());
    }
  }

  onMemberUp(): void {
    // The timer asks again in any case.
  }

  close(error: HopfairError): void {
    for (const { reject, cancelTimer } of [...this.#requests.values()].flat()) {
      cancelTimer();
      reject(error);
    }
    this.#requests.clear();
  }

  #ask(id: OrderId, request: Request): void {
    this.#port.send(request.asked, { kind: 'want-receipt', by: { id } });
    const { delayBoundMs } = this.#port.committee.parameters;
    request.cancelTimer = this.#env.clock.schedule(4 * delayBoundMs, () => {
      request.asked = (request.asked + 1) % this.#port.committee.tolerance.n;
      this.#ask(id, request);
    });
  }
}
