import t from 'tap';
import { play } from '../../lib/sim/index.js';
import { SCENARIOS } from './scenarios.js';

/** `npm run sim` plays many more; these few are for everyone who changes a line. */
const SEEDS = 10;

for (const scenario of SCENARIOS) {
  t.test(`the first ${SEEDS} seeds of ${scenario.name} break no invariant`, async t => {
    const summary = await play({ scenarios: [scenario], firstSeed: 0, seeds: SEEDS });
    t.strictSame(
      summary.failures.map(
        ({ seed, failure }) => `npm run sim -- --scenario ${scenario.name} --seed ${seed}  # ${failure?.message}`,
      ),
      [],
    );
    t.ok(summary.events > 0);
  });
}
