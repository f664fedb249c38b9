/**
 * From final cuts to one order: order.md section 4. A pure function of the sequence of final cuts, kept incrementally;
 * test/model holds it against a literal transcription of the rules. Who listed what, and the facts that an id binds, are
 * all that it knows; payloads stay sealed until a batch is chosen.
 */
import { toHex } from '../bytes.js';
import type { CryptoProvider } from '../crypto/interface.js';
import { type UnixMs, unixMs } from '../env.js';
import { HopfairError } from '../errors.js';
import { arrange, batchSeed, type SelectedOrder, type TieRule } from './arrangement.js';
import type { PinnedCommittee } from './committee.js';
import { follows } from './envelope.js';
import type { EmittedBatch, FactsOf, FinalCut, GoneOrder, GoneReason, Selection } from './linearizer-io.js';
import { decodeState, encodeState } from './linearizer-snapshot.js';
import { emptyState, type LinearizerState, streamName, type WaitingBatch } from './linearizer-state.js';
import { appendLeaves, logLeaf, logPath, logRoot } from './log-root.js';
import type { Verdict } from './opening.js';
import { factsOf as knownFacts, medianTime, PendingOrder } from './pending-order.js';
import { chooseBatch, splitDoubles } from './selection.js';
import type { Batch, Entry, HashHex, OrderFacts, OrderId, StreamPosition } from './types.js';

/**
 * Selecting runs ahead of opening: `apply` takes later cuts while earlier batches wait for their verdicts.
 *
 * @example
 * if (linearizer.missing(cut, factsOf).length === 0) reveal(linearizer.apply(cut, factsOf).open);
 * // once every order of linearizer.next is opened or void:
 * deliver(linearizer.emit(verdicts).batch);
 */
export class Linearizer {
  readonly #crypto: CryptoProvider;
  readonly #committee: PinnedCommittee;
  readonly #tie: TieRule;
  readonly #state: LinearizerState;
  /** Ready orders that the last cut did not choose. */
  #held = 0;

  constructor(crypto: CryptoProvider, committee: PinnedCommittee, state?: LinearizerState) {
    const { profile, epsilonMs } = committee.parameters;
    this.#crypto = crypto;
    this.#committee = committee;
    this.#tie = profile === 'auction' ? { kind: 'window' } : { kind: 'bucket', epsilonMs };
    this.#state = state ?? emptyState(committee.tolerance.n);
    this.#countHeld();
  }

  /**
   * Continues where `snapshot` was taken.
   *
   * @throws HopfairError DECODE_FAILED.
   */
  static restore(crypto: CryptoProvider, committee: PinnedCommittee, bytes: Uint8Array): Linearizer {
    return new Linearizer(crypto, committee, decodeState(bytes, committee.tolerance.n));
  }

