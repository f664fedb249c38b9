import t from 'tap';
import { instant } from '../../lib/env.js';
import type { PeerId } from '../../lib/identity/index.js';
import {
  type CandidateOptions,
  candidatePaths,
  LinkStateDatabase,
  type Route,
  RoutePlanner,
  type VerifiedLinkState,
  verifiedLinkState,
} from '../../lib/route/index.js';

const peer = (name: string): PeerId => name as PeerId;
const nothing = new Uint8Array(0);
const textOf = (route: Route): string => route.join('>') || 'direct';

type Costs = Record<string, number>;

/** The list of one origin. */
function list(origin: string, sequence: number, costs: Costs): VerifiedLinkState {
  const edges = Object.entries(costs).map(([name, costMs]) => ({ peer: peer(name), costMs }));
  return verifiedLinkState({ origin: peer(origin), epoch: 1, sequence, relay: true, edges }, nothing, nothing);
}

/** The lists of a graph from lines such as `S A 5`: both ends claim the edge at this cost. */
function listsOf(...lines: string[]): Map<string, Costs> {
  const lists = new Map<string, Costs>();
  for (const line of lines) {
    const [a = '', b = '', cost] = line.split(' ');
    lists.set(a, { ...lists.get(a), [b]: Number(cost) });
    lists.set(b, { ...lists.get(b), [a]: Number(cost) });
  }
  return lists;
}

function graph(...lines: string[]): LinkStateDatabase {
  const database = new LinkStateDatabase({ floorMs: () => 0 });
  for (const [origin, costs] of listsOf(...lines)) database.offer(list(origin, 1, costs));
  return database;
}

const paths = (database: LinkStateDatabase, options: Partial<CandidateOptions> = {}): string[] =>
  candidatePaths(database, {
    source: peer('S'),
    destination: peer('D'),
    mayRelay: () => true,
    operatorOf: () => undefined,
    ...options,
  }).map(({ route }) => textOf(route));

const labels =
  (of: Record<string, string>) =>
  (relay: PeerId): string | undefined =>
    of[relay];

/** S and D joined by relays A, B, ..., each one farther away than the one before. */
const star = (names: string): LinkStateDatabase =>
  graph(...[...names].flatMap((name, i) => [`S ${name} ${i + 1}`, `${name} D ${i + 1}`]));

t.test('four hostile relays that are nearest do not leave out an honest fifth', async t => {
  t.same(paths(star('ABCEFG')), ['A', 'B', 'C', 'E']);
  const avoid = (relay: PeerId): boolean => ['A', 'B', 'C', 'E'].includes(relay);
  t.same(paths(star('ABCEF'), { avoid }), ['F', 'A', 'B', 'C'], 'suspected relays come last');
  const barred = (route: Route): boolean => route.length === 1 && avoid(route[0] as PeerId);
  t.same(paths(star('ABCEF'), { barred }), ['F', 'A', 'B', 'C'], 'and so do barred routes');
  t.same(
    paths(star('ABC'), { avoid: () => true }),
    ['A', 'B', 'C'],
    'but nothing is left out when there is nothing else',
  );
});

t.test('operators that are not known count as one, and cost no candidate', async t => {
  const operatorOf = labels({ A: 'one', B: 'one', E: 'two' });
  t.same(paths(star('ABCEF'), { operatorOf }), ['A', 'C', 'E', 'B']);
  t.same(paths(star('ABF'), { operatorOf: labels({ F: 'one' }) }), ['A', 'F', 'B'], 'the known one is another');
  t.same(paths(star('ABC')), ['A', 'B', 'C'], 'all unknown: by cost');
});

t.test('the standby is near; from the third candidate on another region goes first', async t => {
  const regionOf = labels({ A: 'east', B: 'east', C: 'east', E: 'west' });
  t.same(paths(star('ABCE'), { regionOf, count: 3 }), ['A', 'B', 'E']);
  t.same(paths(star('ABCE'), { count: 3 }), ['A', 'B', 'C']);
});

