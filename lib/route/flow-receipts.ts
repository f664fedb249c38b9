/** What receipts do: they settle payloads, give points, and feed the estimators (overlay.md points 6 to 8). */
import type { FlowCore } from './flow-core.js';
import type { FlowJudge } from './flow-judge.js';
import type { Copy, PathLane } from './flow-lane.js';
import type { FlowPath } from './flow-path.js';
import type { FlowSending } from './flow-sending.js';
import type { OwnHealth } from './own-health.js';
import { inRanges, type PacketRange } from './ranges.js';

export class FlowReceipts<T> {
  readonly #core: FlowCore<T>;
  readonly #sending: FlowSending<T>;
  readonly #judge: FlowJudge<T>;
  readonly #health: OwnHealth;
  /** The copies of the present receipt, used again for each. */
  readonly #newly: Copy<T>[] = [];

  constructor(core: FlowCore<T>, sending: FlowSending<T>, judge: FlowJudge<T>, health: OwnHealth) {
    this.#core = core;
    this.#sending = sending;
    this.#judge = judge;
    this.#health = health;
  }

  take(path: FlowPath<T>, ranges: readonly PacketRange[], delayMs: number): void {
    const core = this.#core;
    const last = ranges[0]?.last;
    // A receipt for what was never sent proves that the peer lies; there is nothing in it worth reading.
    if (last === undefined || !this.#sending.wasSent(path.id, last)) return;
    const wasSilent = path.misses > 0;
    const stale = this.#health.samplesAreStale(core.now);
    const urgent = this.#settle(path.lanes.urgent, ranges, last);
    const normal = this.#settle(path.lanes.normal, ranges, last);
    // First everything is settled, then judged: what a switch sends again must not be among what was just receipted.
    for (const copy of this.#newly) this.#judge.receipted(copy, stale);
    this.#newly.length = 0;
    if (!stale) {
      // Urgent packets are receipted at once, so each new one is a sample, though others that left later overtook it: a
      // relay that delays only these must show. Of the others only the newest tells how long its receipt was held back.
      if (urgent !== undefined) this.#sample(path, urgent, delayMs);
      if (normal?.packet === last) this.#sample(path, normal, delayMs);
    }
    if (path === core.paths.active && path.returned.test.alarmed) this.#judge.judgeLoss();
    // It works again: what backed off need not wait any longer.
    if (wasSilent && path === core.paths.active) for (const item of core.late.keys()) this.#sending.retransmit(item);
  }

  /** The receipt travelled over another path: it settles, and says nothing of the RTT or the silence of this one. */
  takeArrived(path: FlowPath<T>, ranges: readonly PacketRange[]): void {
    const last = ranges[0]?.last;
    if (last === undefined || !this.#sending.wasSent(path.id, last)) return;
    for (const copy of path.copies()) {
      if (copy.arrived || !inRanges(ranges, copy.packet)) continue;
      copy.arrived = true;
      this.#core.settle(copy.item, 'receipted');
    }
  }

  /** Returns the copy of the highest number that was not receipted before. */
  #settle(lane: PathLane<T>, ranges: readonly PacketRange[], last: number): Copy<T> | undefined {
    let newest: Copy<T> | undefined;
    for (const copies of [lane.overdue, lane.waiting]) {
      for (const copy of copies.values()) {
        if (copy.packet > last) break;
        if (!inRanges(ranges, copy.packet)) continue;
        if (newest === undefined || copy.packet > newest.packet) newest = copy;
        copy.path.noteReceipt(copy, this.#core.now);
        this.#core.arrivals.note(copy.sentAt, copy.path.rtt.ptoMs);
        this.#core.settle(copy.item, 'receipted');
        this.#newly.push(copy);
      }
    }
    return newest;
  }

  #sample(path: FlowPath<T>, copy: Copy<T>, delayMs: number): void {
    path.noteSample(copy.lane, this.#core.now - copy.sentAt, delayMs, this.#core.now);
    if (path.window.selfInflicted || path !== this.#core.paths.active) return;
    this.#judge.sampled(copy.lane, copy);
  }
}
