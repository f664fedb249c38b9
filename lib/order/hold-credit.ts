/**
 * Hold credit: an order that is not ready may hold back others for its sender's credit only. Who makes others late again
 * and again loses it for a minute of cut time, so that withholding an order from some lanes stops nobody for long.
 */
import type { PeerId } from '../identity/peer-id.js';

const DEBITS = 8;
const MINUTE_MS = 60_000;

export class HoldCredit {
  /** Cut times of the last debits by sender, at most eight. */
  readonly debits: Map<PeerId, number[]>;

  constructor(debits: ReadonlyMap<PeerId, readonly number[]> = new Map()) {
    this.debits = new Map([...debits].map(([sender, times]) => [sender, [...times]]));
  }

  /** False for a minute after the eighth debit within a minute. */
  has(sender: PeerId, now: number): boolean {
    const times = this.debits.get(sender);
    if (times === undefined || times.length < DEBITS) return true;
    const [first, last] = [times[0] as number, times[DEBITS - 1] as number];
    return last - first >= MINUTE_MS || now - last >= MINUTE_MS;
  }

  debit(sender: PeerId, now: number): void {
    const times = this.debits.get(sender) ?? [];
    times.push(now);
    if (times.length > DEBITS) times.shift();
    this.debits.set(sender, times);
  }

  /** Drops the senders whose last debit no longer counts. */
  forget(now: number): void {
    for (const [sender, times] of this.debits) if (now - (times.at(-1) ?? 0) >= MINUTE_MS) this.debits.delete(sender);
  }
}
