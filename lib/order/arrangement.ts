/**
 * The final order of a batch: majority edges, strongly connected components, and keys drawn from the secrets of the whole
 * batch, which nobody knew when the batch was chosen (order.md section 4).
 */
import { compareBytes, fromHex, fromUtf8, Writer } from '../bytes.js';
import type { CryptoProvider } from '../crypto/interface.js';
import type { PeerId } from '../identity/peer-id.js';
import { stronglyConnected, topological } from './components.js';
import { type Listed, lanesBefore, medianTime } from './pending-order.js';
import { taggedHash } from './tagged-hash.js';
import type { HashHex, OrderFacts, OrderId } from './types.js';

/** A selected order, with its listings as of the cut that selected it. */
export interface SelectedOrder extends Listed {
  readonly id: OrderId;
  readonly facts: OrderFacts;
  /** Window of the auction profile. */
  readonly window: number;
}

/** What makes a tie: times that fall into one bucket of this width, or one window of an auction. */
export type TieRule = { readonly kind: 'bucket'; readonly epsilonMs: number } | { readonly kind: 'window' };

/** H(network, epoch, cut hash, (id, secret or id) ascending by id). */
export function batchSeed(
  crypto: CryptoProvider,
  context: { readonly networkId: string; readonly epoch: number; readonly cutHash: HashHex },
  secrets: readonly { readonly id: OrderId; readonly secret: Uint8Array | undefined }[],
): Uint8Array {
  const writer = new Writer(128 + 64 * secrets.length);
  writer.text(context.networkId).u64(context.epoch).raw(fromHex(context.cutHash));
  for (const { id, secret } of [...secrets].sort((a, b) => (a.id < b.id ? -1 : 1)))
    writer.raw(fromHex(id)).raw(secret ?? fromHex(id));
  return taggedHash(crypto, 'seed', writer.finish());
}

/** Puts the orders of a batch in their final order: the same at everyone, whatever order they are given in. */
export function arrange(
  crypto: CryptoProvider,
  orders: readonly SelectedOrder[],
  seed: Uint8Array,
  tie: TieRule,
  f: number,
): SelectedOrder[] {
  const sorted = [...orders].sort((a, b) => firstTime(a) - firstTime(b) || (a.id < b.id ? -1 : 1));
  const edges = precedenceEdges(sorted, f);
  if (tie.kind === 'window') linkWindows(sorted, edges);
  const draw = drawer(crypto, seed);
  const components = stronglyConnected(edges).map(nodes => {
    const members = nodes.flatMap(node => sorted[node] ?? []); // helper nodes stand for no order
    return { nodes, keyed: keyOrders(members, tie, draw).sort(compareKeys) };
  });
  const inOrder = topological(edges, components, (a, b) => compareKeys(a.keyed[0], b.keyed[0]));
  return inOrder.flatMap(({ keyed }) => keyed.map(({ order }) => order));
}

const firstTime = (order: Listed): number => order.sortedTimes[0] ?? Infinity;

/** When n-f lanes had listed the order: it precedes in all of them whatever is listed nowhere before that. */
const settledTime = (order: Listed, f: number): number => order.sortedTimes[order.positions.length - f - 1] ?? Infinity;

/**
 * 1 when a -> b, -1 when b -> a, 0 without an edge: the predecessor in a stream comes first, else what more lanes list
 * first.
 */
function direction(a: SelectedOrder, b: SelectedOrder): number {
  if (b.facts.prev === a.id) return 1;
  if (a.facts.prev === b.id) return -1;
  return Math.sign(lanesBefore(a, b) - lanesBefore(b, a));
}

/**
 * The edges of the batch, which is sorted by first listing. Orders whose listings overlap in time are compared. From each
 * order all later ones are reachable, without an edge each, through a chain of helper nodes: helper j leads to order j
 * and to helper j + 1. A batch costs as many comparisons as there are overlaps, not the square of its size.
 */
function precedenceEdges(sorted: readonly SelectedOrder[], f: number): number[][] {
  const size = sorted.length;
  const edges: number[][] = Array.from({ length: 2 * size }, () => []);
  const indexOf = new Map(sorted.map((order, index) => [order.id, index]));
  sorted.forEach((a, i) => {
    const settled = settledTime(a, f);
    const predecessor = a.facts.prev === undefined ? undefined : indexOf.get(a.facts.prev);
    let j = i + 1;
    for (; j < size; j++) {
      const b = sorted[j] as SelectedOrder;
      if (firstTime(b) > settled && j > (predecessor ?? -1)) break;
      const towards = direction(a, b);
      if (towards > 0) edges[i]?.push(j);
      else if (towards < 0) edges[j]?.push(i);
    }
    if (j < size) edges[i]?.push(size + j);
    edges[size + i]?.push(i);
    if (i + 1 < size) edges[size + i]?.push(size + i + 1);
  });
  return edges;
}

/** Makes one component of each window, by a ring through its orders. */
function linkWindows(sorted: readonly SelectedOrder[], edges: readonly number[][]): void {
  const first = new Map<number, number>();
  const last = new Map<number, number>();
  sorted.forEach(({ window }, i) => {
    const before = last.get(window);
    if (before === undefined) first.set(window, i);
    else edges[before]?.push(i);
    last.set(window, i);
  });
  for (const [window, i] of last) edges[i]?.push(first.get(window) as number);
}

interface KeyedOrder {
  readonly order: SelectedOrder;
  readonly bucket: number;
  /** Of this order among its sender's in the component: a sender draws once for each rank, however many orders it sends. */
  readonly rank: number;
  readonly drawn: Uint8Array;
}

type Draw = (sender: PeerId, rank: number) => Uint8Array;

/** H(seed, sender, rank), drawn once each. */
function drawer(crypto: CryptoProvider, seed: Uint8Array): Draw {
  const drawn = new Map<string, Uint8Array>();
  return (sender, rank) => {
    const name = `${rank} ${sender}`;
    let key = drawn.get(name);
    if (key === undefined) {
      key = taggedHash(crypto, 'tie-key', seed, new Writer(4).u32(rank).finish(), fromUtf8(sender));
      drawn.set(name, key);
    }
    return key;
  };
}

function keyOrders(members: readonly SelectedOrder[], tie: TieRule, draw: Draw): KeyedOrder[] {
  const ranks = new Map<PeerId, number>();
  const buckets = new Map<OrderId, number>();
  const bySequence = [...members].sort((a, b) => a.facts.sequence - b.facts.sequence || (a.id < b.id ? -1 : 1));
  return bySequence.map(order => {
    const { sender, prev } = order.facts;
    const rank = ranks.get(sender) ?? 0;
    ranks.set(sender, rank + 1);
    const own = tie.kind === 'window' ? order.window : Math.floor(medianTime(order) / tie.epsilonMs);
    const bucket = Math.max(own, (prev === undefined ? undefined : buckets.get(prev)) ?? -Infinity);
    buckets.set(order.id, bucket);
    return { order, bucket, rank, drawn: draw(sender, rank) };
  });
}

/** key = (bucket, rank, drawn, id). Components of helper nodes alone have none and go first. */
function compareKeys(a: KeyedOrder | undefined, b: KeyedOrder | undefined): number {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? -1 : 1;
  return a.bucket - b.bucket || a.rank - b.rank || compareBytes(a.drawn, b.drawn) || (a.order.id < b.order.id ? -1 : 1);
}
