/**
 * Opening selected batches: order.md sections 1 and 5. One message carries a member's shares of a whole batch, and leaves
 * only for a batch of a final cut. Shares of others may come before this member knows that the cut is final.
 */
import type { Signer } from '../crypto/interface.js';
import { after, type Instant } from '../env.js';
import { LIMITS } from '../limits.js';
import { earliest } from '../machine.js';
import type { Linearizer } from './linearizer.js';
import type { EmittedBatch, Selection } from './linearizer-io.js';
import { type SharesMessage, sharesBody } from './messages.js';
import { Opener, type Verdict } from './opening.js';
import type { Body, OrderPool } from './pool.js';
import type { HashHex, OrderId, ValidatorIndex } from './types.js';
import type { Voters } from './voters.js';

interface SealedBatch {
  readonly height: number;
  readonly cut: HashHex;
  readonly ids: readonly OrderId[];
  readonly verdicts: Map<OrderId, Verdict>;
  readonly shares: ReadonlyMap<OrderId, Map<ValidatorIndex, Uint8Array>>;
  readonly heard: Map<ValidatorIndex, SharesMessage[]>;
  askAt: Instant;
}

/** A share that misses the commitment which its member listed the order under. */
export interface BadShare {
  readonly validator: ValidatorIndex;
  readonly body: Body;
  readonly message: SharesMessage;
}

export interface Revealed {
  readonly emitted: EmittedBatch;
  readonly verdicts: ReadonlyMap<OrderId, Verdict>;
}

export class RevealStage {
  readonly #voters: Voters;
  readonly #self: ValidatorIndex;
  readonly #signer: Signer;
  readonly #pool: OrderPool;
  readonly #linearizer: Linearizer;
  readonly #opener: Opener;
  readonly #retryMs: number;
  readonly #batches = new Map<number, SealedBatch>();
  /** Shares of cuts that are not final here yet, by member and height. */
  readonly #early = new Map<ValidatorIndex, Map<number, SharesMessage[]>>();
  readonly #bad: BadShare[] = [];
  /** Verdicts of the log, for batches that the replay has not come to. */
  readonly #replayed = new Map<number, ReadonlyMap<OrderId, Verdict>>();

  constructor(
    voters: Voters,
    self: ValidatorIndex,
    signer: Signer,
    pool: OrderPool,
    linearizer: Linearizer,
    retryMs: number,
  ) {
    this.#voters = voters;
    this.#self = self;
    this.#signer = signer;
    this.#pool = pool;
    this.#linearizer = linearizer;
    this.#opener = new Opener(voters.crypto, voters.committee);
    this.#retryMs = retryMs;
  }

