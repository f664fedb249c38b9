/**
 * The fairness claims of order.md section 4, over the lanes as they were sent and the log as it came out. All lanes here
 * are of honest members, so "every honest member received a before b" is "every lane lists a before b".
 *
 * G1: when every listing of a is by epsilon or more before every listing of b, a stands first.
 * G2: when every lane lists a before b, b is never in an earlier batch.
 * Both hold while lanes lag by min(W, H)/2 at most; what is beyond that is counted and not judged.
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
  readonly listings: readonly Listed[];
}

export interface FairnessResult {
  readonly judgedPairs: number;
  /** Orders whose lanes lagged too far apart, or that some lane never listed. */
  readonly unjudgedOrders: number;
}

const spread = (values: readonly number[]): number => Math.max(...values) - Math.min(...values);

/** Judges every pair of the log; throws the first violation. */
export function checkFairness(committee: PinnedCommittee, wire: WireCheck, log: readonly Entry[]): FairnessResult {
  const { holdCuts, holdMs, epsilonMs } = committee.parameters;
  const listed = listingsOf(committee.tolerance.n, wire);
  const judged: Seen[] = [];
  for (const entry of log) {
    const listings = (listed.get(entry.id) ?? []).filter(listing => listing !== undefined);
    if (listings.length < committee.tolerance.n) continue;
    const lagCuts = spread(listings.map(({ height }) => height));
    const lagMs = spread(listings.map(({ timeMs }) => timeMs));
    if (lagCuts <= holdCuts / 2 && lagMs <= holdMs / 2) judged.push({ entry, listings });
  }
  let judgedPairs = 0;
  for (const [i, first] of judged.entries()) {
    for (const second of judged.slice(i + 1)) {
      judgedPairs += 1;
      judge(first, second, epsilonMs);
    }
  }
  return { judgedPairs, unjudgedOrders: log.length - judged.length };
}

/** `first` stands before `second` in the log: the claims must not say the contrary. */
function judge(first: Seen, second: Seen, epsilonMs: number): void {
  const [a, b] = [second, first];
  const names = `${a.entry.id} (entry ${a.entry.index}) and ${b.entry.id} (entry ${b.entry.index})`;
  const everywhereBefore = a.listings.every((listing, lane) => listing.position < (b.listings[lane]?.position ?? 0));
  if (everywhereBefore && b.entry.height < a.entry.height) throw new Violation('G2', names);
  const lastA = Math.max(...a.listings.map(l => l.timeMs));
  const firstB = Math.min(...b.listings.map(l => l.timeMs));
  if (lastA + epsilonMs <= firstB && everywhereBefore) throw new Violation('G1', names);
}

/** Where each lane lists each order, and in which final cut that came; undefined by lane where it did not. */
function listingsOf(n: number, wire: WireCheck): ReadonlyMap<OrderId, (Listed | undefined)[]> {
  const listed = new Map<OrderId, (Listed | undefined)[]>();
  const counted = new Array<number>(n).fill(0);
  const positions = new Array<number>(n).fill(0);
  for (const { height, cut } of wire.finalChain()) {
    for (const [lane, head] of cut.entries()) {
      for (let sequence = (counted[lane] ?? 0) + 1; sequence <= head.sequence; sequence++) {
        for (const { id, time } of wire.chunk(lane, sequence)?.listings ?? []) {
          const position = (positions[lane] ?? 0) + 1;
          positions[lane] = position;
          const lanes = listed.get(id) ?? new Array<Listed | undefined>(n).fill(undefined);
          lanes[lane] ??= { position, timeMs: time, height };
          listed.set(id, lanes);
        }
      }
      counted[lane] = head.sequence;
    }
  }
  return listed;
}
