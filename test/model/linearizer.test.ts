/** The linearizer against its literal transcription, and its claims G1, G2, G3: exhaustively when small, else at random. */
import t, { type Test } from 'tap';
import { unixMs } from '../../lib/env.js';
import type { PinnedCommittee } from '../../lib/order/committee.js';
import { Linearizer } from '../../lib/order/linearizer.js';
import type { FactsOf, FinalCut, Listing } from '../../lib/order/linearizer-io.js';
import type { Verdict } from '../../lib/order/opening.js';
import type { Entry, OrderFacts, OrderId } from '../../lib/order/types.js';
import { bytesFrom, committeeOf, crypto, peerOf } from '../fixtures/order.js';
import { ReferenceLinearizer } from './linearizer-reference.js';
import { cutHashOf, idOf, type Scenario, type ScenarioOptions, scenario } from './linearizer-scenario.js';

const PAYLOAD = new Uint8Array(0);
const secrets = new Map<OrderId, Uint8Array>();
function secretOf(id: OrderId): Uint8Array {
  const secret = secrets.get(id) ?? bytesFrom(`secret ${id}`, 32);
  secrets.set(id, secret);
  return secret;
}
const verdictOf = (id: OrderId): Verdict => ({ secret: secretOf(id), opening: { kind: 'opened', payload: PAYLOAD } });

/** Applies a cut and emits what it selected. */
function step(linearizer: Linearizer, cut: FinalCut, factsOf: FactsOf): readonly Entry[] {
  const { open } = linearizer.apply(cut, factsOf);
  if (open.length === 0) return [];
  return linearizer.emit(new Map(open.map(id => [id, verdictOf(id)]))).batch.entries;
}

function run(committee: PinnedCommittee, { cuts, facts }: Pick<Scenario, 'cuts' | 'facts'>): readonly Entry[] {
  const linearizer = new Linearizer(crypto, committee);
  return cuts.flatMap(cut => step(linearizer, cut, id => facts.get(id)));
}

/** Runs both, comparing each batch; returns the log. */
function runBoth(t: Test, committee: PinnedCommittee, scene: Pick<Scenario, 'cuts' | 'facts'>, name: string): Entry[] {
  const fast = new Linearizer(crypto, committee);
  const slow = new ReferenceLinearizer(crypto, committee);
  const factsOf: FactsOf = id => scene.facts.get(id);
  const log: Entry[] = [];
  for (const cut of scene.cuts) {
    const entries = step(fast, cut, factsOf);
    const got = entries.map(({ id }) => id).join();
    const wanted = slow.apply(cut, factsOf, secretOf).join();
    if (got !== wanted) t.equal(got, wanted, `${name}, cut ${cut.height}`);
    log.push(...entries);
  }
  return log;
}

const calm = {
  orders: 24,
  senders: 6,
  spanMs: 120,
  delayMs: 20,
  cutMs: 10,
  lagMs: 10,
  ttlMs: 5_000,
  misbehaving: false,
  tailMs: 300,
} satisfies Partial<ScenarioOptions>;
const wild = { ...calm, lagMs: 120, ttlMs: 200, misbehaving: true, tailMs: 600 };

t.test(
  'random histories: every batch is what the transcribed rules say, in both profiles and for n of 1 to 10',
  async t => {
    let emitted = 0;
    for (let seed = 0; seed < 400; seed++) {
      const n = [1, 2, 3, 4, 4, 4, 5, 7, 7, 10][seed % 10] as number;
      const profile = seed % 3 === 2 ? 'auction' : 'continuous';
      const committee = committeeOf(n, { profile, auctionWindowMs: 25, epsilonMs: 1 + (seed % 4) });
      const options = {
        ...(seed % 2 === 0 ? calm : wild),
        seed,
        n,
        byzantine: seed % 5 === 0 ? 0 : Math.floor((n - 1) / 3),
      };
      emitted += runBoth(t, committee, scenario(options), `seed ${seed}, n ${n}, ${profile}`).length;
    }
    t.ok(emitted > 6_000, `${emitted} orders were emitted`);
  },
);

/** Pairs that every honest lane lists in one order, and the ways in which a log contradicts them. */
function inversions(log: readonly Entry[], { honest }: Pick<Scenario, 'honest'>, epsilonMs: number) {
  const place = new Map(log.map(entry => [entry.id, entry]));
  const everywhere = [...(honest[0]?.keys() ?? [])].filter(id => honest.every(lane => lane.has(id)));
  const at = (lane: Scenario['honest'][number], id: OrderId) => lane.get(id) ?? { position: Infinity, time: Infinity };
  let pairs = 0;
  let g1 = 0;
  let g2 = 0;
  for (const a of everywhere)
    for (const b of everywhere) {
      if (a === b || !honest.every(lane => at(lane, a).position < at(lane, b).position)) continue;
      const [first, second] = [place.get(a), place.get(b)];
      if (first === undefined || second === undefined) continue; // gone
      pairs++;
      if (first.height > second.height) g2++;
      const latest = Math.max(...honest.map(lane => at(lane, a).time));
      const earliest = Math.min(...honest.map(lane => at(lane, b).time));
      if (latest + epsilonMs <= earliest && first.index > second.index) g1++;
    }
  return { pairs, g1, g2 };
}

