/**
 * When the destination was reached, by whatever path: spans of the sending times of what was receipted. A loss counts
 * against a path only when something that was sent soon after it arrived; when nothing does, nobody is blamed (overlay.md
 * point 9).
 */
import type { Instant } from '../env.js';

interface Span {
  from: Instant;
  to: Instant;
}

/** Pauses between them are remembered so far back; losses are judged within a second or so. */
const MAX_SPANS = 64;
/** A hedge leaves one PTO after what it stands in for; timers have a grain. */
const SOON_PTOS = 1.25;

export class Arrivals {
  readonly #spans: Span[] = [];

  /** What was sent at `sentAt` was receipted. */
  note(sentAt: Instant, ptoMs: number): void {
    const spans = this.#spans;
    const last = spans[spans.length - 1];
    if (last !== undefined && sentAt <= last.to) {
      if (sentAt < last.from && last.from - sentAt <= SOON_PTOS * ptoMs) last.from = sentAt;
      return;
    }
    if (last !== undefined && sentAt - last.to <= SOON_PTOS * ptoMs) {
      last.to = sentAt;
      return;
    }
    spans.push({ from: sentAt, to: sentAt });
    if (spans.length > MAX_SPANS) spans.shift();
  }

  /** Something that was sent after `sentAt`, and soon, arrived. */
  soonAfter(sentAt: Instant, ptoMs: number): boolean {
    for (let i = this.#spans.length - 1; i >= 0; i--) {
      const span = this.#spans[i] as Span;
      if (sentAt < span.to && sentAt >= span.from - SOON_PTOS * ptoMs) return true;
    }
    return false;
  }
}
