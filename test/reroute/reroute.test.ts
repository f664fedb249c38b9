/** The diamond of `npm run reroute`, one run of two of its scenarios: that it heals, not how fast on a busy machine. */
import t from 'tap';
import { runOnce } from './run.js';
import { scenarioOf } from './scenarios.js';

for (const name of ['crash', 'drop']) {
  t.test(
    `real processes, the relay in use ${scenarioOf(name)?.does}: nothing is lost, repeated or reordered, and the route changes`,
    async t => {
      const scenario = scenarioOf(name);
      if (scenario === undefined) throw new Error(`there is no scenario ${name}`);
      const { watchMs } = scenario;
      const run = await runOnce({ scenario, run: 1, rttMs: 12, ratePerSecond: 100, class: 'normal', watchMs });
      t.comment(JSON.stringify({ ...run, faultOneWayMs: undefined }));
      t.ok(run.sent > 300, 'messages were sent before, during and after');
      t.match(run, { lost: 0, duplicated: 0, reordered: 0, corrupt: 0 });
      t.ok(run.switchMs !== undefined, 'the route changed');
      t.ok(run.lateBadShare < 0.5, 'and stayed away from that relay');
    },
  );
}
