/**
 * A reader of the log that is no member: it follows what f+1 of at least 2f+1 members agree on, resumes anywhere, and
 * never skips silently. Order.md section 5.
 */
import type { CryptoProvider } from '../crypto/interface.js';
import { after, type Instant } from '../env.js';
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import type { Machine } from '../machine.js';
import {
  type BatchPage,
  decodeReply,
  encodeClientMessage,
  encodeReply,
  type MemberReply,
  type Position,
} from './client-messages.js';
import type { PinnedCommittee } from './committee.js';
import type { Batch, Entry, HashHex, ValidatorIndex } from './types.js';
import { Voters } from './voters.js';

export interface ObserverOptions {
  readonly committee: PinnedCommittee;
  readonly crypto: CryptoProvider;
  /** The first entry that is wanted; default: the beginning of the log. */
  readonly from?: Position;
  /** Batches that each member may send ahead. Default 64. */
  readonly credit?: number;
}

export type ObserverInput =
  | { readonly kind: 'message'; readonly from: PeerId; readonly bytes: Uint8Array }
  | { readonly kind: 'peer-up'; readonly peer: PeerId }
  | { readonly kind: 'peer-down'; readonly peer: PeerId }
  | { readonly kind: 'tick' };

export type ObserverEffect =
  | { readonly kind: 'send'; readonly to: PeerId; readonly bytes: Uint8Array }
  /** The next batch: in order, without gaps in the index, the same at every observer. It may begin before `from`. */
  | { readonly kind: 'deliver'; readonly batch: Batch }
  /** Too few members hold what was asked for; the log goes on at `to`. */
  | { readonly kind: 'gap'; readonly from: Position; readonly to: Position }
  /** What a member says that contradicts what f+1 others agree on, or that cannot be read. */
  | { readonly kind: 'misbehaviour'; readonly peer: PeerId; readonly what: string };

/** What one member has told of the log from the next index on. */
interface Source {
  readonly peer: PeerId;
  /** Batches in order, each contiguous with the one before it. */
  batches: { readonly batch: Batch; readonly digest: HashHex }[];
  /** The batch of which not all pages are here. */
  partial: { readonly head: BatchPage; readonly entries: Entry[] } | undefined;
  /** Where this member says that its log begins, when what is wanted lies before. */
  begins: Position | undefined;
  credit: number;
}

const DEFAULT_CREDIT = 64;
/** A member that fell silent is asked again after this long. */
const RENEW_MS = 2_000;

export class Observer implements Machine<ObserverInput, ObserverEffect> {
  readonly #voters: Voters;
  readonly #credit: number;
  readonly #sources = new Map<ValidatorIndex, Source>();
  #next: Position;
  #effects: ObserverEffect[] = [];
  #renewAt: Instant | undefined;

  constructor({ committee, crypto, from, credit }: ObserverOptions) {
    this.#voters = new Voters(committee, crypto);
    this.#credit = Math.min(credit ?? DEFAULT_CREDIT, LIMITS.maxObserverCredit);
    this.#next = from ?? { height: 0, index: 0 };
  }

  /** Where the next batch begins at the latest: hand it to a new observer to go on from here. */
  get next(): Position {
    return this.#next;
  }

