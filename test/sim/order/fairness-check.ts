/**
 * The fairness claims of order.md section 4, over the lanes as they were sent and the log as it came out. Nobody knows
 * which f members are Byzantine, so what any n-f lanes say together must hold as if they were the honest ones.
 *
 * G1: when their times of a all precede those of b by epsilon, a stands first.
 * G2: when they all list a before b, b is never in an earlier batch.
 *
 * Both while lanes lag by W/2 cuts at most: an order that took longer from its first lane to its n-f th in the final
 * cuts is counted and not judged.
 */
import type { PinnedCommittee } from '../../../lib/order/committee.js';
import type { Entry, OrderId } from '../../../lib/order/types.js';
import { Violation } from '../../../lib/sim/index.js';
import type { WireCheck } from './wire-check.js';

/** One lane's listing of an order: its place among all of the lane, its time, and the height of its cut. */
interface Listed {
  readonly position: number;
  readonly timeMs: number;
  readonly height: number;
}

interface Seen {
  readonly entry: Entry;
  /** By lane; undefined where the order is in no final cut. */
  readonly lanes: readonly (Listed | undefined)[];
}

export interface FairnessResult {
  readonly judgedPairs: number;
  readonly unjudgedOrders: number;
}

/** Judges every pair of the log; throws the first violation. */
export function checkFairness(committee: PinnedCommittee, wire: WireCheck, log: readonly Entry[]): FairnessResult {
  const { n, f } = committee.tolerance;
  const { holdCuts, epsilonMs } = committee.parameters;
  const listings = listingsOf(n, wire);
  const judged: Seen[] = [];
  for (const entry of log) {
    const lanes = listings.get(entry.id) ?? [];
    const heights = lanes.flatMap(listed => (listed === undefined ? [] : [listed.height])).sort((a, b) => a - b);
    const [first, solid] = [heights[0], heights[n - f - 1]];
    if (first !== undefined && solid !== undefined && solid - first <= holdCuts / 2) judged.push({ entry, lanes });
  }
  let judgedPairs = 0;
  for (const [i, earlier] of judged.entries()) {
    for (const later of judged.slice(i + 1)) {
      judgedPairs += 1;
      judge(earlier, later, n - f, epsilonMs);
    }
  }
  return { judgedPairs, unjudgedOrders: log.length - judged.length };
}

/** `earlier` stands before `later` in the log: no n-f lanes may say the contrary. */
function judge(earlier: Seen, later: Seen, enough: number, epsilonMs: number): void {
  const contrary = later.lanes.flatMap((a, lane) => {
    const b = earlier.lanes[lane];
    return a !== undefined && b !== undefined && a.position < b.position ? [{ a, b }] : [];
  });
  if (contrary.length < enough) return;
  const names = `${later.entry.id} (entry ${later.entry.index}) after ${earlier.entry.id} (entry ${earlier.entry.index})`;
  const witness = `${contrary.length} lanes list it before`;
  if (earlier.entry.height < later.entry.height) throw new Violation('G2', `${names}, ${witness}`);
  const precede = (timeMs: number): number =>
    contrary.filter(({ a, b }) => a.timeMs + epsilonMs <= timeMs && timeMs <= b.timeMs).length;
  if (contrary.some(({ b }) => precede(b.timeMs) >= enough)) throw new Violation('G1', `${names}, ${witness}`);
}

/** Where each lane lists each order, and in which final cut that came. */
function listingsOf(n: number, wire: WireCheck): ReadonlyMap<OrderId, (Listed | undefined)[]> {
  const listings = new Map<OrderId, (Listed | undefined)[]>();
  const counted = new Array<number>(n).fill(0);
  const positions = new Array<number>(n).fill(0);
  for (const { height, cut } of wire.finalChain()) {
    for (const [lane, head] of cut.entries()) {
      for (let sequence = (counted[lane] ?? 0) + 1; sequence <= head.sequence; sequence++) {
        for (const { id, time } of wire.chunk(lane, sequence)?.listings ?? []) {
          const position = (positions[lane] ?? 0) + 1;
          positions[lane] = position;
          const lanes = listings.get(id) ?? new Array<Listed | undefined>(n).fill(undefined);
          lanes[lane] ??= { position, timeMs: time, height };
          listings.set(id, lanes);
        }
      }
      counted[lane] = head.sequence;
    }
  }
  return listings;
}
