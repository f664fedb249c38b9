/**
 * The choice of a batch: C of order.md section 4. Everything ready goes, but what must wait for an order that may come
 * before it; and nothing waits longer than W cuts and H of cut time.
 */
import { earliestHold, factsOf, latestHeld, mayPrecede, medianTime, type PendingOrder } from './pending-order.js';
import type { OrderId } from './types.js';

export interface SelectionInput {
  /** All supported orders that are neither selected nor gone: L. */
  readonly pending: Iterable<PendingOrder>;
  /** R, in the auction profile only the orders of closed windows. */
  eligible(order: PendingOrder): boolean;
  hasCredit(order: PendingOrder): boolean;
  /** Held orders that became ready so long ago go now. */
  isDue(order: PendingOrder): boolean;
  readonly f: number;
}

export interface Choice {
  readonly chosen: readonly PendingOrder[];
  /** Orders that are not ready and made another late, to be debited. */
  readonly culprits: readonly PendingOrder[];
}

export function chooseBatch(input: SelectionInput): Choice {
  const ready: PendingOrder[] = [];
  const unready: PendingOrder[] = [];
  const holders: PendingOrder[] = [];
  const candidates: PendingOrder[] = [];
  for (const order of input.pending) {
    (order.ready === undefined ? unready : ready).push(order);
    if (input.eligible(order)) candidates.push(order);
    else if (order.ready !== undefined || input.hasCredit(order)) holders.push(order);
  }
  if (holders.length === 0 || candidates.length === 0) return { chosen: candidates, culprits: [] };
  const held = holdBack(holders, candidates, input.f);
  const chosen = new Set(candidates.filter(order => !held.has(order)));
  const late = [...held].filter(order => input.isDue(order));
  if (late.length === 0) return { chosen: [...chosen], culprits: [] };
  const culprits = unready.filter(a => !a.debited && late.some(b => mayPrecede(a, b, input.f)));
  for (const order of late) chosen.add(order);
  let left = ready.filter(order => !chosen.has(order));
  for (const b of late) {
    const before = left.filter(a => mayPrecede(a, b, input.f));
    if (before.length === 0) continue;
    for (const a of before) chosen.add(a);
    late.push(...before); // this loop reaches them, too
    left = left.filter(order => !chosen.has(order));
  }
  return { chosen: [...chosen], culprits };
}

/**
 * The candidates that wait: each has an order outside, ready or with credit, that may precede it. Who waits is outside
 * itself, so holding spreads until nothing changes.
 */
function holdBack(holders: readonly PendingOrder[], candidates: readonly PendingOrder[], f: number): Set<PendingOrder> {
  const held = new Set<PendingOrder>();
  const outside = [...holders];
  const byHolder = groupBy(candidates, order => order.heldBy);
  const byPrev = groupBy(candidates, order => factsOf(order).prev);
  let followed = 0;

  const hold = (b: PendingOrder, by: PendingOrder): void => {
    if (held.has(b) || !mayPrecede(by, b, f)) return;
    held.add(b);
    b.heldBy = by.id;
    outside.push(b);
  };
  // What held an order at the last cut mostly still does: one comparison each instead of a search.
  const followHints = (): void => {
    for (; followed < outside.length; followed++) {
      const a = outside[followed] as PendingOrder;
      for (const b of byHolder.get(a.id) ?? []) hold(b, a);
    }
  };

  let free = [...candidates].sort((x, y) => latestHeld(y, f) - latestHeld(x, f));
  for (const a of outside) {
    followHints();
    const before = held.size;
    for (const b of byPrev.get(a.id) ?? []) hold(b, a);
    const from = earliestHold(a, f);
    for (const b of free) {
      if (latestHeld(b, f) < from) break;
      hold(b, a);
    }
    followHints();
    if (held.size > before) free = free.filter(order => !held.has(order));
  }
  return held;
}

/**
 * Of several orders with one sender, stream and sequence the first to be ready goes, then the one with the earlier median
 * and the lesser id; the others, and what follows them, never do.
 */
export function splitDoubles(chosen: readonly PendingOrder[]): {
  readonly batch: readonly PendingOrder[];
  readonly doubles: ReadonlyMap<PendingOrder, OrderId | undefined>;
} {
  const sorted = [...chosen].sort(
    (a, b) =>
      factsOf(a).sequence - factsOf(b).sequence ||
      (a.ready?.height ?? 0) - (b.ready?.height ?? 0) ||
      medianTime(a) - medianTime(b) ||
      (a.id < b.id ? -1 : 1),
  );
  const taken = new Map<string, OrderId>();
  const dropped = new Set<OrderId>();
  const batch: PendingOrder[] = [];
  const doubles = new Map<PendingOrder, OrderId | undefined>();
  for (const order of sorted) {
    const { sender, stream, sequence, prev } = factsOf(order);
    const position = `${sender}\n${sequence}\n${stream}`;
    const first = taken.get(position);
    if (first === undefined && !(prev !== undefined && dropped.has(prev))) {
      taken.set(position, order.id);
      batch.push(order);
    } else {
      dropped.add(order.id);
      doubles.set(order, first);
    }
  }
  return { batch, doubles };
}

function groupBy<K, V>(values: Iterable<V>, keyOf: (value: V) => K): Map<K, V[]> {
  const groups = new Map<K, V[]>();
  for (const value of values) {
    const key = keyOf(value);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [value]);
    else group.push(value);
  }
  return groups;
}
