/** Observers of one member: each reads the log from its own place, as far ahead as it gave credit for. */
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import type { BatchPage, Position } from './client-messages.js';
import type { History } from './history.js';
import type { Outbox } from './outbox.js';
import type { Batch, Entry } from './types.js';

interface Subscription {
  /** The next entry to send. */
  index: number;
  /** Batches that may still be sent. */
  credit: number;
}

export class Readers {
  readonly #history: History;
  readonly #out: Outbox;
  readonly #subscriptions = new Map<PeerId, Subscription>();

  constructor(history: History, out: Outbox) {
    this.#history = history;
    this.#out = out;
  }

  subscribe(peer: PeerId, from: Position, credit: number): void {
    if (!this.#subscriptions.has(peer) && this.#subscriptions.size >= LIMITS.maxObservers) return;
    const first = this.#history.batchFrom(from.index);
    let { index } = from;
    if (first !== undefined && first.firstIndex > index) {
      index = first.firstIndex; // what lies before is not kept: never skip silently
      this.#out.reply(peer, { kind: 'gap', next: { height: first.height, index } });
    }
    const subscription = { index, credit };
    this.#subscriptions.set(peer, subscription);
    this.#push(peer, subscription);
  }

  unsubscribe(peer: PeerId): void {
    this.#subscriptions.delete(peer);
  }

  /** The log has grown. */
  push(): void {
    for (const [peer, subscription] of this.#subscriptions) this.#push(peer, subscription);
  }

  #push(peer: PeerId, subscription: Subscription): void {
    while (subscription.credit > 0) {
      const batch = this.#history.batchFrom(subscription.index);
      if (batch === undefined) return;
      for (const page of pagesOf(batch)) this.#out.reply(peer, page);
      const root = this.#history.ownRoot(batch.height);
      if (root !== undefined) this.#out.reply(peer, root);
      subscription.index = batch.firstIndex + batch.entries.length;
      subscription.credit--;
    }
  }
}

/** Rough size of an entry on the wire, of a committee of any size. */
const entryBytes = ({ opening, laneTimes }: Entry): number =>
  256 + laneTimes.length * 8 + (opening.kind === 'opened' ? opening.payload.length : 0);

function* pagesOf(batch: Batch): Generator<BatchPage> {
  const { height, cutHash, firstIndex, logRoot, entries } = batch;
  const page = (offset: number, end: number): BatchPage => ({
    kind: 'batch',
    height,
    cutHash,
    firstIndex,
    count: entries.length,
    logRoot,
    offset,
    entries: entries.slice(offset, end),
  });
  let [offset, bytes] = [0, 0];
  for (const [i, entry] of entries.entries()) {
    bytes += entryBytes(entry);
    if (i > offset && (bytes > LIMITS.maxAnswerBytes || i - offset >= LIMITS.maxPageEntries)) {
      yield page(offset, i);
      [offset, bytes] = [i, entryBytes(entry)];
    }
  }
  yield page(offset, entries.length);
}
