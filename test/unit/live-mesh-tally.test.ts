import t from 'tap';
import type { EntryReport } from '../../examples/live-mesh/messages.js';
import { LogDigest, Tally } from '../../examples/live-mesh/tally.js';

const entry = (order: string, side: 'buy' | 'sell' = 'buy'): EntryReport => ({ id: `id-${order}`, order, side });

function run(left: readonly EntryReport[], right: readonly EntryReport[], hashes = ['x', 'x']): Tally {
  const tally = new Tally();
  tally.add('bot-1', { kind: 'submitted', mode: 'sealed', orders: ['a/1', 'a/2'], latenciesMs: [10, 30] });
  tally.add('observer-1', { kind: 'entries', mode: 'sealed', firstIndex: 0, entries: left });
  tally.add('observer-2', { kind: 'entries', mode: 'sealed', firstIndex: 0, entries: right });
  hashes.forEach((stateHash, i) => {
    tally.add(`observer-${i + 1}`, { kind: 'state', applied: 2, stateHash, fills: 0, lastPrice: 0 });
  });
  return tally;
}

t.test('a run passes only when nothing is lost, repeated or different', async t => {
  const both = [entry('a/1'), entry('a/2')];
  t.match(run(both, both).summary(), {
    submitted: 2,
    delivered: 2,
    lost: 0,
    duplicated: 0,
    divergent: 0,
    verdict: 'pass',
  });
  t.match(run(both, [entry('a/1')]).summary(), { lost: 1, verdict: 'fail' });
  t.match(run([...both, entry('a/1')], both).summary(), { duplicated: 1, verdict: 'fail' });
  t.match(run(both, [...both].reverse()).summary(), { divergent: 1, verdict: 'fail' });
  t.match(run(both, both, ['x', 'y']).summary(), { verdict: 'fail' });
  t.match(new Tally().summary(), { submitted: 0, verdict: 'fail' });
});

t.test('a member that has another log diverges, one that is only behind does not', async t => {
  const both = [entry('a/1'), entry('a/2')];
  const behind = new LogDigest();
  behind.append('id-a/1');
  const tally = run(both, both);
  tally.add('member-1', { kind: 'log', count: behind.count, digest: behind.digest });
  t.equal(tally.summary().divergent, 0);
  behind.append('id-other');
  tally.add('member-1', { kind: 'log', count: behind.count, digest: behind.digest });
  t.equal(tally.summary().divergent, 1);
});

t.test('an attack is won only ahead of the victim and on its side', async t => {
  const tally = new Tally();
  const entries = [entry('f/1', 'buy'), entry('f/2', 'sell'), entry('v/1', 'buy'), entry('f/3', 'buy')];
  tally.add('observer-1', { kind: 'entries', mode: 'plain', firstIndex: 0, entries });
  for (const order of ['f/1', 'f/2', 'f/3', 'f/never-came']) {
    tally.add('front-runner', { kind: 'attack', mode: 'plain', victim: 'id-v/1', order, side: 'buy' });
  }
  t.strictSame(tally.frontRun('plain'), { tried: 3, won: 1 });
  t.strictSame(tally.frontRun('sealed'), { tried: 0, won: 0 });
});
