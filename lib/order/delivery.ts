/** From final cuts to the delivered log, and what members, clients and observers are told of it: order.md section 5. */
import type { Signer } from '../crypto/interface.js';
import type { Instant, UnixMs } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import type { CensorshipWatch } from './censorship.js';
import type { OpenedItem } from './client-messages.js';
import type { Block, Cut } from './cut.js';
import type { EvidenceBook } from './evidence-book.js';
import { History } from './history.js';
import type { Intake } from './intake.js';
import type { Lane } from './lane.js';
import type { Linearizer } from './linearizer.js';
import type { GoneOrder, Selection } from './linearizer-io.js';
import { type MemberMessage, sharesBody } from './messages.js';
import type { Verdict } from './opening.js';
import type { Outbox } from './outbox.js';
import type { OrderPool } from './pool.js';
import { Readers } from './readers.js';
import { type Revealed, RevealStage } from './reveal.js';
import { Sequencer, type SequencerStep } from './sequencer.js';
import type { Entry, OrderFacts, OrderId, ValidatorIndex } from './types.js';
import type { Voters } from './voters.js';

export interface MemberContext {
  readonly voters: Voters;
  readonly self: ValidatorIndex;
  readonly signer: Signer;
  readonly out: Outbox;
  /** Peers with a session. */
  readonly up: ReadonlySet<PeerId>;
}

export interface DeliveryParts {
  readonly lanes: readonly Lane[];
  readonly pool: OrderPool;
  readonly linearizer: Linearizer;
  readonly intake: Intake;
  readonly censorship: CensorshipWatch;
  readonly evidence: EvidenceBook;
  readonly genesis: Block;
  /** After how long shares are asked for again. */
  readonly retryMs: number;
}

type MessageOf<Kind extends MemberMessage['kind']> = Extract<MemberMessage, { readonly kind: Kind }>;

export class Delivery {
  readonly readers: Readers;
  readonly #context: MemberContext;
  readonly #parts: DeliveryParts;
  readonly #sequencer: Sequencer;
  readonly #reveal: RevealStage;
  readonly #history: History;