t.test(
  'G1 and G2 hold at random while honest lanes lag at most half of a hold, whatever f lanes and senders do',
  async t => {
    const total = { pairs: 0, g1: 0, g2: 0 };
    let lost = 0;
    for (let seed = 0; seed < 300; seed++) {
      const n = seed % 2 === 0 ? 4 : 7;
      const committee = committeeOf(n);
      const misbehaving = seed % 3 === 0;
      const options = { ...calm, seed: 5_000 + seed, n, byzantine: Math.floor((n - 1) / 3), lagMs: 30, orders: 40 };
      const scene = scenario({ ...options, misbehaving });
      const log = run(committee, scene);
      const { pairs, g1, g2 } = inversions(log, scene, committee.parameters.epsilonMs);
      total.pairs += pairs;
      total.g1 += g1;
      total.g2 += g2;
      if (!misbehaving) lost += options.orders - log.length;
    }
    t.match({ ...total, lost }, { g1: 0, g2: 0, lost: 0 });
    t.ok(total.pairs > 100_000, `${total.pairs} pairs`);
  },
);

const START = 1_000_000;
const permutations = <T>(values: readonly T[]): T[][] =>
  values.length === 0
    ? [[]]
    : values.flatMap((value, i) => permutations(values.toSpliced(i, 1)).map(rest => [value, ...rest]));
const arrangements = <T>(values: readonly T[]): T[][] =>
  Array.from({ length: 2 ** values.length }, (_, mask) => values.filter((_, i) => (mask >> i) & 1)).flatMap(
    permutations,
  );

/** Cuts that take the first `lengths[c][v]` listings of lane v. */
function cutsOf(lanes: readonly (readonly OrderId[])[], lengths: readonly (readonly number[])[]): FinalCut[] {
  const listings = lanes.map(lane => lane.map((id, i): Listing => ({ id, time: unixMs(START + 10 * i) })));
  return lengths.map((until, c) => {
    const time = unixMs(START + 40 + 10 * c);
    const from = lengths[c - 1] ?? [0, 0, 0, 0];
    return {
      height: c + 1,
      hash: cutHashOf(`${c}`),
      time,
      lanes: listings.map((lane, v) => lane.slice(from[v], until[v])),
      headTimes: lanes.map(() => time),
    };
  });
}

const factOf = (name: string, sender: string, sequence = 1, prev?: OrderId): OrderFacts => ({
  id: idOf(name),
  sender: peerOf(sender),
  stream: 's',
  sequence,
  prev,
  expiry: unixMs(START + 10_000),
});
const sceneOf = (orders: readonly OrderFacts[], cuts: FinalCut[]): Pick<Scenario, 'facts' | 'cuts'> => ({
  facts: new Map(orders.map(order => [order.id, order])),
  cuts,
});
const tuples = (lengths: readonly number[]): number[][] =>
  lengths.reduce<number[][]>((all, length) => all.flatMap(t => Array.from({ length }, (_, i) => [...t, i])), [[]]);

t.test(
  'n = 4, two orders, every history of two cuts and a third that takes all: as transcribed, and G2 holds',
  async t => {
    const committee = committeeOf(4);
    let histories = 0;
    for (const chained of [false, true]) {
      const a = factOf('a', 'alice');
      const b = chained ? factOf('b', 'alice', 2, a.id) : factOf('b', 'bob');
      const ids = [a.id, b.id];
      const honestLanes = chained ? [ids] : permutations(ids);
      const wrong: string[] = [];
      for (const one of honestLanes)
        for (const two of honestLanes)
          for (const byzantine of arrangements(ids)) {
            const lanes = [ids, one, two, byzantine];
            const full = lanes.map(lane => lane.length);
            for (const second of tuples(full.map(length => length + 1)))
              for (const first of tuples(second.map(length => length + 1))) {
                histories++;
                const scene = sceneOf([a, b], cutsOf(lanes, [first, second, full]));
                const slow = new ReferenceLinearizer(crypto, committee);
                const log = run(committee, scene);
                const wanted = scene.cuts.flatMap(cut => slow.apply(cut, id => scene.facts.get(id), secretOf));
                if (log.map(({ id }) => id).join() !== wanted.join())
                  wrong.push(JSON.stringify([lanes, first, second]));
                const agreed = [one, two].every(lane => lane[0] === a.id);
                if (agreed && log[0]?.id !== a.id && log[0]?.height !== log[1]?.height) wrong.push('G2');
              }
          }
      t.strictSame(wrong, []);
    }
    t.ok(histories > 20_000, `${histories} histories`);
  },
);

