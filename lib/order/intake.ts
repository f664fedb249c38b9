/** Orders of clients on their way into this member's lane: order.md section 2. */

import type { Signer } from '../crypto/interface.js';
import type { UnixMs } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import type { Chunk } from './chunk.js';
import { follows } from './envelope.js';
import type { LaneWriter } from './lane.js';
import type { Linearizer } from './linearizer.js';
import type { RejectReason } from './member-io.js';
import type { Outbox } from './outbox.js';
import type { Body, OrderPool } from './pool.js';
import { signPromise } from './promise.js';
import { encodeSubmission, type Submission } from './submission.js';
import type { OrderId, ValidatorIndex } from './types.js';
import type { Voters } from './voters.js';

export class Intake {
  readonly #voters: Voters;
  readonly #self: ValidatorIndex;
  readonly #signer: Signer;
  readonly #pool: OrderPool;
  readonly #writer: LaneWriter;
  readonly #linearizer: Linearizer;
  readonly #out: Outbox;
  /** Orders of this member's own lane and the chunk that lists them; 0 while it is still open. */
  readonly #listed = new Map<OrderId, number>();
  /** Orders that wait for their predecessor, by its id. */
  readonly #waiting = new Map<OrderId, Set<OrderId>>();
  /** False while this member recovers or abstains: nothing may enter the lane. */
  #open = false;

  constructor(
    context: { voters: Voters; self: ValidatorIndex; signer: Signer; out: Outbox },
    parts: { pool: OrderPool; writer: LaneWriter; linearizer: Linearizer },
  ) {
    this.#voters = context.voters;
    this.#self = context.self;
    this.#signer = context.signer;
    this.#out = context.out;
    this.#pool = parts.pool;
    this.#writer = parts.writer;
    this.#linearizer = parts.linearizer;
  }

  isListed(id: OrderId): boolean {
    return this.#listed.has(id);
  }

  /**
   * A client's submission, its form checked. Returns false when its signature is wrong: one failed verification is all
   * that a session gets.
   */
  submit(submission: Submission, now: UnixMs): boolean {
    const fresh = submission.envelopes.filter(
      ({ id }) => this.#pool.get(id)?.share === undefined && !this.isListed(id),
    );
    this.#promiseAgain(submission);
    if (fresh.length === 0) return true;
    const refused = new Map<RejectReason, OrderId[]>();
    const accepted: Body[] = [];
    for (const envelope of fresh) {
      const { body, refusal } = this.#pool.examine(submission, envelope, now);
      if (refusal !== undefined) refused.set(refusal, [...(refused.get(refusal) ?? []), envelope.id]);
      else if (body !== undefined) accepted.push(body);
    }
    // The only public-key work comes last, and not at all for what cannot be taken anyway.
    if (accepted.length > 0 && !this.#pool.batchSigned(submission)) {
      this.#out.reply(submission.sender, { kind: 'rejected', reason: 'signature', ids: [] });
      return false;
    }
    for (const body of accepted) this.#pool.add(body);
    this.store(accepted);
    for (const body of accepted) this.list(body, now);
    for (const [reason, ids] of refused) {
      this.#out.reply(submission.sender, { kind: 'rejected', reason, ids });
      this.#out.notice({ kind: 'rejected', sender: submission.sender, reason, ...(ids[0] && { id: ids[0] }) });
    }
    if (accepted.length > 0) {
      this.#out.notice({ kind: 'accepted', sender: submission.sender, orders: accepted.length });
    }
    return true;
  }

  /** Makes bodies of one signature durable, with this member's shares: sessions die with the process, shares must not. */
  store(bodies: readonly Body[]): void {
    const [first] = bodies;
    if (first === undefined) return;
    const batch = encodeSubmission(
      first.signed,
      bodies.map(({ envelope }) => envelope),
    );
    this.#out.persist({ kind: 'orders', batch, shares: bodies.map(({ share }) => share) });
  }

  /** Puts an order that may be listed into the lane, as soon as its predecessor is there. */
  list({ envelope, share }: Body, now: UnixMs): void {
    const { id, prev } = envelope;
    const openable = share !== undefined || envelope.mode === 'open';
    if (!openable || this.isListed(id) || envelope.expiry <= now) return;
    if (!this.#open || (prev !== undefined && !this.#precedes(prev, envelope))) {
      if (prev !== undefined) this.#waiting.set(prev, (this.#waiting.get(prev) ?? new Set()).add(id));
      return;
    }
    this.#listed.set(id, 0);
    this.#writer.list(id, now);
    this.#listSuccessors(id, now);
  }

  #precedes(prev: OrderId, next: Body['envelope']): boolean {
    if (this.#linearizer.lastOf(next)?.id === prev) return true;
    const body = this.#pool.get(prev);
    return this.isListed(prev) && body !== undefined && follows(next, body.envelope);
  }

  #listSuccessors(id: OrderId, now: UnixMs): void {
    const waiting = this.#waiting.get(id) ?? [];
    this.#waiting.delete(id);
    for (const next of waiting) {
      const body = this.#pool.get(next);
      if (body !== undefined) this.list(body, now);
    }
  }

  /** An order was selected: those behind it need no other predecessor. */
  selected(id: OrderId, now: UnixMs): void {
    this.#listSuccessors(id, now);
  }

  /** From now on orders enter the lane; those that came before do at once. */
  open(bodies: Iterable<Body>, now: UnixMs): void {
    this.#open = true;
    for (const body of bodies) this.list(body, now);
  }

  close(): void {
    this.#open = false;
  }

  /** Forgets what waited for a predecessor until it expired. */
  sweep(now: UnixMs): void {
    for (const [prev, ids] of this.#waiting) {
      for (const id of ids) if ((this.#pool.get(id)?.envelope.expiry ?? 0) <= now) ids.delete(id);
      if (ids.size === 0) this.#waiting.delete(prev);
    }
  }

  /** The log, or this member itself, closed a chunk of its own lane. */
  chunkClosed({ listings, sequence }: Chunk): void {
    for (const { id } of listings) this.#listed.set(id, sequence);
    for (const old of this.#listed.keys()) {
      if (this.#listed.size <= LIMITS.maxKeptListings) break;
      this.#listed.delete(old);
    }
  }

  /** Signed promises for a chunk that is durable when they leave. */
  promise({ listings, sequence }: Chunk): void {
    const bySender = new Map<PeerId, OrderId[]>();
    for (const { id } of listings) {
      const sender = this.#pool.get(id)?.envelope.sender;
      if (sender !== undefined) bySender.set(sender, [...(bySender.get(sender) ?? []), id]);
    }
    for (const [sender, ids] of bySender) this.#promise(sender, sequence, ids);
  }

  #promise(sender: PeerId, sequence: number, ids: readonly OrderId[]): void {
    for (let at = 0; at < ids.length; at += LIMITS.maxBatchOrders) {
      const page = ids.slice(at, at + LIMITS.maxBatchOrders);
      const promise = signPromise(this.#voters.committee, this.#signer, { validator: this.#self, sequence, ids: page });
      this.#out.reply(sender, { kind: 'promises', ...promise });
    }
  }

  /** A client that sends an order again has not heard the promise. */
  #promiseAgain({ sender, envelopes }: Submission): void {
    const bySequence = new Map<number, OrderId[]>();
    for (const { id } of envelopes) {
      const sequence = this.#listed.get(id) ?? 0;
      if (sequence > 0) bySequence.set(sequence, [...(bySequence.get(sequence) ?? []), id]);
    }
    for (const [sequence, ids] of bySequence) this.#promise(sender, sequence, ids);
  }
}