  /** The whole state; equal states give equal bytes. */
  snapshot(): Uint8Array {
    return encodeState(this.#state);
  }

  /** Height of the last cut applied; 0 at the start. */
  get height(): number {
    return this.#state.height;
  }

  /** T of the last cut applied; 0 at the start. */
  get time(): number {
    return this.#state.time;
  }

  /** Entries emitted so far. */
  get logSize(): number {
    return this.#state.log.size;
  }

  /** True while a ready order or a selected batch waits: only further cuts and verdicts help. */
  get busy(): boolean {
    return this.#held > 0 || this.#state.waiting.length > 0;
  }

  /** The oldest selected batch that is not emitted: the height, and the orders whose verdicts `emit` needs. */
  get next(): { readonly height: number; readonly cutHash: HashHex; readonly open: readonly OrderId[] } | undefined {
    const [batch] = this.#state.waiting;
    return batch && { height: batch.height, cutHash: batch.cutHash, open: batch.orders.map(({ id }) => id) };
  }

  /** The last order selected of this stream, which a further one must follow. */
  lastOf(
    position: Pick<StreamPosition, 'sender' | 'stream'>,
  ): { readonly sequence: number; readonly id: OrderId } | undefined {
    return this.#state.watermarks.get(streamName(position));
  }

  /** True when this order can never be selected: it was dropped, or cut time passed its expiry before it was ready. */
  isGone(order: OrderFacts): boolean {
    const { closed, pending, time } = this.#state;
    const how = closed.get(order.id);
    if (how !== undefined) return how === 'gone';
    if (pending.get(order.id)?.ready !== undefined) return false;
    return time > order.expiry && order.sequence > (this.lastOf(order)?.sequence ?? 0);
  }

  /** Orders that this cut brings to more than f lanes and `factsOf` does not know: an honest lister has each of them. */
  missing(cut: FinalCut, factsOf: FactsOf): OrderId[] {
    const { f } = this.#committee.tolerance;
    const counts = new Map<OrderId, number>();
    const missing: OrderId[] = [];
    cut.lanes.forEach((lane, v) => {
      for (const id of new Set(lane.map(listing => listing.id))) {
        const listed = this.#state.unsupported.get(id);
        if (this.#state.pending.has(id) || this.#state.closed.get(id) !== undefined) continue;
        if (listed !== undefined && listed.positions[v] !== Infinity) continue;
        const count = (counts.get(id) ?? listed?.sortedTimes.length ?? 0) + 1;
        counts.set(id, count);
        if (count === f + 1 && factsOf(id) === undefined) missing.push(id);
      }
    });
    return missing;
  }

  /**
   * Takes the next final cut and says which orders are to be opened now.
   *
   * @throws HopfairError INVALID_STATE, nothing having changed, when heights do not follow or facts are missing.
   */
  apply(cut: FinalCut, factsOf: FactsOf): Selection {
    const state = this.#state;
    const { n } = this.#committee.tolerance;
    if (cut.height !== state.height + 1 || cut.time < state.time || cut.lanes.length !== n)
      throw new HopfairError('INVALID_STATE', `cut ${cut.height} does not follow cut ${state.height}`);
    if (this.missing(cut, factsOf).length > 0)
      throw new HopfairError('INVALID_STATE', `orders of cut ${cut.height} are missing`);
    state.height = cut.height;
    state.time = cut.time;
    state.closed.forget(cut.time);
    state.credit.forget(cut.time);
    this.#list(cut, factsOf);
    this.#forgetUnsupported();
    this.#closeWindows(cut);
    const gone: GoneOrder[] = [];
    this.#sift(gone);
    const orders = this.#select(gone);
    this.#countHeld();
    if (orders.length > 0) state.waiting.push({ height: cut.height, cutHash: cut.hash, orders });
    return { height: cut.height, cutHash: cut.hash, open: orders.map(({ id }) => id), gone };
  }

  #countHeld(): void {
    this.#held = 0;
    for (const { ready } of this.#state.pending.values()) if (ready !== undefined) this.#held++;
  }

  #list(cut: FinalCut, factsOf: FactsOf): void {
    const { pending, unsupported, closed, lanes } = this.#state;
    const { n, f } = this.#committee.tolerance;
    cut.lanes.forEach((listings, v) => {
      const lane = lanes[v] as { length: number; time: number };
      for (const { id, time } of listings) {
        const position = lane.length++;
        lane.time = Math.max(lane.time, time);
        if (closed.get(id) !== undefined) continue;
        let order = pending.get(id) ?? unsupported.get(id);
        if (order === undefined) {
          order = new PendingOrder(id, cut.time, n);
          unsupported.set(id, order);
        }
        if (!order.list(v, position, lane.time) || order.sortedTimes.length !== f + 1) continue;
        order.facts = factsAlone(factsOf(id));
        unsupported.delete(id);
        pending.set(id, order);
      }
    });
  }

  /** What at most f lanes listed for the longest time to live may be a Byzantine lane's invention. */
  #forgetUnsupported(): void {
    const { unsupported, time } = this.#state;
    for (const order of unsupported.values()) {
      if (order.since + this.#committee.parameters.maxOrderTtlMs >= time) return; // they stand in order of time
      unsupported.delete(order.id);
    }
  }

  /** A window closes when n-f lane heads and, H later, cut time have passed its end. */
  #closeWindows(cut: FinalCut): void {
    const { n, f } = this.#committee.tolerance;
    const { auctionWindowMs, holdMs } = this.#committee.parameters;
    const heads = [...cut.headTimes].sort((a, b) => b - a);
    const passed = Math.min(heads[n - f - 1] ?? 0, cut.time - holdMs);
    this.#state.closedWindow = Math.max(this.#state.closedWindow, Math.floor(passed / auctionWindowMs) - 1);
  }

