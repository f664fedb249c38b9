/** The orders that one member holds: what it checks before it takes one, quotas, and the shares that its log must not lose. */
import type { UnixMs } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import type { Envelope } from './envelope.js';
import type { RejectReason } from './member-io.js';
import { checkEnvelope, type PairKey, pairKeyFrom, verifyOrderBatch } from './sealing.js';
import type { SignedIds, Submission } from './submission.js';
import type { OrderFacts, OrderId, ValidatorIndex } from './types.js';
import type { Voters } from './voters.js';

/** One order, and what has to travel with it for others to believe that its sender signed it. */
export interface Body {
  readonly envelope: Envelope;
  readonly signed: SignedIds;
  /** This member's share; undefined in `open` mode, and when the order was fetched and cannot be opened here. */
  readonly share: Uint8Array | undefined;
}

/** `body` is undefined when nobody may list the order. `refusal`: why this member does not. */
export interface Examination {
  readonly body: Body | undefined;
  readonly refusal: RejectReason | undefined;
}

interface Usage {
  orders: number;
  bytes: number;
  readonly streams: Map<string, number>;
}

/** Refusals that hold for every member; the others depend on who asks, and when. */
const INVALID: ReadonlySet<RejectReason> = new Set(['committee', 'size', 'ciphertext']);

export class OrderPool {
  readonly #voters: Voters;
  readonly #self: ValidatorIndex;
  readonly #bodies = new Map<OrderId, Body>();
  readonly #usage = new Map<PeerId, Usage>();
  readonly #pairKeys = new Map<PeerId, PairKey[]>();
  /** Orders that count against their sender's quota: neither emitted nor gone. */
  readonly #live = new Set<OrderId>();
  /** Orders that are settled, oldest first, kept for members that lag. */
  readonly #settled = new Set<OrderId>();
  #settledBytes = 0;

  constructor(voters: Voters, self: ValidatorIndex) {
    this.#voters = voters;
    this.#self = self;
  }

  get(id: OrderId): Body | undefined {
    return this.#bodies.get(id);
  }

  readonly factsOf = (id: OrderId): OrderFacts | undefined => this.#bodies.get(id)?.envelope;

  /** Keeps the key of a new session; true when it was not known. */
  addPairKey(sender: PeerId, secret: Uint8Array): boolean {
    const key = pairKeyFrom(this.#voters.crypto, secret);
    const keys = this.#pairKeys.get(sender) ?? [];
    if (keys.some(({ name }) => name === key.name)) return false;
    for (const old of [...keys, key].slice(0, -LIMITS.maxPairKeysPerSender)) old.key.fill(0);
    this.#pairKeys.set(sender, [...keys, key].slice(-LIMITS.maxPairKeysPerSender));
    return true;
  }

  batchSigned({ sender, ids, signature }: Submission): boolean {
    return verifyOrderBatch(this.#voters.crypto, this.#voters.committee, sender, ids, signature);
  }

  /** Everything that order.md section 2 asks of an order, except its batch signature and its predecessor. */
  examine(submission: Submission, envelope: Envelope, now: UnixMs): Examination {
    const { crypto, committee } = this.#voters;
    // A body that others listed is needed after its expiry too: what does not depend on time is checked first.
    const check = checkEnvelope(crypto, committee, envelope, {
      validator: this.#self,
      now: (envelope.expiry - 1) as UnixMs,
      pairKey: (sender, name) => this.#pairKeys.get(sender)?.find(key => key.name === name)?.key,
    });
    if (!check.ok && INVALID.has(check.reason)) return { body: undefined, refusal: check.reason };
    const body = { envelope, signed: { ids: submission.ids, signature: submission.signature }, share: undefined };
    if (!check.ok) return { body, refusal: check.reason };
    return { body: { ...body, share: check.share }, refusal: this.#refusal(envelope, now) };
  }

  #refusal(envelope: Envelope, now: UnixMs): RejectReason | undefined {
    if (envelope.expiry <= now) return 'expired';
    if (envelope.expiry > now + this.#voters.committee.parameters.maxOrderTtlMs) return 'ttl';
    const usage = this.#usage.get(envelope.sender);
    if (usage === undefined) return undefined;
    const full =
      usage.orders >= LIMITS.maxSenderOrders ||
      usage.bytes + envelope.bytes.length > LIMITS.maxSenderBytes ||
      (usage.streams.size >= LIMITS.maxSenderStreams && !usage.streams.has(envelope.stream));
    return full ? 'quota' : undefined;
  }

  /** Takes an order; replaces one held without a share. */
  add(body: Body): void {
    const { envelope } = body;
    this.#bodies.set(envelope.id, body);
    if (this.#live.has(envelope.id) || this.#settled.has(envelope.id)) return;
    this.#live.add(envelope.id);
    const usage = this.#usage.get(envelope.sender) ?? { orders: 0, bytes: 0, streams: new Map<string, number>() };
    usage.orders++;
    usage.bytes += envelope.bytes.length;
    usage.streams.set(envelope.stream, (usage.streams.get(envelope.stream) ?? 0) + 1);
    this.#usage.set(envelope.sender, usage);
  }

  /** Orders that are neither emitted nor gone, oldest first. */
  *live(): Generator<Body> {
    for (const id of this.#live) {
      const body = this.#bodies.get(id);
      if (body !== undefined) yield body;
    }
  }

  /** Settles what can no longer be selected: an order is solid by its expiry or never, and then held for H at most. */
  expire(cutTime: UnixMs): void {
    const { maxOrderTtlMs, holdMs } = this.#voters.committee.parameters;
    for (const { envelope } of this.live()) {
      if (envelope.expiry + maxOrderTtlMs + holdMs < cutTime) this.settle(envelope.id);
    }
  }

  /** The order is emitted, gone or expired: it no longer counts against its sender, and is forgotten in time. */
  settle(id: OrderId): void {
    const body = this.#bodies.get(id);
    if (body === undefined || !this.#live.delete(id)) return;
    this.#release(body.envelope);
    this.#settled.add(id);
    this.#settledBytes += body.envelope.bytes.length;
    for (const old of this.#settled) {
      if (this.#settledBytes <= LIMITS.maxKeptBodyBytes) break;
      this.#forget(old);
    }
  }

  #release({ sender, stream, bytes }: Envelope): void {
    const usage = this.#usage.get(sender);
    if (usage === undefined) return;
    usage.orders--;
    usage.bytes -= bytes.length;
    const inStream = (usage.streams.get(stream) ?? 1) - 1;
    if (inStream === 0) usage.streams.delete(stream);
    else usage.streams.set(stream, inStream);
    if (usage.orders === 0) this.#usage.delete(sender);
  }

  #forget(id: OrderId): void {
    const body = this.#bodies.get(id);
    this.#settledBytes -= body?.envelope.bytes.length ?? 0;
    this.#settled.delete(id);
    this.#bodies.delete(id);
  }
}
