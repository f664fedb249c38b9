/** Random histories of lanes and cuts: honest lanes by the rules of order.md section 2, Byzantine ones by none. */
import { toHex } from '../../lib/bytes.js';
import { type UnixMs, unixMs } from '../../lib/env.js';
import type { FinalCut, Listing } from '../../lib/order/linearizer-io.js';
import type { HashHex, OrderFacts, OrderId } from '../../lib/order/types.js';
import { bytesFrom, peerOf, random } from '../fixtures/order.js';

export interface ScenarioOptions {
  readonly seed: number;
  readonly n: number;
  /** The last lanes list what they like. */
  readonly byzantine: number;
  readonly orders: number;
  readonly senders: number;
  /** Orders are sent within this time. */
  readonly spanMs: number;
  /** An order reaches each honest validator within this time. */
  readonly delayMs: number;
  readonly cutMs: number;
  /** How far an honest lane's head in a cut may lie behind. */
  readonly lagMs: number;
  readonly ttlMs: number;
  /** Senders may also seal two orders for one sequence, skip lanes and let orders expire. */
  readonly misbehaving: boolean;
  /** Cuts after everything was listed, so that every hold ends. */
  readonly tailMs: number;
}

export interface Scenario {
  readonly facts: ReadonlyMap<OrderId, OrderFacts>;
  readonly cuts: readonly FinalCut[];
  /** By honest validator: when it listed what. */
  readonly honest: readonly ReadonlyMap<OrderId, { readonly position: number; readonly time: number }>[];
}

export const idOf = (label: string): OrderId => toHex(bytesFrom(`id ${label}`, 32)) as OrderId;
export const cutHashOf = (label: string): HashHex => toHex(bytesFrom(`cut ${label}`, 32)) as HashHex;

export function scenario(options: ScenarioOptions): Scenario {
  const { n, byzantine, seed, cutMs, lagMs } = options;
  const draw = random(seed);
  const sent = drawOrders(options, draw);
  const facts = new Map(sent.map(order => [order.facts.id, order.facts]));
  const lanes = Array.from({ length: n }, (_, v) =>
    v < n - byzantine ? honestLane(sent, options, draw) : byzantineLane(sent, options, draw),
  );
  const f = Math.floor((n - 1) / 3);
  const cuts: FinalCut[] = [];
  const taken = lanes.map(() => 0);
  const heads = lanes.map(() => 0);
  const end = options.spanMs + options.delayMs * 3 + options.tailMs;
  let time = 0;
  for (let now = START, height = 1; now < START + end; now += cutMs, height++) {
    const listings = lanes.map((lane, v) => {
      heads[v] = Math.max(heads[v] as number, now - draw(lagMs + 1));
      const from = taken[v] as number;
      let to = from;
      while (to < lane.length && (lane[to] as Listing).time <= (heads[v] as number)) to++;
      taken[v] = to;
      return lane.slice(from, to);
    });
    const headTimes = heads.map(head => unixMs(head));
    time = Math.max(time, [...headTimes].sort((a, b) => b - a)[f] as number);
    cuts.push({ height, hash: cutHashOf(`${seed} ${height}`), time: unixMs(time), lanes: listings, headTimes });
  }
  const honest = lanes
    .slice(0, n - byzantine)
    .map(lane => new Map(lane.map(({ id, time: at }, position) => [id, { position, time: at }])));
  return { facts, cuts, honest };
}

const START = 1_000_000;

interface Sent {
  readonly facts: OrderFacts;
  readonly at: number;
}

function drawOrders({ seed, orders, senders, spanMs, ttlMs, misbehaving }: ScenarioOptions, draw: Draw): Sent[] {
  const last = new Map<string, OrderFacts>();
  const times = Array.from({ length: orders }, () => START + draw(spanMs + 1)).sort((a, b) => a - b);
  return times.map((at, i) => {
    const sender = peerOf(`sender ${draw(senders)}`);
    const stream = `s${draw(2)}`;
    const prev = last.get(sender + stream);
    const again = misbehaving && prev !== undefined && draw(8) === 0;
    const expiry: UnixMs = unixMs(at + (misbehaving ? 1 + draw(ttlMs) : ttlMs));
    const id = idOf(`${seed} ${i}`);
    const facts: OrderFacts = again
      ? { id, sender, stream, sequence: prev.sequence, prev: prev.prev, expiry }
      : { id, sender, stream, sequence: (prev?.sequence ?? 0) + 1, prev: prev?.id, expiry };
    if (!again || draw(2) === 0) last.set(sender + stream, facts);
    return { facts, at };
  });
}

type Draw = (below: number) => number;

/** Each order when it came, or when its predecessor did; never after its expiry. */
function honestLane(sent: readonly Sent[], { delayMs, misbehaving }: ScenarioOptions, draw: Draw): Listing[] {
  const arrivals = sent
    .filter(() => !(misbehaving && draw(12) === 0))
    .map(({ facts, at }) => ({ facts, time: at + draw(delayMs + 1) }))
    .sort((a, b) => a.time - b.time);
  const lane: Listing[] = [];
  const listed = new Set<OrderId>();
  const waiting = new Map<OrderId, OrderFacts[]>();
  const list = (facts: OrderFacts, time: number): void => {
    if (time >= facts.expiry) return;
    lane.push({ id: facts.id, time: unixMs(time) });
    listed.add(facts.id);
    for (const next of waiting.get(facts.id) ?? []) list(next, time);
  };
  for (const { facts, time } of arrivals) {
    if (facts.prev === undefined || listed.has(facts.prev)) list(facts, time);
    else waiting.set(facts.prev, [...(waiting.get(facts.prev) ?? []), facts]);
  }
  return lane;
}

/** Any orders in any order, some of them twice, at times that do not go back: nothing else is refused of a lane. */
function byzantineLane(sent: readonly Sent[], { delayMs }: ScenarioOptions, draw: Draw): Listing[] {
  const bias = draw(4) * delayMs;
  const chosen = sent
    .filter(() => draw(4) > 0)
    .flatMap(order => (draw(16) === 0 ? [order, order] : [order]))
    .map(({ facts, at }) => ({ id: facts.id, time: unixMs(Math.max(START, at + draw(delayMs * 4 + 1) - bias)) }))
    .sort((a, b) => a.time - b.time);
  for (let i = chosen.length - 1; i > 0; i--) {
    if (draw(4) > 0) continue;
    const [a, b] = [chosen[i] as Listing, chosen[i - 1] as Listing];
    chosen[i] = { id: b.id, time: a.time };
    chosen[i - 1] = { id: a.id, time: b.time };
  }
  return chosen;
}
