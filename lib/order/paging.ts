/** Lists that may be longer than one message holds: no answer, repetition or proposal outgrows what a session carries. */
import { LIMITS } from '../limits.js';

/** Splits items into pages of bounded count and bytes; a single item is never too large. No items: no page. */
export function* pages<T>(items: Iterable<T>, sizeOf: (item: T) => number): Generator<T[]> {
  let page: T[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = sizeOf(item);
    if (page.length > 0 && (page.length >= LIMITS.maxMessageParts || bytes + size > LIMITS.maxAnswerBytes)) {
      yield page;
      page = [];
      bytes = 0;
    }
    page.push(item);
    bytes += size;
  }
  if (page.length > 0) yield page;
}

/** The first page: what is answered at once. */
export function firstPage<T>(items: Iterable<T>, sizeOf: (item: T) => number): T[] {
  for (const page of pages(items, sizeOf)) return page;
  return [];
}