  /** A final cut selected a batch. */
  select(selection: Selection, now: Instant): void {
    const { height, cutHash: cut, open: ids } = selection;
    if (ids.length === 0) return;
    const batch: SealedBatch = {
      height,
      cut,
      ids,
      verdicts: new Map(this.#replayed.get(height)),
      shares: new Map(ids.map(id => [id, new Map()])),
      heard: new Map(),
      askAt: after(now, this.#retryMs),
    };
    this.#replayed.delete(height);
    this.#batches.set(height, batch);
    for (const id of ids) {
      const share = this.#pool.get(id)?.share;
      if (share !== undefined) batch.shares.get(id)?.set(this.#self, share);
    }
    for (const id of ids) this.#open(batch, id);
    for (const [from, messages] of this.#early) {
      for (const message of messages.get(height) ?? []) this.#take(batch, from, message);
      for (const early of messages.keys()) if (early <= height) messages.delete(early);
    }
  }

  /** Verdicts of the log: what was opened before a restart needs no shares. */
  replayVerdicts(height: number, verdicts: ReadonlyMap<OrderId, Verdict>): void {
    const batch = this.#batches.get(height);
    if (batch === undefined) this.#replayed.set(height, verdicts);
    else for (const [id, verdict] of verdicts) batch.verdicts.set(id, verdict);
  }

  /** This member's shares of a batch of a final cut, each message signed: a bad share convicts its sender. */
  ownShares(height: number, cut: HashHex, ids: readonly OrderId[]): SharesMessage[] {
    if (this.#voters.committee.parameters.mode === 'open') return [];
    const messages: SharesMessage[] = [];
    for (let offset = 0; offset < ids.length; offset += LIMITS.maxSharesPerMessage) {
      const page = ids.slice(offset, offset + LIMITS.maxSharesPerMessage);
      const fields = { height, cut, offset, ids: page, shares: page.map(id => this.#pool.get(id)?.share) };
      const signature = this.#voters.sign(this.#signer, 'shares', sharesBody(fields));
      messages.push({ kind: 'shares', ...fields, signature });
    }
    return messages;
  }

  /** The batch of this height, while it waits to be opened. */
  waiting(height: number): Pick<SealedBatch, 'cut' | 'ids'> | undefined {
    return this.#batches.get(height);
  }

  /** Shares that a member sent. `finalHeight`: the last cut that was taken here. */
  receive(from: ValidatorIndex, message: SharesMessage, finalHeight: number): void {
    const batch = this.#batches.get(message.height);
    if (batch !== undefined) this.#take(batch, from, message);
    else if (message.height > finalHeight) this.#keepEarly(from, message);
  }

  /** Emits the next batch when all its orders are opened or void. */
  step(): Revealed | undefined {
    const next = this.#linearizer.next;
    const batch = next && this.#batches.get(next.height);
    if (batch === undefined || batch.verdicts.size < batch.ids.length) return undefined;
    this.#batches.delete(batch.height);
    const verdicts = new Map([...batch.verdicts].sort(([a], [b]) => (a < b ? -1 : 1)));
    return { emitted: this.#linearizer.emit(verdicts), verdicts };
  }

  /** Bad shares found since the last call. */
  takeBadShares(): readonly BadShare[] {
    return this.#bad.splice(0);
  }

  /** Heights of batches whose shares have to be asked for again. */
  due(now: Instant): number[] {
    const due = [...this.#batches.values()].filter(({ askAt }) => now >= askAt);
    for (const batch of due) batch.askAt = after(now, this.#retryMs);
    return due.map(({ height }) => height);
  }

  nextDeadline(): Instant | undefined {
    return earliest(...[...this.#batches.values()].map(({ askAt }) => askAt));
  }

  #keepEarly(from: ValidatorIndex, message: SharesMessage): void {
    const heights = this.#early.get(from) ?? new Map<number, SharesMessage[]>();
    const pages = heights.get(message.height) ?? [];
    const kept = [...heights.values()].flat().reduce((sum, { ids }) => sum + ids.length, 0);
    if (message.ids.length === 0 || kept + message.ids.length > LIMITS.maxEarlyShares) return;
    if (pages.length === 0 && heights.size >= LIMITS.maxViewsAhead) return; // asked for when the cut is final
    heights.set(message.height, [...pages, message]);
    this.#early.set(from, heights);
  }

  #take(batch: SealedBatch, from: ValidatorIndex, message: SharesMessage): void {
    if (message.cut !== batch.cut || !isPageOf(batch, message)) return;
    const pages = batch.heard.get(from) ?? [];
    if (pages.some(({ offset }) => offset === message.offset)) return;
    batch.heard.set(from, [...pages, message]);
    message.ids.forEach((id, i) => {
      const share = message.shares[i];
      const shares = batch.shares.get(id);
      if (share === undefined || shares === undefined || shares.has(from) || batch.verdicts.has(id)) return;
      shares.set(from, share);
      this.#open(batch, id);
    });
  }

  #open(batch: SealedBatch, id: OrderId): void {
    const body = this.#pool.get(id);
    const shares = batch.shares.get(id);
    if (body === undefined || shares === undefined || batch.verdicts.has(id)) return;
    const enough = body.envelope.mode === 'open' ? 0 : this.#voters.committee.tolerance.t;
    if (shares.size < enough) return;
    const step = this.#opener.open(body.envelope, shares);
    for (const validator of step.bad) {
      shares.delete(validator);
      const message = batch.heard.get(validator)?.find(({ ids }) => ids.includes(id));
      if (message !== undefined) this.#bad.push({ validator, body, message });
    }
    if (step.kind === 'verdict') batch.verdicts.set(id, step.verdict);
  }
}

/** True when the message is about the orders of this batch from its offset on. */
const isPageOf = ({ ids }: SealedBatch, { offset, ids: page }: SharesMessage): boolean =>
  page.length > 0 && page.every((id, i) => ids[offset + i] === id);
