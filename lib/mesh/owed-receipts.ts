/**
 * The receipts that this end owes, by path: which packets came, and when the other end must hear of it (overlay.md point 6).
 * They travel over the path that they acknowledge. Those for the critical class travel over another path too, with whatever
 * leaves there, so that a path that drops only receipts costs nothing: alone only after a few milliseconds, and bounded in
 * number, since in a healthy mesh the receipt of the second copy takes that of the first along.
 */
import { after, type Instant } from '../env.js';
import { MAX_RECEIPT_DELAY_MS, RateLimit, type ReceiptRanges } from '../route/index.js';
import type { Receipt } from '../wire/index.js';

/** So many packets or bytes are receipted without waiting for more. */
const MAX_OWED = 32;
const MAX_OWED_BYTES = 65_536;
/** A receipt for so much costs nothing beside it. For less, the sender gets it at once only so often. */
const CHEAP_FROM_BYTES = 8_192;
const AT_ONCE_PER_SECOND = 200;
const AT_ONCE_BURST = 40;
/** Packets that leave only to tell another path's receipts. */
const CROSS_PER_SECOND = 20;
const CROSS_BURST = 20;
/** Older packets than this below the newest are forgotten by their sender. */
const MAX_REPORTED = 16_384;

const NOTHING: readonly Receipt[] = [];

/** What a packet asks for. */
export interface Asked {
  readonly packet: number;
  readonly bytes: number;
  readonly atOnce: boolean;
  /** Of the critical class. */
  readonly critical: boolean;
  /** It brought something that no packet before it did. */
  readonly isNew: boolean;
}

interface Owed {
  readonly path: number;
  readonly received: ReceiptRanges;
  count: number;
  bytes: number;
  newestAt: Instant;
  due: Instant | undefined;
  /** Other paths have not told this path's latest receipt yet. */
  untold: boolean;
  crossDue: Instant | undefined;
}

export class OwedReceipts {
  readonly #paths = new Map<number, Owed>();
  readonly #elsewhere: (path: number) => number | undefined;
  readonly #atOnce = new RateLimit(AT_ONCE_PER_SECOND, AT_ONCE_BURST);
  readonly #cross = new RateLimit(CROSS_PER_SECOND, CROSS_BURST);

  /** `elsewhere` names the path over which receipts of this one travel too. */
  constructor(elsewhere: (path: number) => number | undefined) {
    this.#elsewhere = elsewhere;
  }

  /** `received` is the history of the path number, which outlives the path. */
  addPath(path: number, received: ReceiptRanges, now: Instant): void {
    const owed = { path, received, count: 0, bytes: 0, newestAt: now, due: undefined };
    this.#paths.set(path, { ...owed, untold: false, crossDue: undefined });
  }

  dropPath(path: number): void {
    this.#paths.delete(path);
  }

  owe(path: number, { packet, bytes, atOnce, critical, isNew }: Asked, now: Instant): void {
    const owed = this.#paths.get(path);
    if (owed === undefined) return;
    owed.received.add(packet);
    owed.newestAt = now;
    owed.count += 1;
    owed.bytes += bytes;
    const isUrgent = atOnce && (owed.bytes >= CHEAP_FROM_BYTES || this.#atOnce.take(now));
    if (isUrgent || owed.count >= MAX_OWED || owed.bytes >= MAX_OWED_BYTES) owed.due = now;
    else owed.due ??= after(now, MAX_RECEIPT_DELAY_MS);
    if (!critical) return;
    owed.untold = true;
    // What came before over another path was receipted there: the sender waits for nothing any more.
    if (isNew) owed.crossDue ??= after(now, MAX_RECEIPT_DELAY_MS);
  }

  /** What a packet that leaves over this path takes along, due or not. */
  take(path: number, now: Instant): readonly Receipt[] {
    let receipts: Receipt[] | undefined;
    for (const owed of this.#paths.values()) {
      if (owed.path === path) {
        if (owed.due === undefined) continue;
        owed.due = undefined;
        owed.count = 0;
        owed.bytes = 0;
      } else {
        if (!owed.untold) continue;
        owed.untold = false;
        owed.crossDue = undefined;
      }
      receipts ??= [];
      receipts.push({ path: owed.path, delayMs: now - owed.newestAt, ranges: rangesOf(owed.received) });
    }
    return receipts ?? NOTHING;
  }

  /** A path over which a packet must leave now; ask again after it has. */
  nextPath(now: Instant): number | undefined {
    for (const owed of this.#paths.values()) {
      if (owed.due !== undefined && owed.due <= now) return owed.path;
    }
    for (const owed of this.#paths.values()) {
      if (owed.crossDue === undefined || owed.crossDue > now) continue;
      const other = this.#elsewhere(owed.path);
      if (other !== undefined && this.#cross.take(now)) return other;
      owed.crossDue = other === undefined ? undefined : after(now, 1_000 / CROSS_PER_SECOND);
    }
    return undefined;
  }

  /** When `nextPath` is to be asked. */
  get deadline(): Instant | undefined {
    let earliest: Instant | undefined;
    for (const { due, crossDue } of this.#paths.values()) {
      if (due !== undefined && (earliest === undefined || due < earliest)) earliest = due;
      if (crossDue !== undefined && (earliest === undefined || crossDue < earliest)) earliest = crossDue;
    }
    return earliest;
  }
}

/** Most often one range reaches back to the first packet: the tail of it is not worth its bytes. */
function rangesOf({ ranges }: ReceiptRanges): Receipt['ranges'] {
  const [newest] = ranges;
  if (newest === undefined || newest.last - newest.first < MAX_REPORTED) return ranges;
  return [{ first: newest.last - MAX_REPORTED + 1, last: newest.last }];
}
