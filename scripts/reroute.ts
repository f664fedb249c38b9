/**
 * `npm run reroute -- [--scenario NAME] [options]`: real processes, real sockets, a relay that fails or lies, and how long
 * the mesh takes to leave it (overlay.md, bars R1 to R6 and R8). Exit 1 when a bar is missed, 2 when it could not run.
 */
import { parseArgs } from 'node:util';
import type { TrafficClass } from '../test/reroute/node-process.js';
import { record, thisMachine, withSummaries } from '../test/reroute/record.js';
import type { RunResult } from '../test/reroute/result.js';
import { runOnce } from '../test/reroute/run.js';
import { SCENARIO_NAMES, type Scenario, scenarioOf } from '../test/reroute/scenarios.js';
import { type Summary, summaryOf } from '../test/reroute/verdict.js';

const USAGE = `usage: npm run reroute -- [options]
  --scenario NAME,...  ${SCENARIO_NAMES.join(', ')}
                       (default crash,drop,drop20,delay25)
  --runs N             runs of each scenario (default 20, fewer where one takes long)
  --rtt MS             round-trip time of each path (default 12)
  --rate MSGS          messages of 256 bytes per second (default 100)
  --class CLASS        critical, normal, bulk or mixed: critical and normal in turn (default normal)
  --seconds S          how long each run is watched at most; R5 asks for 600 of onoff, R4 for 3,600 of healthy
  --record             keep the summaries in docs/data/reroute.json and docs/performance.md
  --json               only lines of JSON on standard output: one per run, one summary per scenario

Source, destination and both relays are processes of their own, since a signal must hit one of them alone; a fifth is the
links. Bars in ms are met or missed on a machine that does nothing else: see the lateness of the links in the table. On a busy
one, root may give these processes precedence: chrt -r 10 npm run reroute -- ...`;

function usageError(message: string): never {
  process.stderr.write(`${message}\n${USAGE}\n`);
  process.exit(2);
}

interface Options {
  readonly json: boolean;
  readonly isRecorded: boolean;
  readonly scenarios: readonly Scenario[];
  readonly runs: number | undefined;
  readonly rttMs: number;
  readonly ratePerSecond: number;
  readonly class: TrafficClass;
  readonly watchMs: number | undefined;
}

function parseOptions(): Options {
  const options = {
    scenario: { type: 'string', default: 'crash,drop,drop20,delay25' },
    runs: { type: 'string' },
    rtt: { type: 'string', default: '12' },
    rate: { type: 'string', default: '100' },
    class: { type: 'string', default: 'normal' },
    seconds: { type: 'string' },
    record: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
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
  const number = (name: 'runs' | 'rtt' | 'rate' | 'seconds', least: number, most: number): number => {
    const value = Number(values[name]);
    if (!(value >= least && value <= most)) usageError(`--${name} is a number from ${least} to ${most}`);
    return value;
  };
  const scenarios = (values.scenario ?? '').split(',').map(name => {
    return scenarioOf(name) ?? usageError(`there is no scenario "${name}"`);
  });
  const trafficClass = (['critical', 'normal', 'bulk', 'mixed'] as const).find(name => name === values.class);
  return {
    ...{ json: values.json ?? false, isRecorded: values.record ?? false, scenarios },
    runs: values.runs === undefined ? undefined : Math.floor(number('runs', 1, 1_000)),
    rttMs: number('rtt', 0, 400),
    ratePerSecond: number('rate', 1, 5_000),
    class: trafficClass ?? usageError('--class is critical, normal, bulk or mixed'),
    watchMs: values.seconds === undefined ? undefined : number('seconds', 1, 7_200) * 1_000,
  };
}

const ms = (value: number | undefined): string => (value === undefined ? '-' : value.toFixed(1));

function lineOf(run: RunResult): string {
  const losses = `${run.sent} sent, ${run.lost} lost, ${run.duplicated} twice, ${run.reordered} out of order`;
  const route = run.switchMs === undefined ? 'no switch' : `switch after ${ms(run.switchMs)} ms (${run.trigger})`;
  return `${losses}; ${route}; one way p99 ${ms(run.p99OneWayMs)}, worst ${ms(run.worstOneWayMs)} ms`;
}

function table(summaries: readonly Summary[]): string {
  const head = [
    'scenario',
    'runs',
    'lost',
    'switch p50',
    'p95 ms',
    'stayed',
    'one way p99',
    'worst ms',
    'false',
    'links late p99',
  ];
  const rows = summaries.map(s => [
    ...[s.scenario, String(s.runs), String(s.lost), ms(s.switchP50Ms), ms(s.switchP95Ms), String(s.stayed)],
    ...[ms(s.p99OneWayMs), ms(s.worstOneWayMs), String(s.falseReroutes), ms(s.proxyLateP99Ms)],
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map(row => row[i]?.length ?? 0)));
  const lines = [head, ...rows].map(row =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const verdicts = summaries.flatMap(({ scenario, verdicts: all }) =>
    all.map(v => `${v.pass ? '✔' : '✖'} ${v.bar} ${scenario}: ${v.what} ${v.measured} (bar ${v.atMost})`),
  );
  return [...lines, '', ...verdicts].join('\n');
}

const { json, isRecorded, scenarios, ...options } = parseOptions();
const summaries: Summary[] = [];
try {
  for (const scenario of scenarios) {
    const runs: RunResult[] = [];
    const count = options.runs ?? scenario.runs;
    for (let run = 1; run <= count; run++) {
      const watchMs = options.watchMs ?? scenario.watchMs;
      const result = await runOnce({ ...options, scenario, run, watchMs });
      runs.push(result);
      process.stderr.write(`${scenario.name} ${run}/${count}: ${lineOf(result)}\n`);
      if (json) console.log(JSON.stringify({ ...result, faultOneWayMs: undefined }));
    }
    const summary = summaryOf(scenario, runs);
    summaries.push(summary);
    if (json) console.log(JSON.stringify(summary));
  }
} catch (error) {
  process.stderr.write(`it could not run: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(2);
}
if (!json) console.log(table(summaries));
if (isRecorded) record(before => ({ ...before, bars: withSummaries(before.bars, thisMachine(), summaries) }));
process.exit(summaries.every(({ pass }) => pass) ? 0 : 1);