  /** Finds who became ready and who never will, predecessors before successors. */
  #sift(gone: GoneOrder[]): void {
    const { pending, height, time } = this.#state;
    const { n, f } = this.#committee.tolerance;
    const bySequence = [...pending.values()].sort((a, b) => knownFacts(a).sequence - knownFacts(b).sequence);
    for (const order of bySequence) {
      const facts = knownFacts(order);
      const watermark = this.#state.watermarks.get(streamName(facts));
      if (watermark !== undefined && facts.sequence <= watermark.sequence) {
        this.#drop(gone, order, 'double', facts.sequence === watermark.sequence ? watermark.id : undefined);
      } else if (facts.prev !== undefined && this.#state.closed.get(facts.prev) === 'gone') {
        this.#drop(gone, order, 'stream');
      } else if (order.ready === undefined) {
        if (order.sortedTimes.length >= n - f && this.#isLinked(facts)) {
          order.ready = { height, time };
          order.window = this.#windowOf(order);
        } else if (time > facts.expiry) {
          this.#drop(gone, order, 'expired');
        }
      }
    }
  }

  /** True when all that stands before the order in its stream is selected or ready. */
  #isLinked(facts: OrderFacts): boolean {
    const watermark = this.#state.watermarks.get(streamName(facts));
    if (facts.prev === undefined) return facts.sequence === 1;
    if (watermark?.id === facts.prev) return facts.sequence === watermark.sequence + 1;
    const prev = this.#state.pending.get(facts.prev);
    return prev?.ready !== undefined && follows(facts, knownFacts(prev));
  }

  /** The window of its median, or the first one still open, and never one before its predecessor's. */
  #windowOf(order: PendingOrder): number {
    const own = Math.floor(medianTime(order) / this.#committee.parameters.auctionWindowMs);
    const prev = knownFacts(order).prev;
    const before = prev === undefined ? undefined : this.#state.pending.get(prev);
    return Math.max(own, this.#state.closedWindow + 1, before?.window ?? 0);
  }

  #drop(gone: GoneOrder[], order: PendingOrder, reason: GoneReason, instead?: OrderId): void {
    this.#state.pending.delete(order.id);
    this.#state.closed.add(order.id, 'gone', knownFacts(order).expiry);
    gone.push(instead === undefined ? { id: order.id, reason } : { id: order.id, reason, instead });
  }

  #select(gone: GoneOrder[]): SelectedOrder[] {
    const { pending, credit, height, time, closedWindow } = this.#state;
    const { profile, holdCuts, holdMs } = this.#committee.parameters;
    const { chosen, culprits } = chooseBatch({
      pending: pending.values(),
      eligible: order => order.ready !== undefined && (profile === 'continuous' || order.window <= closedWindow),
      hasCredit: order => credit.has(knownFacts(order).sender, time),
      isDue: ({ ready }) => ready !== undefined && height - ready.height >= holdCuts && time - ready.time >= holdMs,
      f: this.#committee.tolerance.f,
    });
    for (const culprit of culprits) {
      culprit.debited = true;
      credit.debit(knownFacts(culprit).sender, time);
    }
    const { batch, doubles } = splitDoubles(chosen);
    for (const order of batch) this.#take(order);
    for (const [order, instead] of doubles)
      this.#drop(gone, order, instead === undefined ? 'stream' : 'double', instead);
    return batch.map(selectedOf).sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  #take(order: PendingOrder): void {
    const facts = knownFacts(order);
    const name = streamName(facts);
    const { watermarks, closed, pending } = this.#state;
    if (facts.sequence > (watermarks.get(name)?.sequence ?? 0))
      watermarks.set(name, { sequence: facts.sequence, id: order.id });
    closed.add(order.id, 'selected', facts.expiry);
    pending.delete(order.id);
  }

  /**
   * Puts the `next` batch in its final order and appends it to the log.
   *
   * @throws HopfairError INVALID_STATE when no batch waits or a verdict is missing.
   */
  emit(verdicts: ReadonlyMap<OrderId, Verdict>): EmittedBatch {
    const [waiting] = this.#state.waiting;
    if (waiting === undefined) throw new HopfairError('INVALID_STATE', 'no batch waits for its verdicts');
    const ordered = this.#arrange(waiting, verdicts);
    const before = this.#state.log;
    const entries = ordered.map((order, i): Entry => {
      const { sender, stream, sequence } = order.facts;
      const { opening } = verdictOf(verdicts, order.id);
      const laneTimes = Array.from(order.times, (time): UnixMs | undefined =>
        time === Infinity ? undefined : unixMs(time),
      );
      const index = before.size + i;
      return { height: waiting.height, index, id: order.id, sender, stream, sequence, opening, laneTimes };
    });
    const leaves = entries.map(entry => logLeaf(this.#crypto, entry));
    this.#state.log = appendLeaves(this.#crypto, before, leaves);
    this.#state.waiting.shift();
    const batch: Batch = {
      height: waiting.height,
      cutHash: waiting.cutHash,
      firstIndex: before.size,
      entries,
      logRoot: toHex(logRoot(this.#crypto, this.#state.log)) as HashHex,
    };
    return { batch, pathOf: index => logPath(this.#crypto, before, leaves, index) };
  }

  #arrange({ cutHash, orders }: WaitingBatch, verdicts: ReadonlyMap<OrderId, Verdict>): SelectedOrder[] {
    const { networkId, epoch } = this.#committee.descriptor;
    const secrets = orders.map(({ id }) => ({ id, secret: verdictOf(verdicts, id).secret }));
    const seed = batchSeed(this.#crypto, { networkId, epoch, cutHash }, secrets);
    return arrange(this.#crypto, orders, seed, this.#tie, this.#committee.tolerance.f);
  }
}

function verdictOf(verdicts: ReadonlyMap<OrderId, Verdict>, id: OrderId): Verdict {
  const verdict = verdicts.get(id);
  if (verdict === undefined) throw new HopfairError('INVALID_STATE', `no verdict on order ${id}`);
  return verdict;
}

function selectedOf(order: PendingOrder): SelectedOrder {
  const { id, positions, times, sortedTimes, window } = order;
  return { id, positions, times, sortedTimes, window, facts: knownFacts(order) };
}

/** Without the envelope that the caller may have passed. */
function factsAlone(facts: OrderFacts | undefined): OrderFacts | undefined {
  if (facts === undefined) return undefined;
  const { id, sender, stream, sequence, prev, expiry } = facts;
  return { id, sender, stream, sequence, prev, expiry };
}
