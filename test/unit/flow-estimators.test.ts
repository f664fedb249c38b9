import t from 'tap';
import { instant } from '../../lib/env.js';
import type { PeerId } from '../../lib/identity/index.js';
import { Arrivals } from '../../lib/route/arrivals.js';
import { independentPaths } from '../../lib/route/disjoint.js';
import { Exploration } from '../../lib/route/exploration.js';
import { FlowPath } from '../../lib/route/flow-path.js';
import { Suspicion } from '../../lib/route/index.js';
import { LossHistory } from '../../lib/route/loss.js';
import { LossTest } from '../../lib/route/loss-test.js';
import { OwnHealth } from '../../lib/route/own-health.js';
import { RaceRest } from '../../lib/route/race.js';
import { ReturnLoss } from '../../lib/route/return-loss.js';
import { DelayAlarm, RttEstimator } from '../../lib/route/rtt.js';
import { SeededRng } from '../../lib/sim/rng.js';

const peer = (name: string): PeerId => name as PeerId;

/** Packets until the test rings for a loss of this share; undefined when it never does. */
function ringsAfter(isLost: (i: number) => boolean, limit: number): number | undefined {
  const test = new LossTest();
  for (let i = 0; i < limit; i++) {
    if (isLost(i)) test.lost(i * 10, 3);
    else test.arrived();
    if (test.alarmed) return i;
  }
  return undefined;
}

t.test('the sequential test finds 20, 5 and 1 % in time, and never rings for one in a thousand', async t => {
  const rng = new SeededRng('loss');
  const random = (share: number) => () => rng.float() < share;
  for (let i = 0; i < 20; i++) {
    t.ok((ringsAfter(random(0.2), 200) ?? 1e9) < 150, '20 % within 1.5 s of 100 a second');
    t.ok((ringsAfter(random(0.05), 6_000) ?? 1e9) < 1_000, '5 % within 10 s');
    t.ok((ringsAfter(random(0.01), 60_000) ?? 1e9) < 10_000, '1 % within 100 s');
  }
  t.equal(ringsAfter(random(0.001), 1_000_000), undefined, 'not in three hours of 0.1 %');
});

t.test('a relay that is good most of the time does not escape the sequential test', async t => {
  t.ok(
    ringsAfter(i => i % 1_000 < 100 && i % 5 === 0, 20_000),
    'a tenth of the time it drops a fifth',
  );
  t.ok(
    ringsAfter(i => i % 60_000 < 1_000 && i % 10 === 0, 60_000),
    'ten seconds of each ten minutes a tenth',
  );
});

t.test('losses of neighbouring packets are one event for the sequential test', async t => {
  const burst = new LossTest();
  for (let i = 0; i < 50; i++) burst.lost(i * 0.05, 3);
  t.notOk(burst.alarmed);
  burst.lost(10, 3);
  const score = burst.score;
  burst.lost(11, 3);
  t.equal(burst.score, score);
});

t.test('the record of a route outlives its path', async t => {
  const history = new LossHistory();
  for (let i = 0; i < 20; i++) history.of('A').urgent.lost(i * 10, i * 10, 0);
  t.ok(history.of('A').urgent.test.alarmed);
  t.notOk(history.of('A').normal.test.alarmed, 'lanes are told apart');
  t.notOk(history.of('B').urgent.test.alarmed);
  for (let i = 0; i < 64; i++) history.of(`other ${i}`);
  t.notOk(history.of('A').urgent.test.alarmed, 'but not for ever: the memory is bounded');
});

t.test('packets that never come back show as gaps, those that are overtaken do not', async t => {
  const rng = new SeededRng('gaps');
  const dropped = new ReturnLoss();
  const reordered = new ReturnLoss();
  for (let i = 0; i < 500; i++) {
    if (rng.float() >= 0.2) dropped.heard(i, instant(i * 10), 19);
    reordered.heard(i % 2 === 0 ? i + 1 : i - 1, instant(i * 10), 19);
  }
  t.ok(dropped.test.alarmed);
  t.equal(reordered.test.score, 0);
  const skipping = new ReturnLoss();
  skipping.heard(0, instant(0), 19);
  skipping.heard(1e12, instant(1), 19);
  skipping.heard(1e12 + 1, instant(5_000), 19);
  t.ok(skipping.test.alarmed, 'a huge gap costs no more than a bounded one');
});

