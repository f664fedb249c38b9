import t from 'tap';
import { instant } from '../../lib/env.js';
import type { PeerId } from '../../lib/identity/index.js';
import {
  candidatePaths,
  LinkStateDatabase,
  Quarantine,
  ReceiptRanges,
  ReplayWindow,
  verifiedLinkState,
} from '../../lib/route/index.js';
import { LossMeter } from '../../lib/route/loss.js';
import { PairedSamples } from '../../lib/route/race.js';
import { DelayAlarm, RttEstimator } from '../../lib/route/rtt.js';
import { EarnedTokens, RateLimit } from '../../lib/route/token-bucket.js';
import { PathWindow } from '../../lib/route/window.js';

const peer = (name: string): PeerId => name as PeerId;
const nothing = new Uint8Array(0);

/** A graph from lines such as `S A 5`: both ends claim the edge at this cost. */
function graph(...lines: string[]): LinkStateDatabase {
  const edges = new Map<string, { peer: PeerId; costMs: number }[]>();
  for (const line of lines) {
    const [a = '', b = '', cost] = line.split(' ');
    edges.set(a, [...(edges.get(a) ?? []), { peer: peer(b), costMs: Number(cost) }]);
    edges.set(b, [...(edges.get(b) ?? []), { peer: peer(a), costMs: Number(cost) }]);
  }
  const database = new LinkStateDatabase({ floorMs: () => 0 });
  for (const [origin, list] of edges) {
    const state = { origin: peer(origin), epoch: 1, sequence: 1, relay: true, edges: list };
    database.offer(verifiedLinkState(state, nothing, nothing));
  }
  return database;
}

const paths = (database: LinkStateDatabase, operators: Record<string, string> = {}): string[] =>
  candidatePaths(database, {
    source: peer('S'),
    destination: peer('D'),
    mayRelay: relay => relay !== peer('X'),
    operatorOf: relay => operators[relay],
  }).map(({ route }) => route.join('>') || 'direct');

t.test('an edge exists when both ends list it, at the larger claim or the floor', async t => {
  const database = new LinkStateDatabase({ floorMs: (a, b) => (a === peer('A') || b === peer('A') ? 4 : 0) });
  const offer = (origin: string, epoch: number, sequence: number, edges: Record<string, number>) =>
    database.offer(
      verifiedLinkState(
        {
          origin: peer(origin),
          epoch,
          sequence,
          relay: true,
          edges: Object.entries(edges).map(([name, costMs]) => ({ peer: peer(name), costMs })),
        },
        nothing,
        nothing,
      ),
    );
  t.equal(offer('A', 1, 1, { B: 1 }), 'newer');
  t.equal(database.costMs(peer('A'), peer('B')), undefined, 'one claim is no edge');
  offer('B', 1, 1, { A: 3, C: 7 });
  t.equal(database.costMs(peer('A'), peer('B')), 4, 'the floor');
  offer('C', 1, 1, { B: 2 });
  t.equal(database.costMs(peer('B'), peer('C')), 7, 'the larger claim');
  t.equal(offer('C', 1, 1, {}), 'old', 'the same version says nothing new');
  t.equal(offer('C', 0, 9, {}), 'old', 'an earlier run never wins');
  t.equal(offer('C', 2, 1, {}), 'newer', 'a later run does');
  t.same(database.neighbours(peer('B')), [{ peer: peer('A'), costMs: 4 }]);
});

t.test(
  'candidates are cheap first, then disjoint, then of other operators, over three relays where two do not do',
  async t => {
    const diamond = graph('S A 1', 'A D 1', 'S B 5', 'B D 5', 'A B 1');
    t.same(paths(diamond), ['A', 'B', 'A>B', 'B>A']);
    t.same(paths(graph('S D 9', 'S A 1', 'A D 1')), ['A', 'direct']);
    t.same(paths(graph('S X 1', 'X D 1', 'S A 9', 'A D 9')), ['A'], 'X may not relay');
    t.same(paths(graph('S A 1', 'A B 1', 'B C 1', 'C D 1')), ['A>B>C']);
    t.same(paths(graph('S A 1', 'A B 1', 'B C 1', 'C E 1', 'E D 1')), [], 'four relays are one too many');
    const three = graph('S A 1', 'A D 1', 'S B 2', 'B D 2', 'S C 3', 'C D 3');
    t.same(paths(three, { A: 'one', B: 'one', C: 'two' }), ['A', 'C', 'B']);
  },
);

t.test('a graph of a thousand nodes gives no more than four candidates', async t => {
  const lines: string[] = [];
  for (let i = 0; i < 1_000; i++)
    for (let k = 1; k <= 8; k++) lines.push(`N${i} N${(i + k * k) % 1_000} ${1 + (i % 7)}`);
  lines.push('S N0 1', 'S N5 1', 'S N9 1', 'D N13 1', 'D N1 1', 'D N25 1');
  const found = paths(graph(...lines));
  t.equal(found.length, 4);
  t.equal(
    new Set(found.slice(0, 2).flatMap(path => path.split('>'))).size,
    found.slice(0, 2).join('>').split('>').length,
  );
});

