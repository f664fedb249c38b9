/** Publications between a subscription and its reader. Who reads too slowly is told what was dropped. */
import type { HopfairError } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { Publication } from './types.js';

interface Waiter {
  resolve(result: IteratorResult<Publication>): void;
  reject(error: HopfairError): void;
}

interface Dropped {
  readonly epoch: number;
  readonly from: number;
  to: number;
}

const DONE: IteratorResult<Publication> = { done: true, value: undefined };

export class PublicationQueue implements AsyncIterableIterator<Publication> {
  readonly #onEnd: () => void;
  #items: Publication[] = [];
  /** Where the reader is in `#items`: taking from the front of a long array would copy all of it. */
  #at = 0;
  #bytes = 0;
  #dropped: Dropped | undefined;
  readonly #waiters: Waiter[] = [];
  #ended = false;
  #error: HopfairError | undefined;

  /** `onEnd` is called once, when nothing is wanted any more. */
  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  push(publication: Publication): void {
    if (this.#ended) return;
    const bytes = publication.kind === 'message' ? publication.bytes.length : 0;
    const isFull =
      this.#items.length - this.#at >= LIMITS.maxUnreadPublications ||
      this.#bytes + bytes > LIMITS.maxUnreadPublicationBytes;
    if (isFull) {
      this.#drop(publication);
      return;
    }
    this.#tellDropped();
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) waiter.resolve({ done: false, value: publication });
    else {
      this.#items.push(publication);
      this.#bytes += bytes;
    }
  }

  #drop(publication: Publication): void {
    if (publication.kind === 'gap' && publication.recovered) return; // its messages follow, and are dropped or not
    const from = publication.kind === 'gap' ? publication.from : publication.sequence;
    const to = publication.kind === 'gap' ? (publication.to ?? publication.from) : publication.sequence;
    // Of another run: what was dropped of the old one is told, above the limit by one.
    if (this.#dropped?.epoch !== publication.epoch) this.#tellDropped();
    this.#dropped ??= { epoch: publication.epoch, from, to };
    this.#dropped.to = to;
  }

  #tellDropped(): void {
    if (this.#dropped === undefined) return;
    this.#items.push({ kind: 'gap', ...this.#dropped, recovered: false });
    this.#dropped = undefined;
  }

  next(): Promise<IteratorResult<Publication>> {
    if (this.#at === this.#items.length) this.#tellDropped();
    if (this.#at < this.#items.length) return Promise.resolve({ done: false, value: this.#take() });
    if (this.#error !== undefined) {
      const error = this.#error;
      this.#error = undefined;
      return Promise.reject(error);
    }
    if (this.#ended) return Promise.resolve(DONE);
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  #take(): Publication {
    const publication = this.#items[this.#at] as Publication;
    this.#at += 1;
    if (publication.kind === 'message') this.#bytes -= publication.bytes.length;
    if (this.#at === this.#items.length) {
      this.#items.length = 0;
      this.#at = 0;
    } else if (this.#at >= 1_024 && this.#at * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#at);
      this.#at = 0;
    }
    return publication;
  }

  /** The reader has enough. */
  return(): Promise<IteratorResult<Publication>> {
    this.#items = [];
    this.#at = 0;
    this.#bytes = 0;
    this.#dropped = undefined;
    this.end();
    return Promise.resolve(DONE);
  }

  /** What was pushed can still be read; then the reader gets `error`, if there is one, and the end. */
  end(error?: HopfairError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    const [first, ...others] = this.#waiters.splice(0);
    if (first !== undefined && error !== undefined) {
      this.#error = undefined;
      first.reject(error);
    } else first?.resolve(DONE);
    for (const waiter of others) waiter.resolve(DONE);
    this.#onEnd();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