t.test('a loss counts only when something sent soon after it arrived', async t => {
  const arrivals = new Arrivals();
  for (let ms = 0; ms <= 100; ms += 10) arrivals.note(instant(ms), 20);
  for (let ms = 500; ms <= 600; ms += 10) arrivals.note(instant(ms), 20);
  t.ok(arrivals.soonAfter(instant(55), 20), 'in the middle of what arrived');
  t.notOk(arrivals.soonAfter(instant(100), 20), 'the last before the destination was silent');
  t.notOk(arrivals.soonAfter(instant(300), 20), 'while it was');
  t.ok(arrivals.soonAfter(instant(480), 20), 'just before it was back');
});

t.test('a late tick judges what was due before the poll that preceded it, a punctual one everything', async t => {
  const health = new OwnHealth();
  t.equal(health.judgeUntil(instant(10), instant(11)), 11);
  t.equal(health.askAgainAt, undefined);
  t.equal(health.judgeUntil(instant(20), instant(60)), undefined, 'nothing was polled since it was due');
  t.equal(health.askAgainAt, 61);
  t.equal(health.judgeUntil(instant(61), instant(100)), 60, 'late again: what was due by the last tick');
  t.equal(health.judgeUntil(instant(101), instant(101)), 101);
  t.equal(health.askAgainAt, undefined);
  health.note(instant(200), instant(250));
  t.ok(health.samplesAreStale(instant(251)), 'receipts of that turn waited in our sockets');
  t.notOk(health.samplesAreStale(instant(252)));
});

t.test('exploration copies 1 to 2 % of messages, whatever their rate, at times that follow no rhythm', async t => {
  for (const intervalMs of [0.5, 10, 200]) {
    const rng = new SeededRng(`explore ${intervalMs}`);
    const exploration = new Exploration(() => rng.float());
    const gaps: number[] = [];
    let last = 0;
    for (let i = 1; i <= 100_000; i++) {
      if (!exploration.isDue(instant(i * intervalMs))) continue;
      gaps.push(i - last);
      last = i;
    }
    t.ok(gaps.length > 1_200 && gaps.length < 1_800, `${gaps.length} of 100,000`);
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
    const deviation = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length);
    t.ok(deviation > 0.85 * mean && deviation < 1.15 * mean, 'gaps of a Poisson process deviate by their mean');
  }
});

t.test('a lost race raises the delay baseline only as far as the rival is slow too', async t => {
  const rings = (rivalMs: number): boolean => {
    const rtt = new RttEstimator(20);
    const alarm = new DelayAlarm();
    for (let i = 0; i < 20; i++) {
      rtt.sample(20, 0);
      alarm.sample(rtt);
    }
    alarm.accept(40, rivalMs);
    let rang = false;
    for (let i = 0; i < 20; i++) {
      rtt.sample(40, 0);
      rang = alarm.sample(rtt) || rang;
    }
    return rang;
  };
  t.ok(rings(21), 'the rival is fast: it behaved only while it was watched');
  t.notOk(rings(40), 'everything is slow');
});

t.test('races that show no better path rest for longer each time, and begin anew after a while', async t => {
  const rest = new RaceRest();
  t.ok(rest.mayRace(instant(0)));
  rest.aborted(10, instant(0));
  t.notOk(rest.mayRace(instant(19)));
  t.ok(rest.mayRace(instant(20)));
  for (let i = 0; i < 20; i++) rest.aborted(10, instant(100));
  t.notOk(rest.mayRace(instant(1_099)));
  t.ok(rest.mayRace(instant(1_100)), 'a second at most');
  rest.aborted(10, instant(20_000));
  t.ok(rest.mayRace(instant(20_020)));
});