t.test('n = 4, three orders, every order of every lane and every first cut: nothing is lost and G2 holds', async t => {
  const committee = committeeOf(4);
  const orders = ['a', 'b', 'c'].map(name => factOf(name, name));
  const ids = orders.map(({ id }) => id);
  let histories = 0;
  let violations = 0;
  for (const one of permutations(ids))
    for (const two of permutations(ids))
      for (const byzantine of arrangements(ids))
        for (const first of tuples([4, 4, 4])) {
          histories++;
          const lanes = [ids, one, two, byzantine];
          const seen = first.concat(histories % 2 === 0 ? byzantine.length : 0);
          const scene = sceneOf(orders, cutsOf(lanes, [seen, lanes.map(lane => lane.length)]));
          const log = run(committee, scene);
          const honest = lanes
            .slice(0, 3)
            .map(lane => new Map(lane.map((id, position) => [id, { position, time: START + 10 * position }])));
          if (log.length !== 3 || inversions(log, { honest }, Infinity).g2 > 0) violations++;
        }
  t.strictSame([violations, histories], [0, 6 * 6 * 16 * 64]);
});

/** How often one of the copies comes before the victim, over many draws of the secrets. */
function winRate(lanesOf: (victim: OrderId, copies: readonly OrderId[]) => OrderId[][], count: number): number {
  const victim = factOf('victim', 'victim');
  const copies = Array.from({ length: count }, (_, i) => ({ ...factOf(`copy ${i}`, 'thief'), stream: `${i}` }));
  const lanes = lanesOf(
    victim.id,
    copies.map(({ id }) => id),
  );
  const committee = committeeOf(lanes.length);
  const time = unixMs(START);
  const orders = [victim, ...copies];
  let wins = 0;
  const trials = 1_500;
  for (let trial = 0; trial < trials; trial++) {
    const linearizer = new Linearizer(crypto, committee);
    const listed = lanes.map(lane => lane.map(id => ({ id, time })));
    const cut = { height: 1, hash: cutHashOf('tie'), time, lanes: listed, headTimes: lanes.map(() => time) };
    const { open } = linearizer.apply(cut, id => orders.find(order => order.id === id));
    const verdicts = open.map((id): [OrderId, Verdict] => [
      id,
      { secret: bytesFrom(`${trial} ${id}`, 32), opening: { kind: 'opened', payload: PAYLOAD } },
    ]);
    const [first] = linearizer.emit(new Map(verdicts)).batch.entries;
    if (open.length === orders.length && first?.id !== victim.id) wins++;
  }
  return wins / trials;
}

t.test('G3: in a tie twenty copies by one sender come before a victim no more often than one does', async t => {
  const even = (victim: OrderId, copies: readonly OrderId[]): OrderId[][] => [
    [victim, ...copies],
    [victim, ...copies],
    [...copies, victim],
    [...copies, victim],
  ];
  const cycle = (victim: OrderId, copies: readonly OrderId[]): OrderId[][] => {
    const half = Math.ceil(copies.length / 2);
    const [x, y] = [copies.slice(0, half), copies.slice(half)];
    const turns = [
      [victim, ...x, ...y],
      [...x, ...y, victim],
      [...y, victim, ...x],
    ];
    return [...turns, ...turns, turns[0] as OrderId[]];
  };
  for (const [name, lanes, few] of [
    ['lanes split evenly', even, 1],
    ['a Condorcet cycle', cycle, 2],
  ] as const) {
    const one = winRate(lanes, few);
    const twenty = winRate(lanes, 20);
    t.ok(
      Math.abs(one - 0.5) < 0.05 && Math.abs(twenty - 0.5) < 0.05,
      `${name}: ${few} copies ${one}, twenty ${twenty}`,
    );
  }
});

t.test('a linearizer restored from a snapshot after any cut goes on as if nothing had happened', async t => {
  for (const [seed, profile] of [[1, 'continuous'] as const, [2, 'auction'] as const]) {
    const committee = committeeOf(7, { profile, auctionWindowMs: 20 });
    const scene = scenario({ ...wild, seed, n: 7, byzantine: 2, orders: 60 });
    const factsOf: FactsOf = id => scene.facts.get(id);
    const straight = new Linearizer(crypto, committee);
    let resumed = new Linearizer(crypto, committee);
    for (const cut of scene.cuts) {
      t.strictSame(resumed.apply(cut, factsOf), straight.apply(cut, factsOf));
      resumed = Linearizer.restore(crypto, committee, resumed.snapshot());
      while (cut.height % 3 === 0 && straight.next !== undefined) {
        const verdicts = new Map(straight.next.open.map(id => [id, verdictOf(id)]));
        t.strictSame(resumed.emit(verdicts).batch, straight.emit(verdicts).batch);
      }
      t.strictSame(resumed.snapshot(), straight.snapshot());
    }
    t.ok(straight.logSize > 20, `${straight.logSize} entries`);
  }
});