t.test('receipt ranges join, split nothing, and stay bounded', async t => {
  const ranges = new ReceiptRanges();
  for (const packet of [0, 1, 2, 5, 4, 9]) ranges.add(packet);
  t.same(ranges.ranges, [
    { first: 9, last: 9 },
    { first: 4, last: 5 },
    { first: 0, last: 2 },
  ]);
  ranges.add(3);
  ranges.add(3);
  t.same(ranges.ranges, [
    { first: 9, last: 9 },
    { first: 0, last: 5 },
  ]);
  for (let packet = 20; packet < 400; packet += 2) ranges.add(packet);
  t.equal(ranges.ranges.length, 32);
  t.same(ranges.ranges[0], { first: 398, last: 398 });
  const shuffled = new ReceiptRanges();
  for (let i = 0; i < 31; i++) shuffled.add((i * 17) % 31);
  t.same(shuffled.ranges, [{ first: 0, last: 30 }], 'any order ends in one range');
});

t.test('the replay window takes each number once, and none that is too old', async t => {
  const window = new ReplayWindow();
  const seen = new Set<number>();
  let state = 12_345;
  let highest = 0;
  for (let i = 0; i < 50_000; i++) {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    const packet = Math.max(0, i - (state % 20_000));
    const expected = !seen.has(packet) && highest - packet < 16_384;
    if (window.fresh(packet) !== expected) t.fail(`packet ${packet} after ${highest}: fresh is not ${expected}`);
    if (!expected) continue;
    window.accept(packet);
    seen.add(packet);
    highest = Math.max(highest, packet);
  }
  window.accept(2 ** 52);
  t.notOk(window.fresh(2 ** 52));
  t.ok(window.fresh(2 ** 52 - 16_383));
  t.notOk(window.fresh(2 ** 52 - 16_384));
});

t.test('the estimator follows RFC 9002, with the receipt delay taken off', async t => {
  const rtt = new RttEstimator(100);
  t.equal(rtt.ptoMs, 100 + 200 + 5);
  rtt.sample(25, 5);
  t.equal(rtt.smoothedMs, 20);
  t.equal(rtt.ptoMs, 20 + 40 + 5);
  rtt.sample(36, 0);
  t.equal(rtt.smoothedMs, 0.875 * 20 + 0.125 * 36);
  t.equal(rtt.minMs, 20);
  rtt.sample(30, 1_000);
  t.equal(rtt.latestMs, 25, 'no more than the longest honest delay is believed');
});

t.test('the delay alarm rings for a rise, not for noise, and a slow rise does not escape it', async t => {
  const ringsAfter = (rttAt: (i: number) => number, limit: number): number | undefined => {
    const rtt = new RttEstimator(20);
    const alarm = new DelayAlarm();
    for (let i = 0; i < limit; i++) {
      rtt.sample(rttAt(i), 0);
      if (alarm.sample(rtt)) return i;
    }
    return undefined;
  };
  t.equal(
    ringsAfter(i => 20 + (i % 5), 10_000),
    undefined,
    'noise of a fifth',
  );
  t.ok((ringsAfter(i => (i < 50 ? 20 : 30), 200) ?? 1e9) <= 62, 'half as much again, within 12 samples');
  t.ok(
    ringsAfter(i => 20 + i / 100, 2_000),
    'a hundredth of a millisecond each time',
  );
});

t.test('losses add up over three windows, and age', async t => {
  const verdict = (everyNth: number, messages: number): number | undefined => {
    const meter = new LossMeter();
    for (let i = 1; i <= messages; i++) {
      meter.sent(i * 10);
      if (i % everyNth === 0) meter.lost(i * 10, i * 10, 0);
    }
    return meter.verdict()?.windowMs;
  };
  t.equal(verdict(5, 50), 10_000);
  t.equal(verdict(20, 500), 60_000);
  t.equal(verdict(100, 6_000), 600_000);
  t.equal(verdict(1_000, 60_000), undefined, 'one in a thousand is what networks do');
  const meter = new LossMeter();
  for (let i = 0; i < 20; i++) {
    meter.sent(i);
    meter.lost(i, i, 0);
  }
  t.ok(meter.verdict());
  meter.sent(700_000);
  t.equal(meter.verdict(), undefined, 'ten minutes later it is forgotten');
});

