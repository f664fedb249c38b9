/**
 * The orders of one client on their way: sealed in the order of their streams, sent to every member with one signature
 * for each flush, repeated unchanged to members that may have missed them, and moved on by what f+1 members agree on.
 * An order fails only when it is certain that it can never be emitted: so nobody is led to submit it twice.
 */
import type { CryptoProvider } from '../crypto/interface.js';
import { after, type Cancel, type Env, type Instant, type UnixMs } from '../env.js';
import { HopfairError } from '../errors.js';
import type { Identity } from '../identity/identity.js';
import type { MemberReply, PromisesMessage } from '../order/client-messages.js';
import type { RejectReason } from '../order/member-io.js';
import { verifyPromise } from '../order/promise.js';
import { plainOrder, sealingRandomnessBytes, sealOrder } from '../order/sealing.js';
import type { Entry, Opening, OrderId, ValidatorIndex } from '../order/types.js';
import type { CommitteePort, PortHandler } from './committee-port.js';
import { encodeSubmit, groupBySignature, signBatch, splitIntoBatches } from './outgoing-batch.js';
import { OutgoingOrder, OutgoingStream, type SealedOrder } from './outgoing-stream.js';
import type { PairKeys } from './pair-keys.js';
import { type Opened, OrderTally } from './tally.js';

export interface OrderSenderOptions {
  readonly identity: Identity;
  readonly crypto: CryptoProvider;
  readonly env: Env;
  readonly pairKeys: PairKeys;
  readonly resume: readonly Pick<Entry, 'stream' | 'sequence' | 'id'>[];
  /** An order was opened or has failed, or has to be sealed again: `flush` is due. */
  readonly onChange: () => void;
}

/** Repetitions of one order are this far apart at most. */
const MAX_RETRY_MS = 5_000;

export class OrderSender implements PortHandler {
  readonly #port: CommitteePort;
  readonly #options: OrderSenderOptions;
  readonly #streams = new Map<string, OutgoingStream>();
  readonly #inFlight = new Set<OutgoingOrder>();
  readonly #byId = new Map<OrderId, OutgoingOrder>();
  #cancelRetry: Cancel | undefined;

  constructor(port: CommitteePort, options: OrderSenderOptions) {
    this.#port = port;
    this.#options = options;
    for (const last of options.resume) {
      this.#streams.set(last.stream, new OutgoingStream(options.identity.peer, last.stream, last));
    }
    port.attach(this);
  }

  /** Orders that are neither opened nor failed. */
  get size(): number {
    return this.#inFlight.size;
  }

  /** Puts an order behind the others of its stream; `flush` seals and sends it. */
  add(key: string, payload: Uint8Array, expiry: UnixMs): OutgoingOrder {
    const stream = this.#streams.get(key) ?? new OutgoingStream(this.#options.identity.peer, key);
    this.#streams.set(key, stream);
    const order = new OutgoingOrder(stream, payload, expiry);
    stream.add(order);
    this.#inFlight.add(order);
    return order;
  }

  /** Seals what is not sealed, in the order of submission, and sends it to every member. */
  flush(): void {
    const fresh: SealedOrder[] = [];
    for (const order of this.#inFlight) {
      const sealed = order.sealed ?? this.#seal(order);
      if (sealed !== undefined && sealed.signed === undefined) fresh.push(sealed);
    }
    for (const batch of splitIntoBatches(fresh)) {
      const signed = signBatch(this.#port.committee, this.#options.identity.signer, batch);
      for (const sealed of batch) sealed.signed = signed;
      const message = encodeSubmit(signed, batch);
      for (const member of this.#port.indices) this.#port.sendBytes(member, message);
    }
    this.#scheduleRetry();
  }

  close(error: HopfairError): void {
    this.#cancelRetry?.();
    for (const order of this.#inFlight) order.state.fail(error);
    this.#inFlight.clear();
    this.#byId.clear();
  }

  onReply(from: ValidatorIndex, reply: MemberReply): void {
    switch (reply.kind) {
      case 'promises':
        this.#onPromises(from, reply);
        return;
      case 'ordered':
        for (const id of reply.ids) this.#onOrdered(from, id, reply.height);
        return;
      case 'opened':
        for (const item of reply.items) this.#onOpened(from, { ...item, height: reply.height });
        return;
      case 'rejected':
        for (const id of reply.ids) this.#onRejected(from, id, reply.reason);
        return;
      default: // for readers of the log
    }
  }

  /** What the member answered while the session was gone is lost: it answers again when it gets the order again. */
  onMemberUp(index: ValidatorIndex, again: boolean): void {
    if (again) this.#repeat(index, [...this.#inFlight]);
  }

  #seal(order: OutgoingOrder): SealedOrder | undefined {
    const { crypto, env, pairKeys } = this.#options;
    const { committee } = this.#port;
    if (order.expiry <= env.clock.unix()) {
      this.#fail(order, new HopfairError('ORDER_EXPIRED', 'the order expired before it could be sealed'));
      return undefined;
    }
    const draft = order.stream.draft(order);
    const envelope =
      committee.parameters.mode === 'open'
        ? plainOrder(crypto, committee, draft)
        : sealOrder(
            crypto,
            committee,
            draft,
            pairKeys.forSealing(env.rng),
            env.rng.bytes(sealingRandomnessBytes(committee)),
          );
    const retryMs = 8 * committee.parameters.delayBoundMs;
    const sealed = { envelope, tally: new OrderTally(committee.tolerance), signed: undefined, retryMs };
    order.sealed = { ...sealed, retryAt: after(env.clock.now(), retryMs) };
    this.#byId.set(envelope.id, order);
    return order.sealed;
  }

  #repeat(to: ValidatorIndex, orders: readonly OutgoingOrder[]): void {
    const missing = orders.flatMap(({ sealed }) => (sealed?.tally.hasOpened(to) === false ? [sealed] : []));
    for (const [signed, batch] of groupBySignature(missing)) this.#port.sendBytes(to, encodeSubmit(signed, batch));
  }

  #scheduleRetry(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    let due: Instant | undefined;
    for (const { sealed } of this.#inFlight) {
      if (sealed !== undefined && (due === undefined || sealed.retryAt < due)) due = sealed.retryAt;
    }
    if (due === undefined) return;
    const { clock } = this.#options.env;
    this.#cancelRetry = clock.schedule(Math.max(0, due - clock.now()), () => this.#retry());
  }

