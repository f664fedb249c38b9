/** The face of a submitter: bounds what is in flight, waits for pair keys, and gathers what leaves in one flush. */
import { fromUtf8 } from '../bytes.js';
import type { CryptoProvider } from '../crypto/interface.js';
import { type Cancel, type Env, type UnixMs, unixMs } from '../env.js';
import { HopfairError, requireArgument } from '../errors.js';
import type { Identity } from '../identity/identity.js';
import { LIMITS } from '../limits.js';
import type { Entry, ValidatorIndex } from '../order/types.js';
import type { CommitteePort } from './committee-port.js';
import { FairnessRequests } from './fairness-requests.js';
import { OrderSender } from './order-sender.js';
import type { OutgoingOrder } from './outgoing-stream.js';
import { PairKeys } from './pair-keys.js';
import type { OrderReceipt } from './receipt.js';
import { SubmittedOrder } from './submitted-order.js';
import type { SubmitOptions } from './types.js';

export interface ClientOptions {
  readonly identity: Identity;
  readonly crypto: CryptoProvider;
  readonly env: Env;
  readonly maxInFlight?: number;
  readonly resume?: readonly Pick<Entry, 'stream' | 'sequence' | 'id'>[];
}

const DEFAULT_TTL_MS = 5_000;
const DEFAULT_MAX_IN_FLIGHT = 256;

/** An order that waits for room or for pair keys. */
interface Submission {
  readonly payload: Uint8Array;
  readonly key: string;
  readonly expiry: UnixMs;
  readonly admitted: (order: OutgoingOrder) => void;
  readonly refused: (error: HopfairError) => void;
}

export class BroadcastClient {
  readonly #port: CommitteePort;
  readonly #env: Env;
  readonly #maxInFlight: number;
  readonly #pairKeys: PairKeys;
  readonly #sender: OrderSender;
  readonly #fairness: FairnessRequests;
  readonly #draining: (() => void)[] = [];
  #waiting: Submission[] = [];
  #flushDue = false;
  #cancelWait: Cancel | undefined;
  #closed = false;

  constructor(port: CommitteePort, options: ClientOptions) {
    const { crypto, env, resume = [], maxInFlight = DEFAULT_MAX_IN_FLIGHT } = options;
    requireArgument(Number.isInteger(maxInFlight) && maxInFlight > 0, 'maxInFlight is a whole number above 0');
    const { tolerance, parameters } = port.committee;
    this.#port = port;
    this.#env = env;
    this.#maxInFlight = maxInFlight;
    this.#pairKeys = new PairKeys(crypto, tolerance, 4 * parameters.delayBoundMs);
    // Before the sender: it must seal and repeat under the keys of the new session.
    port.attach({ onReply: () => undefined, onMemberUp: index => this.#learnPairKey(index) });
    const onChange = (): void => this.#requestFlush();
    this.#sender = new OrderSender(port, { ...options, pairKeys: this.#pairKeys, resume, onChange });
    this.#fairness = new FairnessRequests(port, crypto, env);
  }

  /** As `Orders.submit`. */
  submit(payload: Uint8Array, { key, ttlMs = DEFAULT_TTL_MS, signal }: SubmitOptions): Promise<OrderReceipt> {
    const { sizeClasses, maxOrderTtlMs } = this.#port.committee.parameters;
    const largest = sizeClasses.at(-1) ?? 0;
    requireArgument(payload.length > 0 && payload.length <= largest, `an order has 1 to ${largest} bytes`);
    const keyBytes = fromUtf8(key).length;
    requireArgument(keyBytes <= LIMITS.maxStreamKeyBytes, `a key has at most ${LIMITS.maxStreamKeyBytes} bytes`);
    requireArgument(ttlMs > 0 && ttlMs <= maxOrderTtlMs, `ttlMs is above 0 and at most ${maxOrderTtlMs}`);
    const expiry = unixMs(this.#env.clock.unix() + ttlMs);
    return new Promise((resolve, reject) => {
      if (this.#closed) throw new HopfairError('INVALID_STATE', 'the broadcast was left');
      const onAbort = (): void => {
        this.#waiting = this.#waiting.filter(other => other !== submission);
        submission.refused(new HopfairError('ABORTED', 'the order was not sent', { cause: signal?.reason }));
        this.#requestFlush();
      };
      const submission: Submission = {
        payload: payload.slice(),
        key,
        expiry,
        admitted: order => {
          signal?.removeEventListener('abort', onAbort);
          resolve(new SubmittedOrder(order, id => this.#fairness.request(id)));
        },
        refused: error => {
          signal?.removeEventListener('abort', onAbort);
          reject(error);
        },
      };
      signal?.addEventListener('abort', onAbort);
      this.#waiting.push(submission);
      if (signal?.aborted === true) onAbort();
      else this.#requestFlush();
    });
  }

  /** As `Orders.drain`. */
  drain(): Promise<void> {
    return new Promise(resolve => {
      this.#draining.push(resolve);
      this.#requestFlush();
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const error = new HopfairError('INVALID_STATE', 'the broadcast was left before the order was opened');
    this.#cancelWait?.();
    this.#sender.close(error);
    this.#fairness.close(error);
    for (const { refused } of this.#waiting.splice(0)) refused(error);
    for (const resolve of this.#draining.splice(0)) resolve();
    this.#pairKeys.destroy();
  }

  #learnPairKey(index: ValidatorIndex): void {
    const secret = this.#port.exportPairKey(index);
    if (secret === undefined) return;
    this.#pairKeys.set(index, secret, this.#env.clock.now());
    this.#requestFlush();
  }

  #requestFlush(): void {
    if (this.#flushDue) return;
    this.#flushDue = true;
    this.#env.clock.defer(this.#flush);
  }

  readonly #flush = (): void => {
    this.#flushDue = false;
    if (this.#closed || !this.#maySeal()) return;
    const admitted = this.#admit();
    this.#sender.flush();
    for (const [submission, order] of admitted) submission.admitted(order);
    if (this.#sender.size + this.#waiting.length === 0) for (const resolve of this.#draining.splice(0)) resolve();
  };

  /** Moves what waits into flight while there is room. */
  #admit(): [Submission, OutgoingOrder][] {
    const now = this.#env.clock.unix();
    const expired = this.#waiting.filter(({ expiry }) => expiry <= now);
    this.#waiting = this.#waiting.filter(({ expiry }) => expiry > now);
    for (const { refused } of expired)
      refused(new HopfairError('ORDER_EXPIRED', 'the order expired before it could leave'));
    const room = Math.max(0, this.#maxInFlight - this.#sender.size);
    return this.#waiting.splice(0, room).map(submission => {
      const { key, payload, expiry } = submission;
      return [submission, this.#sender.add(key, payload, expiry)];
    });
  }

  /** In `open` mode nothing is sealed and no key is needed. Otherwise comes back when there are enough. */
  #maySeal(): boolean {
    if (this.#port.committee.parameters.mode === 'open') return true;
    const waitMs = this.#pairKeys.waitMs(this.#env.clock.now());
    if (waitMs === 0) return true;
    this.#cancelWait?.();
    if (waitMs !== undefined) this.#cancelWait = this.#env.clock.schedule(waitMs, this.#flush);
    return false;
  }
}