  constructor(context: MemberContext, parts: DeliveryParts) {
    const { voters, self, signer, out } = context;
    const { lanes, pool, linearizer, genesis, retryMs } = parts;
    this.#context = context;
    this.#parts = parts;
    this.#sequencer = new Sequencer(voters, lanes, linearizer, pool.factsOf, genesis);
    this.#reveal = new RevealStage(voters, self, signer, pool, linearizer, retryMs);
    this.#history = new History(voters.crypto, voters.committee, self, signer);
    this.readers = new Readers(this.#history, out);
  }

  /** A ready order, a selected batch or a final cut waits. */
  get busy(): boolean {
    return this.#sequencer.waiting > 0 || this.#parts.linearizer.busy;
  }

  /** An order that never became solid expired, and no cut has said so yet: its sender waits to hear that it is gone. */
  owesVerdict(now: UnixMs): boolean {
    const { pool, linearizer } = this.#parts;
    for (const { envelope } of pool.live()) {
      if (envelope.expiry < now && envelope.expiry >= linearizer.time) return true;
    }
    return false;
  }

  /** The next final block. */
  push(block: Block): void {
    this.#sequencer.push(block);
  }

  /** Goes on as far as everything needed is there; returns what the first final cut waits for. */
  advance(now: Instant, unix: UnixMs): Exclude<SequencerStep, { kind: 'selected' }> {
    let step = this.#sequencer.step();
    for (; step.kind === 'selected'; step = this.#sequencer.step()) {
      this.#settle(step.cut);
      this.#selected(step.selection, now, unix);
    }
    for (let opened = this.#reveal.step(); opened !== undefined; opened = this.#reveal.step()) this.#deliver(opened);
    for (const { validator, body, message } of this.#reveal.takeBadShares()) {
      if (this.#context.voters.verify('shares', validator, sharesBody(message), message.signature)) {
        this.#parts.evidence.report({ kind: 'bad-share', validator, message, order: body });
      }
    }
    return step;
  }

  #settle(cut: Cut): void {
    cut.forEach((head, lane) => {
      this.#parts.lanes[lane]?.settle(head);
    });
    this.#parts.censorship.settle(cut);
  }

  /** "A share leaves a validator only for an order that a final cut selects": here, and when asked for it again. */
  #selected(selection: Selection, now: Instant, unix: UnixMs): void {
    const { height, cutHash, open, gone } = selection;
    const { pool, evidence, intake } = this.#parts;
    this.#tellGone(gone);
    for (const { id, instead } of gone) {
      const [first, second] = [pool.get(id), instead === undefined ? undefined : pool.get(instead)];
      if (first !== undefined && second !== undefined) evidence.report({ kind: 'double-sequence', first, second });
      pool.settle(id);
    }
    if (open.length === 0) return;
    const { out } = this.#context;
    this.#reveal.select(selection, now);
    if (!out.replaying) for (const message of this.#reveal.ownShares(height, cutHash, open)) out.send('all', message);
    out.notice({ kind: 'ordered', height, orders: open.length });
    for (const [sender, ids] of this.#bySender(open, id => id)) out.reply(sender, { kind: 'ordered', height, ids });
    for (const id of open) intake.selected(id, unix);
  }

  /** What stood behind these orders in their streams is gone too: that their senders conclude themselves. */
  #tellGone(gone: readonly GoneOrder[]): void {
    for (const reason of ['expired', 'double'] as const) {
      const ids = gone.filter(order => order.reason === reason).map(({ id }) => id);
      for (const [sender, page] of this.#bySender(ids, id => id, LIMITS.maxBatchOrders)) {
        this.#context.out.reply(sender, {
          kind: 'rejected',
          reason: reason === 'expired' ? 'gone' : reason,
          ids: page,
        });
      }
    }
  }

  /** A client that sends an order again, after its fate was decided, has not heard of it. */
  tellFate(sender: PeerId, orders: readonly OrderFacts[]): void {
    const { out } = this.#context;
    const gone = orders.filter(order => this.#parts.linearizer.isGone(order)).map(({ id }) => id);
    if (gone.length > 0) out.reply(sender, { kind: 'rejected', reason: 'gone', ids: gone });
    for (const entry of orders.map(({ id }) => this.#history.entryOf(id))) {
      if (entry !== undefined) out.reply(sender, { kind: 'opened', height: entry.height, items: [openedItem(entry)] });
    }
  }

  #deliver({ emitted, verdicts }: Revealed): void {
    const { out } = this.#context;
    const { batch } = emitted;
    const { height, firstIndex, entries } = batch;
    out.persist({ kind: 'verdicts', height, verdicts });
    this.#history.add(emitted);
    out.deliver(batch);
    out.notice({ kind: 'opened', height, firstIndex, orders: entries.length });
    if (!out.replaying) {
      const root = this.#history.ownRoot(height);
      if (root !== undefined) out.send('all', root);
      for (const [sender, of] of this.#bySender(entries, ({ id }) => id)) {
        const items = of.map(openedItem);
        out.reply(sender, { kind: 'opened', height, items });
      }
      this.readers.push();
    }
    for (const { id } of entries) this.#parts.pool.settle(id);
  }

  /** Groups what concerns senders that have a session with this member, in pages that fit into a message. */
  *#bySender<T>(
    items: readonly T[],
    idOf: (item: T) => OrderId,
    pageSize: number = LIMITS.maxPageEntries,
  ): Generator<[PeerId, T[]]> {
    const groups = new Map<PeerId, T[]>();
    for (const item of items) {
      const sender = this.#parts.pool.get(idOf(item))?.envelope.sender;
      if (sender === undefined || !this.#context.up.has(sender)) continue;
      const group = groups.get(sender) ?? [];
      group.push(item);
      groups.set(sender, group);
    }
    for (const [sender, group] of groups) {
      for (let at = 0; at < group.length; at += pageSize) yield [sender, group.slice(at, at + pageSize)];
    }
  }

  // ---- what others send and ask for

  /** Verdicts of the log, in a replay. */
  replayVerdicts(height: number, verdicts: ReadonlyMap<OrderId, Verdict>): void {
    if (height > this.#history.height) this.#reveal.replayVerdicts(height, verdicts);
  }

  takeShares(from: ValidatorIndex, message: MessageOf<'shares'>): void {
    this.#reveal.receive(from, message, this.#parts.linearizer.height);
  }

  takeRoot(from: ValidatorIndex, peer: PeerId, message: MessageOf<'root'>): void {
    if (this.#history.takeRoot(from, message) === 'taken') return;
    const what = `another log root at height ${message.statement.height}`;
    this.#context.out.notice({ kind: 'misbehaviour', peer, what });
  }

  /** Shares and root of a batch once more, for a member that missed them. */
  answerShares(to: ValidatorIndex, { height }: MessageOf<'want-shares'>): void {
    const batch = this.#history.batch(height);
    const waiting = this.#reveal.waiting(height);
    const cut = batch?.cutHash ?? waiting?.cut;
    if (cut === undefined) return; // not final here
    const ids = waiting?.ids ?? (batch?.entries ?? []).map(({ id }) => id).sort();
    const { out } = this.#context;
    for (const message of this.#reveal.ownShares(height, cut, ids)) out.send(to, message);
    const root = this.#history.ownRoot(height);
    if (root !== undefined) out.send(to, root);
  }

  /** Asks for shares that did not come. */
  askAgain(now: Instant): void {
    for (const height of this.#reveal.due(now)) this.#context.out.send('all', { kind: 'want-shares', height });
  }

  nextDeadline(): Instant | undefined {
    return this.#reveal.nextDeadline();
  }

  /** Answers a client; without f+1 signatures the others are asked for theirs, and the client asks again. */
  answerReceipt(to: PeerId, by: { readonly id: OrderId } | { readonly index: number }): void {
    const { out } = this.#context;
    const receipt = this.#history.receipt(by);
    const found = receipt instanceof Uint8Array;
    if (!found && receipt !== 'unknown') out.send('all', { kind: 'want-shares', height: receipt.unsigned });
    out.reply(to, { kind: 'receipt', by, bytes: found ? receipt : new Uint8Array(0) });
  }
}

const openedItem = ({ id, index, opening, laneTimes }: Entry): OpenedItem => ({
  id,
  index,
  void: opening.kind === 'void' ? opening.reason : undefined,
  laneTimes,
});
