/** The diamond of `npm run compare:reroute` in network namespaces: that it works, not how fast it is on a busy machine. */
import t from 'tap';
import { programPath } from './daemon.js';
import { ours } from './ours.js';
import { babeldTuned } from './routed.js';
import { compareOnce } from './run.js';
import { Spaces } from './spaces.js';

async function whyNot(): Promise<string | false> {
  if (programPath('ip') === undefined) return 'iproute2 is not installed';
  const spaces = await Spaces.open(1);
  if (typeof spaces === 'string') return spaces;
  await spaces.close();
  return false;
}

const skip = await whyNot();
const link = { run: 1, rttMs: 12, ratePerSecond: 100, capMs: 20_000 };

t.test('namespaces: a relay that vanishes without a word costs hopfair no message', { skip }, async t => {
  const run = await compareOnce({ ...link, system: ours, fault: 'crash', capMs: 5_000 });
  t.comment(JSON.stringify(run));
  t.match(run, { system: 'hopfair', lost: 0 });
});

const skipDaemon = skip || (programPath('babeld') === undefined && 'babeld is not installed');
t.test(
  'namespaces: babeld loses what is sent until it routes around a relay that vanished',
  { skip: skipDaemon },
  async t => {
    const system = { ...babeldTuned, settleMs: 5_000 };
    const run = await compareOnce({ ...link, system, fault: 'crash' });
    t.comment(JSON.stringify(run));
    if (typeof run === 'string') return t.fail(run);
    t.ok(run.lost > 10, 'messages were lost');
    t.ok(run.lost < run.sent, 'and not all of them: it did route around');
  },
);