t.test('independent paths share no relay and no operator, and all unknown operators are one', async t => {
  const losses = new LossHistory();
  const path = (id: number, route: string, operators: string): FlowPath<number> => {
    const names = route === '' ? [] : route.split('>');
    const info = {
      id,
      route: names.map(peer),
      operators: operators === '' ? names.map(() => '') : operators.split('>'),
      rttHintMs: 10,
    };
    return new FlowPath(info, losses.of(route), undefined);
  };
  const chosen = (count: number, ...paths: FlowPath<number>[]): string[] =>
    independentPaths(paths, count).map(found => found.key);
  const [a, b, c, direct] = [path(0, 'A', 'x'), path(1, 'B', 'x'), path(2, 'C', 'y'), path(3, '', '')];
  t.same(chosen(3, a, b, c), ['A', 'C']);
  t.same(chosen(3, a, b, c, direct), ['A', 'C', '']);
  t.same(chosen(3, path(0, 'A', ''), path(1, 'B', ''), c), ['A', 'C'], 'of two unknown ones nothing is known');
  // The first choice may stand in the way of more.
  t.same(chosen(2, path(0, 'A>B', 'x>y'), a, c), ['A', 'C']);
});

/** 100 messages of which the first path lost this share, while copies of them arrived. */
function lose(suspicion: Suspicion, destination: string, route: readonly string[], count: number): void {
  const outcomes = suspicion.outcomes(peer(destination), route.map(peer));
  for (let i = 0; i < 100; i++) {
    if (i < count) outcomes?.lost(instant(1_000));
    else outcomes?.arrived();
  }
}

t.test('suspicion names the link towards a single destination, the relay when it fails several', async t => {
  const suspicion = new Suspicion();
  const named = (atMs: number): string[] => suspicion.suspects(instant(atMs)).map(({ peers }) => peers.join('-'));
  lose(suspicion, 'D', ['A'], 20);
  lose(suspicion, 'D', ['B'], 0);
  t.same(named(1_000), ['A-D'], 'the destination may be the one that lies');
  t.notOk(suspicion.suspected(peer('A'), instant(1_000)));
  t.ok(suspicion.crosses(peer('D'), [peer('A')], instant(1_000)));
  t.notOk(suspicion.crosses(peer('E'), [peer('A')], instant(1_000)), 'towards others it may be well');
  lose(suspicion, 'E', ['A'], 20);
  t.same(named(2_000), ['A']);
  t.ok(suspicion.suspected(peer('A'), instant(2_000)));
  for (const destination of ['F', 'G', 'H']) lose(suspicion, destination, ['A'], 0);
  t.same(named(3_000).sort(), ['A-D', 'A-E'], 'it serves more than it fails');
  t.same(named(700_000), [], 'ten minutes later it is forgotten');
});

t.test('of two relays on a path neither is excluded for the other, but their link is named', async t => {
  const suspicion = new Suspicion();
  lose(suspicion, 'D', ['A', 'B'], 20);
  lose(suspicion, 'E', ['A', 'B'], 20);
  lose(suspicion, 'D', ['B'], 0);
  t.same(
    suspicion.suspects(instant(1_000)).map(({ peers }) => peers.join('-')),
    ['A-B'],
  );
  for (const relay of ['A', 'B']) t.notOk(suspicion.suspected(peer(relay), instant(1_000)));
  lose(suspicion, 'D', ['A'], 20);
  lose(suspicion, 'E', ['A'], 20);
  t.same(
    suspicion.suspects(instant(2_000)).map(({ peers }) => peers.join('-')),
    ['A'],
    'known otherwise, it explains both',
  );
});

t.test('changes of suspicion are told once, named and cleared', async t => {
  const suspicion = new Suspicion();
  lose(suspicion, 'D', ['A'], 20);
  const told = (atMs: number) =>
    suspicion.takeChanges(instant(atMs)).map(({ cleared, suspect }) => [cleared, suspect.lost]);
  t.same(told(1_000), [[false, 20]]);
  t.same(told(2_000), []);
  t.same(told(700_000), [[true, 20]]);
});
