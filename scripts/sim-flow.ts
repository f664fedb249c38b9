/**
 * `npm run sim:flow -- [--scenario NAME|all] [--runs N] [--rtt MS] [--rate MSGS] [--seed S] [--json]`: plays the shipping
 * flow over simulated paths in virtual time and measures it against the bars of the design. Exit 1 when a bar is missed,
 * 2 on wrong arguments. With `--seed` one run, with its events.
 */
import { parseArgs } from 'node:util';
import { explain } from '../lib/route/index.js';
import { verdictsOf } from '../test/sim/flow/bars.js';
import { playHostileOperator } from '../test/sim/flow/hostile-operator.js';
import { FlowTally } from '../test/sim/flow/measure.js';
import { FLOW_SCENARIOS } from '../test/sim/flow/scenarios.js';

const NAMES = [...FLOW_SCENARIOS.map(scenario => scenario.name), 'hostile-operator'];
const USAGE = `usage: npm run sim:flow -- [options]
  --scenario NAME   one of the below, or all (default all)
  --runs N          how many seeds of each (default 100; long scenarios play a tenth of it)
  --rtt MS          round-trip time of the paths (default 12)
  --rate MSGS       messages per second (default 100)
  --seed S          only this seed, and what the flow decided
  --json            lines of JSON
scenarios:
${FLOW_SCENARIOS.map(({ name, what }) => `  ${name.padEnd(17)} ${what}`).join('\n')}
  hostile-operator  R11: one operator of several drops a fifth or more, towards some or all destinations`;

/** Scenarios of ten minutes and more prove as much in fewer runs. */
const LONG = new Set(['drop1', 'onoff', 'onoff-delay', 'healthy', 'stalls-healthy']);

function fail(message: string): never {
  process.stderr.write(`${message}\n${USAGE}\n`);
  process.exit(2);
}

function options() {
  try {
    return parseArgs({
      options: {
        scenario: { type: 'string', default: 'all' },
        runs: { type: 'string', default: '100' },
        rtt: { type: 'string', default: '12' },
        rate: { type: 'string', default: '100' },
        seed: { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    return fail((error as Error).message);
  }
}

const values = options();
if (values.help) {
  process.stdout.write(`${USAGE}\n`);
  process.exit(0);
}
const positive = (name: 'runs' | 'rtt' | 'rate'): number => {
  const number = Number(values[name]);
  return number > 0 && number < 1e6 ? number : fail(`not a number: --${name} ${values[name]}`);
};
const flowOptions = { rttMs: positive('rtt'), rate: positive('rate') };
const runs = Math.ceil(positive('runs'));
const names = values.scenario === 'all' ? NAMES : [values.scenario];
if (!names.every(name => NAMES.includes(name))) fail(`no scenario ${values.scenario}`);
const firstSeed = values.seed === undefined ? 0 : Number(values.seed);
const round = (value: unknown): unknown => (typeof value === 'number' ? Math.round(value * 1_000) / 1_000 : value);

let missed = false;
for (const name of names) {
  const startedAt = performance.now();
  const count = values.seed !== undefined ? 1 : LONG.has(name) ? Math.ceil(runs / 10) : runs;
  const tally = new FlowTally();
  const scenario = FLOW_SCENARIOS.find(other => other.name === name);
  let measures: object;
  if (scenario === undefined) measures = playHostileOperator(firstSeed, count);
  else {
    for (let i = 0; i < count; i++) {
      const run = scenario.play(firstSeed + i, flowOptions);
      tally.add(run);
      if (values.seed === undefined) continue;
      for (const event of run.world.events) process.stdout.write(`${event.atMs.toFixed(1)} ${explain(event)}\n`);
      process.stdout.write(`fault at ${run.faultAtMs.toFixed(1)}\n`);
    }
    measures = tally.measures;
  }
  const verdicts = verdictsOf(name, measures, flowOptions);
  missed ||= verdicts.some(verdict => !verdict.met);
  const numbers = Object.fromEntries(Object.entries(measures).map(([key, value]) => [key, round(value)]));
  const seconds = round((performance.now() - startedAt) / 1_000);
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ scenario: name, ...flowOptions, ...numbers, seconds, verdicts })}\n`);
    continue;
  }
  const text = Object.entries(numbers)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key} ${value}`);
  process.stdout.write(`${name} (${seconds} s): ${text.join(', ')}\n`);
  for (const { bar, what, measured, limit, met } of verdicts) {
    process.stdout.write(`  ${met ? 'met   ' : 'MISSED'} ${bar} ${what}: ${round(measured)} of ${round(limit)}\n`);
  }
}
process.exitCode = missed ? 1 : 0;
