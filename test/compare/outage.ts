/** When delivery was restored after a fault, and stayed so. Pure. */

export interface Outage {
  /** From the fault to the sending of the first message after which all was well; undefined when that did not come. */
  readonly restoredMs: number | undefined;
  readonly lost: number;
  readonly sent: number;
  readonly worstOneWayMs: number;
}

export interface Delivery {
  /** When each message was sent. */
  readonly atMs: readonly number[];
  /** How long each took; null, or nothing, for one that did not arrive. */
  readonly oneWayMs: readonly (number | null)[];
}

/** A message may take this much longer than the median before the fault; more is late. Half of the 25 ms of the fault. */
export const LATE_MS = 12.5;
/** Of the hundred messages around one so many may be late, or twice the share before the fault: a busy machine delays some. */
const LATE_OF_100 = 5;
/** Right after the fault each that is late counts: that is the fault, and not the machine. */
const AT_ONCE_MS = 1_000;
/** Messages of the last two seconds before `nowMs` may still be under way. */
const UNDER_WAY_MS = 2_000;
/** Delivery counts as restored when it has stayed so for this long. */
const STAYS_MS = 2_000;

export function outageOf({ atMs, oneWayMs }: Delivery, faultAtMs: number, nowMs: number): Outage {
  const first = atMs.findIndex(at => at >= faultAtMs);
  const end = atMs.findIndex(at => at >= nowMs - UNDER_WAY_MS);
  const [from, to] = [first < 0 ? atMs.length : first, end < 0 ? atMs.length : end];
  const took = (i: number): number | null => oneWayMs[i] ?? null;
  const before = oneWayMs.slice(0, from).filter(ms => ms !== null);
  const typicalMs = before.sort((a, b) => a - b)[before.length >> 1] ?? Number.POSITIVE_INFINITY;
  const isLate = (i: number): boolean => (took(i) ?? 0) > typicalMs + LATE_MS;
  const lateBefore = before.filter(ms => ms > typicalMs + LATE_MS).length / before.length;
  const mostLate = Math.max(LATE_OF_100, 200 * lateBefore);
  const isBad = (i: number): boolean => {
    if (took(i) === null) return true;
    if (!isLate(i)) return false;
    if ((atMs[i] ?? 0) < faultAtMs + AT_ONCE_MS) return true;
    let late = 0;
    for (let j = Math.max(from, i - 50); j < Math.min(to, i + 50); j++) if (isLate(j)) late += 1;
    return late > mostLate;
  };
  let last = to - 1;
  while (last >= from && !isBad(last)) last -= 1;
  const restoredAtMs = last < from ? faultAtMs : (atMs[last + 1] ?? nowMs);
  const hasStayed = nowMs - UNDER_WAY_MS - restoredAtMs >= STAYS_MS;
  const arrived = oneWayMs.slice(from, to).filter(ms => ms !== null);
  return {
    restoredMs: hasStayed ? restoredAtMs - faultAtMs : undefined,
    lost: to - from - arrived.length,
    sent: to - from,
    worstOneWayMs: arrived.reduce((a, b) => Math.max(a, b), 0),
  };
}
