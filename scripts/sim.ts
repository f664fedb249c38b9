/**
 * `npm run sim -- --seeds N [--seed S] [--scenario order|mesh|all] [--json] [--plant NAME]`: plays seeds, prints one
 * line for each that fails with the command that replays it, then a summary. Exit 1 on failures, 2 on wrong arguments.
 */
import { parseArgs } from 'node:util';
import { play, playSeed, type Scenario, type SeedReport } from '../lib/sim/index.js';
import { CANARIES } from '../test/canaries/canaries.js';
import { runPlanted } from '../test/canaries/plant.js';
import { SCENARIOS } from '../test/sim/scenarios.js';

const USAGE = `usage: npm run sim -- [options]
  --seeds N         how many seeds (default 200)
  --seed S          the first seed (default 0); without --seeds only this one, with its last events
  --scenario NAME   ${SCENARIOS.map(s => s.name).join(', ')} or all (default all)
  --plant NAME      plant a known bug first, which the run must find: ${Object.keys(CANARIES).join(', ')}
  --fail-fast       end with the first seed that fails
  --json            only lines of JSON on standard output`;

const TRACE_LINES = 40;
const PROGRESS_EVERY_MS = 1_000;

function usageError(message: string): never {
  process.stderr.write(`${message}\n${USAGE}\n`);
  process.exit(2);
}

function parseOptions(): {
  seeds: number;
  firstSeed: number;
  one: boolean;
  scenarios: readonly Scenario[];
  json: boolean;
  failFast: boolean;
  plant: string | undefined;
} {
  const options = {
    seeds: { type: 'string' },
    seed: { type: 'string' },
    scenario: { type: 'string', default: 'all' },
    plant: { type: 'string' },
    json: { type: 'boolean', default: false },
    'fail-fast': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  } as const;
  let values: ReturnType<typeof parseArgs<{ options: typeof options }>>['values'];
  try {
    ({ values } = parseArgs({ options }));
  } catch (error) {
    return usageError((error as Error).message);
  }
  if (values.help) {
    process.stdout.write(`${USAGE}\n`);
    process.exit(0);
  }
  const number = (text: string | undefined, fallback: number): number => {
    if (text === undefined) return fallback;
    return /^\d{1,9}$/.test(text) ? Number(text) : usageError(`not a number: ${text}`);
  };
  const one = values.seed !== undefined && values.seeds === undefined;
  const scenarios = SCENARIOS.filter(({ name }) => values.scenario === 'all' || values.scenario === name);
  if (scenarios.length === 0) usageError(`no scenario ${values.scenario}`);
  if (values.plant !== undefined && !(values.plant in CANARIES)) usageError(`no planted bug ${values.plant}`);
  const { json = false, plant, 'fail-fast': failFast = false } = values;
  return {
    seeds: number(values.seeds, one ? 1 : 200),
    firstSeed: number(values.seed, 0),
    one,
    scenarios,
    json,
    failFast,
    plant,
  };
}

const replayCommand = (report: SeedReport, plant: string | undefined): string =>
  `npm run sim -- --scenario ${report.scenario} --seed ${report.seed}${plant === undefined ? '' : ` --plant ${plant}`}`;

const { seeds, firstSeed, one, scenarios, json, failFast, plant } = parseOptions();
// The planted copy of the sources runs this same script, and is told the name only to print it in commands.
const planted = process.env['HOPFAIR_PLANTED'];
if (plant !== undefined && planted === undefined) process.exit(await runPlanted(plant, process.argv.slice(2)));

const print = (line: object, text: string): void => {
  process.stdout.write(`${json ? JSON.stringify(line) : text}\n`);
};
const startedAt = performance.now();
let told = startedAt;
let played = 0;
const summary = await play({
  scenarios,
  firstSeed,
  seeds,
  failFast,
  onReport: report => {
    played += 1;
    if (report.failure !== undefined) {
      const { scenario, seed, failure, traceHash } = report;
      const replay = replayCommand(report, plant);
      print(
        { type: 'failure', scenario, seed, failure: failure.message, traceHash, replay },
        `FAIL ${replay}  # ${failure.message}`,
      );
    }
    if (performance.now() - told > PROGRESS_EVERY_MS) {
      told = performance.now();
      process.stderr.write(`${played} of ${seeds * scenarios.length} runs\n`);
    }
  },
});

if (one) {
  for (const scenario of scenarios) {
    const report = await playSeed(scenario, firstSeed, TRACE_LINES);
    process.stderr.write(`${report.tail.join('\n')}\ntrace ${report.traceHash}\n`);
    if (report.failure?.stack !== undefined) process.stderr.write(`${report.failure.stack}\n`);
  }
}

// A fault that never happened proves nothing; a handful of seeds need not show them all.
const SEEDS_THAT_SHOW_ALL = 100;
const idle = summary.seeds >= SEEDS_THAT_SHOW_ALL ? summary.idleFaults : [];
if (idle.length > 0) process.stderr.write(`these faults never happened: ${idle.join(', ')}\n`);
const failures = summary.failures.length;
const verdict = failures === 0 && idle.length === 0 ? 'pass' : 'fail';
const seconds = (performance.now() - startedAt) / 1000;
const faults = summary.faults.toJSON([...new Set(scenarios.flatMap(scenario => scenario.faults))]);
const eventsPerSecond = Math.round(summary.events / seconds);
const { events, seeds: playedSeeds } = summary;
print(
  {
    type: 'summary',
    seeds: playedSeeds,
    scenarios: scenarios.map(s => s.name),
    failures,
    events,
    eventsPerSecond,
    faults,
    verdict,
  },
  `${verdict}: ${playedSeeds} seeds, ${failures} failures, ${events} events, ${eventsPerSecond} events/s\n${Object.entries(
    faults,
  )
    .map(([fault, count]) => `  ${fault} ${count}`)
    .join('\n')}`,
);
process.exitCode = verdict === 'pass' ? 0 : 1;