t.test('quarantine doubles with each offence, is spread, and is forgiven slowly', async t => {
  const quarantine = new Quarantine(() => 0.5);
  t.equal(quarantine.impose('A', instant(0)), 2_000);
  t.ok(quarantine.bars('A', instant(1_999)));
  t.notOk(quarantine.bars('A', instant(2_000)));
  t.notOk(quarantine.bars('B', instant(0)));
  t.equal(quarantine.impose('A', instant(3_000)), 4_000);
  t.equal(quarantine.impose('A', instant(8_000)), 8_000);
  t.equal(quarantine.impose('A', instant(16_000 + 60_000)), 8_000, 'a good minute pays back one step');
  for (let i = 0; i < 20; i++) quarantine.impose('A', instant(80_000));
  t.equal(quarantine.impose('A', instant(80_000)), 600_000, 'never more than ten minutes');
  t.equal(new Quarantine(() => 0).impose('A', instant(0)), 1_500);
});

t.test('hedge tokens are earned, rates fill with time, neither beyond its burst', async t => {
  const tokens = new EarnedTokens(0.25, 2);
  t.same([tokens.take(), tokens.take(), tokens.take()], [true, true, false]);
  for (let i = 0; i < 4; i++) tokens.earn();
  t.same([tokens.take(), tokens.take()], [true, false]);
  const rate = new RateLimit(10, 2);
  t.same([rate.take(0), rate.take(0), rate.take(0)], [true, true, false]);
  t.notOk(rate.take(99));
  t.ok(rate.take(200));
  t.same([rate.take(1e6), rate.take(1e6), rate.take(1e6)], [true, true, false]);
});

t.test('a voluntary switch needs 20 pairs, a gain of 10 % and 2 ms, and hardly an exception', async t => {
  const verdict = (count: number, pair: (i: number) => [number, number]) => {
    const pairs = new PairedSamples();
    for (let i = 0; i < count; i++) pairs.add(...pair(i), 0);
    return pairs.verdict();
  };
  t.equal(
    verdict(19, () => [50, 30]),
    undefined,
  );
  t.same(
    verdict(20, () => [50, 30]),
    { gainMs: 20, thresholdMs: 5 },
  );
  t.equal(
    verdict(20, () => [50, 46]),
    undefined,
    'less than a tenth',
  );
  t.equal(
    verdict(20, () => [5, 3.5]),
    undefined,
    'less than 2 ms',
  );
  t.equal(
    verdict(20, i => (i % 5 === 0 ? [30, 50] : [50, 30])),
    undefined,
    'lost four times of 20',
  );
});

/** A source that always fills its window on a path of this rate, both ways of it empty at first; runs some seconds. */
function saturate(window: PathWindow, path: { rttMs: number; bytesPerMs: number; pauses?: boolean }, seconds: number) {
  const frame = 16_384;
  const sent: { at: number; arrives: number }[] = [];
  const from = window.inFlight;
  let [free, worst] = [0, 0];
  for (let now = 1; now <= seconds * 1_000; now += 0.25) {
    while (sent[0] !== undefined && sent[0].arrives + path.rttMs / 2 <= now) {
      const { at } = sent.shift() as { at: number };
      window.settled(frame);
      window.sample(now - at, instant(now));
      worst = Math.max(worst, now > 2_000 ? now - at : 0);
    }
    while (window.room > 0) {
      free = Math.max(free, now + path.rttMs / 2) + frame / path.bytesPerMs;
      // The receiver's process may stand still for 4 ms of every 10.
      const late = path.pauses && free % 10 < 4 ? 4 - (free % 10) : 0;
      sent.push({ at: now, arrives: free + late });
      window.sent(frame);
    }
  }
  return { worstMs: worst, used: window.bytes / (path.bytesPerMs * path.rttMs), left: window.inFlight - from };
}

t.test('a window is what the path carries in a round trip and five milliseconds of queue', async t => {
  for (const path of [
    { rttMs: 20, bytesPerMs: 125_000 },
    { rttMs: 2, bytesPerMs: 500_000 },
  ]) {
    const window = new PathWindow();
    const { worstMs } = saturate(window, path, 12);
    const carried = path.bytesPerMs * path.rttMs;
    t.ok(window.bytes >= 0.9 * carried, `${window.bytes} of ${carried}`);
    t.ok(worstMs <= 2 * path.rttMs + 5, `${worstMs} ms`);
    t.ok(window.bulkRoom < window.room, 'bulk leaves room for the others');
  }
});

t.test('pauses of a receiver do not shrink the window; a path that is half idle proves nothing', async t => {
  const window = new PathWindow();
  saturate(window, { rttMs: 1, bytesPerMs: 200_000, pauses: true }, 5);
  t.ok(window.bytes >= 200_000 * 5, `${window.bytes}`);
  const idle = new PathWindow();
  const initial = idle.bytes;
  for (let now = 1; now < 1_000; now++) {
    idle.sent(1_000);
    idle.settled(1_000);
    idle.sample(now < 500 ? 1 : 30, instant(now));
  }
  t.equal(idle.bytes, initial);
});

t.test('on a slow path bulk has little under way, and the others no less than at first', async t => {
  const window = new PathWindow();
  saturate(window, { rttMs: 20, bytesPerMs: 500 }, 10);
  t.equal(window.bytes, 256 * 1_024);
  t.ok(window.bulkRoom < 0);
});