t.test('a third relay is used where two leave fewer than two disjoint paths, and only there', async t => {
  const detour = ['S B 1', 'B C 1', 'C E 1', 'E D 1'];
  t.same(paths(graph('S A 1', 'A D 1', ...detour)), ['A', 'B>C>E']);
  t.same(paths(graph('S A 1', 'A D 1', 'S F 9', 'F D 9', ...detour)), ['A', 'F'], 'two disjoint ones do');
  t.same(
    paths(graph('S A 1', 'A D 1', 'S F 9', 'F D 9', ...detour), { avoid: relay => relay === peer('F') }),
    ['A', 'B>C>E', 'F'],
    'a suspected one is none',
  );
  const operatorOf = labels({ A: 'one', F: 'one', B: 'two', C: 'two', E: 'two' });
  t.same(
    paths(graph('S A 1', 'A D 1', 'S F 9', 'F D 9', ...detour), { operatorOf }).slice(0, 2),
    ['A', 'B>C>E'],
    'nor are two of one operator',
  );
  t.same(paths(graph('S A 1', 'A D 1', 'S B 1', 'B C 1', 'C A 1')), ['A', 'B>C>A'], 'all lead over A: both are told');
});

t.test('the same graph gives the same candidates, in whatever order its lists came', async t => {
  const lines = [...'ABCEFGHI'].flatMap(name => [`S ${name} 2`, `${name} D 2`]);
  const lists = [...listsOf(...lines, 'A B 1', 'C E 1')];
  const expected = paths(graph(...lines, 'A B 1', 'C E 1'));
  for (let turn = 0; turn < lists.length; turn++) {
    const database = new LinkStateDatabase({ floorMs: () => 0 });
    lists.push(lists.shift() as (typeof lists)[number]);
    for (const [origin, costs] of lists) {
      database.offer(list(origin, 1, Object.fromEntries(Object.entries(costs).reverse())));
    }
    t.same(paths(database), expected);
  }
});

t.test('a list that says what the last one said is a refresh, and only what matters is a new version', async t => {
  const database = graph('A B 50', 'B C 10');
  const { version } = database;
  t.equal(database.offer(list('A', 2, { B: 54 })), 'refreshed', 'less than a tenth');
  t.equal(database.offer(list('C', 2, { B: 12 })), 'refreshed', 'no more than 2 ms');
  t.equal(database.version, version);
  t.equal(database.costMs(peer('A'), peer('B')), 54, 'it is believed all the same');
  t.equal(database.offer(list('A', 3, { B: 80 })), 'newer');
  t.equal(database.offer(list('C', 3, { B: 12, A: 1 })), 'newer');
  t.ok(database.changedSince(version, peer('A')));
  t.notOk(database.changedSince(version, peer('B')));
});

t.test('a full database makes room by forgetting whom nobody confirms, and nobody else', async t => {
  const database = new LinkStateDatabase({ floorMs: () => 0, maxOrigins: 3 });
  database.offer(list('A', 1, { B: 1 }));
  database.offer(list('B', 1, { A: 1 }));
  database.offer(list('liar', 1, { A: 1, B: 1 }));
  t.equal(database.offer(list('C', 1, { A: 1 })), 'newer');
  t.equal(database.get(peer('liar')), undefined);
  database.offer(list('A', 2, { B: 1, C: 1 }));
  t.equal(database.offer(list('E', 1, { A: 1 })), 'full');
  t.same([...database.states].map(({ origin }) => origin).sort(), ['A', 'B', 'C']);
});

t.test('a plan holds while nothing changes near its ends, and no longer', async t => {
  let computed = 0;
  const far = ['X Y 5', 'Y Z 5'];
  const database = graph('S A 1', 'A D 1', 'S B 3', 'B D 3', ...far);
  const planner = new RoutePlanner(database, {
    source: peer('S'),
    mayRelay: () => {
      computed += 1;
      return true;
    },
    operatorOf: () => undefined,
  });
  const plan = (atMs: number): string[] =>
    planner.candidates(peer('D'), instant(atMs)).map(({ route }) => textOf(route));
  t.same(plan(0), ['A', 'B']);
  const first = computed;
  database.offer(list('X', 2, { Y: 50 }));
  database.offer(list('B', 2, { S: 3.1, D: 3 }));
  t.same(plan(1), ['A', 'B']);
  t.equal(computed, first, 'a change far away and a refresh near by: nothing is computed');
  database.offer(list('A', 2, { S: 9, D: 9 }));
  t.same(plan(2), ['B', 'A'], 'a relay of it got slower');
  database.offer(list('D', 2, { A: 1 }));
  t.same(plan(3), ['A'], 'the destination lost a channel');
  const third = computed;
  plan(4_000);
  t.equal(computed, third);
  planner.forget(peer('D'));
  plan(4_000);
  t.ok(computed > third, 'after a verdict it is computed anew');
  const fourth = computed;
  plan(9_001);
  t.ok(computed > fourth, 'and after five seconds: labels and suspicions may be others');
  database.remove(peer('A'));
  t.same(plan(9_002), []);
});
