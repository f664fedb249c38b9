/**
 * What the members say of the log, put together: pages become batches, and the batch that f+1 members tell alike, at
 * least one of them honest, is the next one. Decides only; it knows neither time nor the network.
 */
import { fromHex, toHex, Writer } from '../bytes.js';
import type { CryptoProvider } from '../crypto/interface.js';
import { type BatchPage, writeEntry } from '../order/client-messages.js';
import type { Batch, Entry, Tolerance, ValidatorIndex } from '../order/types.js';

interface Told {
  readonly batch: Batch;
  readonly digest: string;
}

/** What one member has told and f+1 have not confirmed yet. */
class MemberView {
  /** The batch whose pages are arriving. */
  #pages: BatchPage | undefined;
  #entries: Entry[] = [];
  told: Told[] = [];
  /** Index of the next entry that this member has to tell. */
  next: number;
  /** Where the member's log begins, when it said that what was asked for is gone. */
  gap: number | undefined;

  constructor(next: number) {
    this.next = next;
  }

  /** False when the page does not follow what the member told before: something was lost or is made up. */
  take(page: BatchPage, digestOf: (batch: Batch) => string): boolean {
    const end = page.firstIndex + page.count;
    if (end <= this.next) return true; // told before: it was asked again meanwhile
    const continues = this.#pages?.height === page.height && this.#entries.length === page.offset;
    if (page.offset > 0 ? !continues : page.firstIndex > this.next) return false;
    if (page.offset === 0) this.#entries = [];
    this.#pages = page;
    this.#entries.push(...page.entries);
    if (this.#entries.length < page.count) return page.entries.length > 0;
    const { height, cutHash, firstIndex, logRoot } = page;
    const batch: Batch = { height, cutHash, firstIndex, entries: this.#entries, logRoot };
    this.told.push({ batch, digest: digestOf(batch) });
    this.next = end;
    this.restart();
    return true;
  }

  /** Forgets the pages of a batch that is not complete. */
  restart(): void {
    this.#pages = undefined;
    this.#entries = [];
  }
}

export class LogAgreement {
  readonly #crypto: CryptoProvider;
  readonly #tolerance: Tolerance;
  readonly #views: readonly MemberView[];
  #next: number;

  /** Agrees on batches from the one that holds the entry of this index on. */
  constructor(crypto: CryptoProvider, tolerance: Tolerance, index: number) {
    this.#crypto = crypto;
    this.#tolerance = tolerance;
    this.#next = index;
    this.#views = Array.from({ length: tolerance.n }, () => new MemberView(index));
  }

  /** Index of the next entry to agree on. */
  get next(): number {
    return this.#next;
  }

  /** Index of the entry from which this member has to go on. */
  nextOf(member: ValidatorIndex): number {
    return this.#views[member]?.next ?? this.#next;
  }

  /** Batches that a member told and that are not agreed yet. */
  aheadOf(member: ValidatorIndex): number {
    return this.#views[member]?.told.length ?? 0;
  }

  /** The member is asked again from `nextOf` on. */
  restart(member: ValidatorIndex): void {
    this.#views[member]?.restart();
  }

  /** False when the member has to be asked again, because the page does not follow what it told before. */
  page(from: ValidatorIndex, page: BatchPage): boolean {
    return this.#views[from]?.take(page, batch => this.#digest(batch)) ?? false;
  }

  /** The next batch, as soon as f+1 members have told the same of it. */
  takeAgreed(): Batch | undefined {
    const votes = new Map<string, number>();
    for (const view of this.#views) {
      const told = view.told[0];
      if (told === undefined || told.batch.firstIndex > this.#next) continue;
      const count = (votes.get(told.digest) ?? 0) + 1;
      votes.set(told.digest, count);
      if (count <= this.#tolerance.f) continue;
      this.#next = told.batch.firstIndex + told.batch.entries.length;
      this.#skipTo(this.#next);
      return told.batch;
    }
    return undefined;
  }

  /** A member does not hold what it was asked for any more. */
  gap(from: ValidatorIndex, next: number): void {
    const view = this.#views[from];
    if (view === undefined || next <= this.#next) return;
    view.gap = next;
    view.next = next;
    view.restart();
  }

  /**
   * Where the log can be read from on, when too few members are left that may hold the next entry: the first index that
   * f+1 honest ones hold whatever f members say. Undefined while there is no gap.
   */
  takeGap(): number | undefined {
    const { n, f } = this.#tolerance;
    const gaps = this.#views.flatMap(({ gap }) => (gap !== undefined && gap > this.#next ? [gap] : []));
    if (n - gaps.length > f) return undefined;
    const index = gaps.sort((a, b) => a - b)[Math.min(2 * f, gaps.length - 1)] ?? this.#next;
    this.#next = index;
    this.#skipTo(index);
    return index;
  }

  #skipTo(index: number): void {
    for (const view of this.#views) {
      view.told = view.told.filter(({ batch }) => batch.firstIndex + batch.entries.length > index);
      if (view.next < index) {
        view.next = index;
        view.restart();
      }
    }
  }

  #digest({ height, cutHash, firstIndex, logRoot, entries }: Batch): string {
    const w = new Writer(1024).u64(height).raw(fromHex(cutHash)).u64(firstIndex).raw(fromHex(logRoot));
    for (const entry of entries) writeEntry(w, entry);
    return toHex(this.#crypto.hash('SHA256').digest(w.finish()));
  }
}
