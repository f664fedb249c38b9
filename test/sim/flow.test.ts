import t from 'tap';
import { verdictsOf } from './flow/bars.js';
import { playHostileOperator } from './flow/hostile-operator.js';
import { FlowTally } from './flow/measure.js';
import { FLOW_SCENARIOS } from './flow/scenarios.js';

/** How many seeds: those that play ten minutes or an hour prove as much in fewer. */
const RUNS: Readonly<Record<string, number>> = {
  drop5: 10,
  drop1: 2,
  onoff: 3,
  'onoff-delay': 3,
  healthy: 1,
  'stalls-healthy': 2,
  kpath: 30,
};
const USUAL_RUNS = 60;
/** Measured bars are for `npm run sim:flow`; here they are generous, so that chance does not fail the suite. */
const GENEROUS = 2;

for (const scenario of FLOW_SCENARIOS) {
  t.test(`${scenario.name}: nothing is lost, and the bars are kept: ${scenario.what}`, async t => {
    const options = { rttMs: 12, rate: 100 };
    const tally = new FlowTally();
    for (let seed = 0; seed < (RUNS[scenario.name] ?? USUAL_RUNS); seed++) tally.add(scenario.play(seed, options));
    const verdicts = verdictsOf(scenario.name, tally.measures, options);
    t.ok(verdicts.length > 0, 'the scenario is measured against something');
    for (const { bar, what, measured, limit } of verdicts) {
      t.ok(measured <= GENEROUS * limit, `${bar} ${what}: ${measured} of ${limit}`);
    }
  });
}

t.test('R11: no honest relay is excluded, and the hostile one or a link of it is named', async t => {
  const { honestExcluded, namedShare } = playHostileOperator(0, 30);
  t.equal(honestExcluded, 0);
  t.ok(namedShare >= 0.9, `named in ${namedShare}`);
});