  #retry(): void {
    const now = this.#options.env.clock.now();
    const due: OutgoingOrder[] = [];
    for (const order of this.#inFlight) {
      if (order.sealed === undefined || order.sealed.retryAt > now) continue;
      due.push(order);
      order.sealed.retryMs = Math.min(2 * order.sealed.retryMs, MAX_RETRY_MS);
      order.sealed.retryAt = after(now, order.sealed.retryMs);
    }
    for (const member of this.#port.indices) this.#repeat(member, due);
    this.#scheduleRetry();
  }

  /** The order in flight that is sealed under this id at present; what others say of former ids is of no interest. */
  #sealedAs(id: OrderId): { readonly order: OutgoingOrder; readonly tally: OrderTally } | undefined {
    const order = this.#byId.get(id);
    return order?.sealed === undefined ? undefined : { order, tally: order.sealed.tally };
  }

  #onPromises(from: ValidatorIndex, promise: PromisesMessage): void {
    const known = promise.ids.flatMap(id => this.#sealedAs(id) ?? []);
    if (promise.validator !== from || known.length === 0) return;
    if (!verifyPromise(this.#options.crypto, this.#port.committee, promise)) {
      this.#options.env.log.warn('a promise does not verify', { member: from });
      return;
    }
    for (const { order, tally } of known) {
      if (!tally.promise(promise)) continue;
      order.state.advance({ stage: 'promised', id: order.facts.id, promises: tally.promises.length });
    }
  }

  #onOrdered(from: ValidatorIndex, id: OrderId, height: number): void {
    const found = this.#sealedAs(id);
    if (found?.tally.order(from, height)) this.#advanceToOrdered(found.order, found.tally, height);
  }

  #advanceToOrdered({ state, facts }: OutgoingOrder, tally: OrderTally, height: number): void {
    state.advance({ stage: 'promised', id: facts.id, promises: tally.promises.length });
    state.advance({ stage: 'ordered', id: facts.id, height });
  }

  #onOpened(from: ValidatorIndex, opened: Opened): void {
    const found = this.#sealedAs(opened.id);
    if (!found?.tally.open(from, opened)) return;
    const { order, tally } = found;
    const { id, sender, stream, sequence } = order.facts;
    const { height, index, laneTimes } = opened;
    const opening: Opening =
      opened.void === undefined ? { kind: 'opened', payload: order.payload } : { kind: 'void', reason: opened.void };
    this.#advanceToOrdered(order, tally, height);
    order.state.advance({
      stage: 'opened',
      id,
      entry: { height, index, id, sender, stream, sequence, opening, laneTimes },
    });
    order.stream.emitted(order);
    this.#forget(order, id);
  }

  #onRejected(from: ValidatorIndex, id: OrderId, reason: RejectReason): void {
    const found = this.#sealedAs(id);
    const verdict = found?.tally.refuse(from, reason);
    if (found === undefined || verdict === undefined) return;
    if (verdict === 'pair-key') {
      this.#sealAgain(found.order);
      this.#options.onChange();
    } else {
      const code = verdict === 'expired' || verdict === 'gone' ? 'ORDER_EXPIRED' : 'ORDER_REJECTED';
      this.#fail(found.order, new HopfairError(code, `the members refuse the order for good: ${verdict}`));
    }
  }

  #fail(order: OutgoingOrder, error: HopfairError): void {
    this.#sealAgain(order);
    order.stream.remove(order);
    order.state.fail(error);
    this.#forget(order, undefined);
  }

  /** Under its present id this order can never be emitted, and so neither can those behind it in the stream. */
  #sealAgain(order: OutgoingOrder): void {
    for (const dead of order.stream.unsealFrom(order)) this.#byId.delete(dead.envelope.id);
  }

  #forget(order: OutgoingOrder, id: OrderId | undefined): void {
    if (id !== undefined) this.#byId.delete(id);
    this.#inFlight.delete(order);
    this.#options.onChange();
  }
}
