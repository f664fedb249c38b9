/** The delivered end of the log as one member keeps it: for observers, for fairness receipts, for members that lag. */

import { equalBytes } from '../bytes.js';
import type { CryptoProvider, Signer } from '../crypto/interface.js';
import { LIMITS } from '../limits.js';
import type { PinnedCommittee } from './committee.js';
import {
  encodeFairnessReceipt,
  encodeRootStatement,
  type RootStatement,
  rootStatementOf,
  signRoot,
  verifyRoot,
} from './fairness-receipt.js';
import type { EmittedBatch } from './linearizer-io.js';
import type { RootMessage } from './messages.js';
import type { Batch, Entry, OrderId, ValidatorIndex } from './types.js';

interface Kept extends EmittedBatch {
  readonly statement: RootStatement;
  /** By member; those of others are checked when a receipt needs them. */
  readonly signatures: Map<ValidatorIndex, Uint8Array>;
}

export class History {
  readonly #crypto: CryptoProvider;
  readonly #committee: PinnedCommittee;
  readonly #self: ValidatorIndex;
  readonly #signer: Signer;
  readonly #kept = new Map<number, Kept>();
  /** The same, ascending by height and first index. */
  readonly #batches: Batch[] = [];
  readonly #heightOf = new Map<OrderId, number>();
  /** Root messages on batches that are not opened here yet. */
  readonly #early = new Map<number, Map<ValidatorIndex, RootMessage>>();
  #last: Batch | undefined;

  constructor(crypto: CryptoProvider, committee: PinnedCommittee, self: ValidatorIndex, signer: Signer) {
    this.#crypto = crypto;
    this.#committee = committee;
    this.#self = self;
    this.#signer = signer;
  }

  /** Height of the last batch; 0 while the log is empty. */
  get height(): number {
    return this.#last?.height ?? 0;
  }

  /** Entries so far. */
  get size(): number {
    return this.#last === undefined ? 0 : this.#last.firstIndex + this.#last.entries.length;
  }

  add(emitted: EmittedBatch): void {
    const { batch } = emitted;
    const kept: Kept = { ...emitted, statement: rootStatementOf(batch), signatures: new Map() };
    this.#kept.set(batch.height, kept);
    this.#batches.push(batch);
    this.#last = batch;
    for (const { id } of batch.entries) this.#heightOf.set(id, batch.height);
    for (const [from, message] of this.#early.get(batch.height) ?? []) this.takeRoot(from, message);
    for (const height of this.#early.keys()) if (height <= batch.height) this.#early.delete(height);
    if (this.#kept.size > LIMITS.maxKeptHeights) this.#forgetOldest();
  }

  #forgetOldest(): void {
    const oldest = this.#batches.shift();
    if (oldest === undefined) return;
    this.#kept.delete(oldest.height);
    for (const { id } of oldest.entries) this.#heightOf.delete(id);
  }

  batch(height: number): Batch | undefined {
    return this.#kept.get(height)?.batch;
  }

  /** The first batch that holds entries from `index` on. */
  batchFrom(index: number): Batch | undefined {
    if (index >= this.size) return undefined;
    let [low, high] = [0, this.#batches.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const batch = this.#batches[middle];
      if (batch !== undefined && batch.firstIndex + batch.entries.length <= index) low = middle + 1;
      else high = middle;
    }
    return this.#batches[low];
  }

  /** The entry of this order, while its batch is kept. */
  entryOf(id: OrderId): Entry | undefined {
    const height = this.#heightOf.get(id);
    return height === undefined ? undefined : this.batch(height)?.entries.find(entry => entry.id === id);
  }

  /** This member's signature on the root after a batch, made when first needed. */
  ownRoot(height: number): RootMessage | undefined {
    const kept = this.#kept.get(height);
    if (kept === undefined) return undefined;
    const signature = kept.signatures.get(this.#self) ?? signRoot(this.#committee, this.#signer, kept.statement);
    kept.signatures.set(this.#self, signature);
    return { kind: 'root', statement: kept.statement, signature };
  }

  /** `different`: a member signed another log. */
  takeRoot(from: ValidatorIndex, message: RootMessage): 'taken' | 'different' {
    const { height } = message.statement;
    const kept = this.#kept.get(height);
    if (kept === undefined) {
      if (height > this.height && (this.#early.has(height) || this.#early.size < LIMITS.maxViewsAhead)) {
        const early = this.#early.get(height) ?? new Map<ValidatorIndex, RootMessage>();
        this.#early.set(height, early.set(from, message));
      }
      return 'taken';
    }
    if (!equalBytes(encodeRootStatement(message.statement), encodeRootStatement(kept.statement))) return 'different';
    if (!kept.signatures.has(from)) kept.signatures.set(from, message.signature);
    return 'taken';
  }

  /** `unsigned`: fewer than f+1 members have signed the root so far, as far as this member heard. */
  receipt(by: { readonly id: OrderId } | { readonly index: number }): Uint8Array | 'unknown' | { unsigned: number } {
    const height = 'id' in by ? this.#heightOf.get(by.id) : this.batchFrom(by.index)?.height;
    const kept = height === undefined ? undefined : this.#kept.get(height);
    const entry = kept?.batch.entries.find(({ id, index }) => ('id' in by ? id === by.id : index === by.index));
    if (kept === undefined || entry === undefined) return 'unknown';
    const signatures = this.#validSignatures(kept);
    if (signatures.length <= this.#committee.tolerance.f) return { unsigned: kept.batch.height };
    return encodeFairnessReceipt({
      committeeHash: this.#committee.hashHex,
      statement: kept.statement,
      index: entry.index,
      id: entry.id,
      path: kept.pathOf(entry.index),
      signatures,
    });
  }

  /** f+1 signatures, one's own first; a bad one is dropped. */
  #validSignatures(kept: Kept): { validator: ValidatorIndex; signature: Uint8Array }[] {
    this.ownRoot(kept.batch.height);
    const valid: { validator: ValidatorIndex; signature: Uint8Array }[] = [];
    for (const [validator, signature] of kept.signatures) {
      if (valid.length > this.#committee.tolerance.f) break;
      if (verifyRoot(this.#crypto, this.#committee, kept.statement, { validator, signature })) {
        valid.push({ validator, signature });
      } else kept.signatures.delete(validator);
    }
    return valid;
  }
}