  handle(input: ObserverInput, now: Instant): readonly ObserverEffect[] {
    switch (input.kind) {
      case 'message':
        this.#onMessage(input.from, input.bytes);
        break;
      case 'peer-up':
        this.#onPeerUp(input.peer);
        break;
      case 'peer-down':
        this.#forget(input.peer);
        break;
      case 'tick':
        break;
    }
    while (this.#agree());
    this.#renewAt ??= after(now, RENEW_MS);
    if (now >= this.#renewAt) {
      this.#renewAt = after(now, RENEW_MS);
      this.#agreeOnGap();
      for (const source of this.#sources.values()) if (source.batches.length === 0) this.#subscribe(source);
    }
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  nextDeadline(): Instant | undefined {
    return this.#sources.size === 0 ? undefined : this.#renewAt;
  }

  #onPeerUp(peer: PeerId): void {
    const index = this.#voters.indexOf(peer);
    if (index === undefined) return;
    const source: Source = { peer, batches: [], partial: undefined, begins: undefined, credit: 0 };
    this.#sources.set(index, source);
    this.#subscribe(source);
  }

  #forget(peer: PeerId): void {
    const index = this.#voters.indexOf(peer);
    if (index !== undefined) this.#sources.delete(index);
  }

  /** Asks a member for all from the next index on; what it had sent ahead it sends again. */
  #subscribe(source: Source): void {
    source.batches = [];
    source.partial = undefined;
    source.begins = undefined;
    source.credit = this.#credit;
    const bytes = encodeClientMessage({ kind: 'subscribe', from: this.#next, credit: this.#credit });
    this.#effects.push({ kind: 'send', to: source.peer, bytes });
  }

  #onMessage(from: PeerId, bytes: Uint8Array): void {
    const index = this.#voters.indexOf(from);
    const source = index === undefined ? undefined : this.#sources.get(index);
    if (source === undefined) return;
    try {
      this.#onReply(source, decodeReply(bytes));
    } catch (error) {
      if (!(error instanceof HopfairError) || error.code !== 'DECODE_FAILED') throw error;
      this.#effects.push({ kind: 'misbehaviour', peer: from, what: error.message });
    }
  }

  #onReply(source: Source, reply: MemberReply): void {
    if (reply.kind === 'gap' && reply.next.index > this.#next.index) source.begins = reply.next;
    else if (reply.kind === 'batch') this.#onPage(source, reply);
  }

  #onPage(source: Source, page: BatchPage): void {
    const { height, cutHash, firstIndex, logRoot, count, offset, entries } = page;
    if (firstIndex + count <= this.#next.index) return; // it was agreed on while it was under way
    if (count > LIMITS.maxBatchEntries) return;
    if (offset === 0) source.partial = { head: page, entries: [] };
    const { partial } = source;
    if (partial === undefined || partial.head.height !== height || partial.entries.length !== offset) return;
    partial.entries.push(...entries);
    if (partial.entries.length < count) return;
    source.partial = undefined;
    const last = source.batches.at(-1)?.batch;
    const follows = last === undefined || firstIndex === last.firstIndex + last.entries.length;
    if (!follows || source.credit === 0) return; // asked for anew when the source runs dry
    source.credit--;
    const batch: Batch = { height, cutHash, firstIndex, logRoot, entries: partial.entries };
    source.batches.push({ batch, digest: this.#digestOf(batch) });
  }

  /** Of everything in a batch: members that agree on it agree on each byte. */
  #digestOf({ height, cutHash, firstIndex, logRoot, entries }: Batch): HashHex {
    const whole = {
      kind: 'batch',
      height,
      cutHash,
      firstIndex,
      logRoot,
      entries,
      count: entries.length,
      offset: 0,
    } as const;
    return this.#voters.hashOf(encodeReply(whole));
  }

  /** Takes the next batch on which f+1 members agree. */
  #agree(): boolean {
    const heads = [...this.#sources.values()].filter(({ batches: [first] }) => first && this.#isNext(first.batch));
    for (const { batches } of heads) {
      const first = batches[0];
      if (first === undefined) continue;
      const agreeing = heads.filter(other => other.batches[0]?.digest === first.digest);
      if (agreeing.length > this.#voters.f) {
        this.#deliver(first.batch, first.digest);
        return true;
      }
    }
    return false;
  }

  /** The first batch of an observer that begins in its middle covers the wanted index; all others begin at it. */
  #isNext({ firstIndex, entries }: Batch): boolean {
    return firstIndex <= this.#next.index && this.#next.index < firstIndex + entries.length;
  }

  #deliver(batch: Batch, digest: HashHex): void {
    this.#effects.push({ kind: 'deliver', batch });
    this.#next = { height: batch.height + 1, index: batch.firstIndex + batch.entries.length };
    for (const source of this.#sources.values()) {
      const first = source.batches[0];
      if (first !== undefined && first.digest !== digest && first.batch.firstIndex < this.#next.index) {
        this.#effects.push({
          kind: 'misbehaviour',
          peer: source.peer,
          what: `another batch at height ${batch.height}`,
        });
      }
      source.batches = source.batches.filter(({ batch: held }) => held.firstIndex >= this.#next.index);
      if (source.credit <= this.#credit / 2 && source.batches.length === 0) this.#subscribe(source);
    }
  }

  /**
   * Looked at with each renewal, when all had time to answer: of the members that can be asked, n-f at least, too few may
   * still hold the wanted index. The log goes on at the least place that f+1 of them name: an honest one is among those,
   * so that no f liars can send the reader beyond what the honest ones hold.
   */
  #agreeOnGap(): void {
    const { n, f } = this.#voters;
    const begins = [...this.#sources.values()].map(source => source.begins).filter(begin => begin !== undefined);
    const reported = begins.filter(({ index }) => index > this.#next.index).sort((a, b) => a.index - b.index);
    const mayHold = this.#sources.size - reported.length;
    const to = reported[f];
    if (to === undefined || this.#sources.size < n - f || mayHold > f) return;
    this.#effects.push({ kind: 'gap', from: this.#next, to });
    this.#next = to;
    for (const source of this.#sources.values()) source.batches = [];
  }
}
