/**
 * An order between its first listing and its emission, and the relations between two such orders: n(x, y), pre(a, b) and
 * the majority of order.md section 4. Positions within lanes decide; times only say where it is worth looking.
 */
import { invariant } from '../errors.js';
import type { OrderFacts, OrderId, ValidatorIndex } from './types.js';

/** When an order became ready: solid, with a complete chain of predecessors. */
export interface ReadyAt {
  readonly height: number;
  readonly time: number;
}

/** What the orders after selection keep being compared by. */
export interface Listed {
  /** By validator: position in its lane; Infinity where it is not listed. */
  readonly positions: Float64Array;
  /** By validator: time of the listing; Infinity where it is not listed. */
  readonly times: Float64Array;
  /** The finite times, ascending. */
  readonly sortedTimes: readonly number[];
}

export class PendingOrder implements Listed {
  readonly id: OrderId;
  /** Cut time at the first listing. */
  readonly since: number;
  readonly positions: Float64Array;
  readonly times: Float64Array;
  readonly sortedTimes: number[] = [];
  /** Known once f+1 lanes list the order, one of them honest: before, it can neither hold nor be emitted. */
  facts: OrderFacts | undefined;
  ready: ReadyAt | undefined;
  /** Its sender lost credit for it already. */
  debited = false;
  /** Window of the auction profile, fixed when the order becomes ready. */
  window = 0;
  /** Who kept it out of the last batch: a hint where to look first, of no influence on the outcome. */
  heldBy: OrderId | undefined;

  constructor(id: OrderId, since: number, n: number) {
    this.id = id;
    this.since = since;
    this.positions = new Float64Array(n).fill(Infinity);
    this.times = new Float64Array(n).fill(Infinity);
  }

  /** Returns false when this lane lists it already. */
  list(lane: ValidatorIndex, position: number, time: number): boolean {
    if (this.positions[lane] !== Infinity) return false;
    this.positions[lane] = position;
    this.times[lane] = time;
    let at = this.sortedTimes.length;
    while (at > 0 && (this.sortedTimes[at - 1] as number) > time) at--;
    this.sortedTimes.splice(at, 0, time);
    return true;
  }
}

/** A supported order: at least f+1 lanes list it and its facts are known. */
export function factsOf(order: PendingOrder): OrderFacts {
  invariant(order.facts !== undefined, 'a supported order has its facts');
  return order.facts;
}

/** n(a, b): lanes that list a with b absent or later. */
export function lanesBefore(a: Listed, b: Listed): number {
  let count = 0;
  for (let lane = 0; lane < a.positions.length; lane++)
    if ((a.positions[lane] as number) < (b.positions[lane] as number)) count++;
  return count;
}

/** The lower median of the listed times: with f Byzantine of n-f or more it lies between two honest ones. */
export const medianTime = (order: Listed): number => order.sortedTimes[(order.sortedTimes.length - 1) >> 1] ?? Infinity;

/**
 * pre(a, b) without `prev` implies earliest(a) <= latest(b): of the first 2f+1 lanes to list b at most f contradict, so
 * f+1 list a by the time of the last of them. It spares comparing every two orders.
 */
export const earliestHold = (a: Listed, f: number): number => a.sortedTimes[f] ?? Infinity;
export const latestHeld = (b: Listed, f: number): number => b.sortedTimes[2 * f] ?? Infinity;

/**
 * pre(a, b) for two supported orders of which b is solid: a may precede b for every honest lane. When more than f lanes
 * contradict it, at least one honest lane saw b first.
 */
export function mayPrecede(a: PendingOrder, b: PendingOrder, f: number): boolean {
  if (b.facts?.prev === a.id) return true;
  return earliestHold(a, f) <= latestHeld(b, f) && lanesBefore(b, a) <= f;
}
