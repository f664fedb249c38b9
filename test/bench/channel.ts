/**
 * Channels beside what a user would pick instead, in one run: `npm run bench -- channel`. Two pinned processes on
 * loopback carry every case, all contenders of a row right after one another; only ratios within a round count.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type RunOptions, runCases, type Sample, select } from './cases.js';
import { performancePage, performancePlots } from './page.js';
import { preparePeers } from './peers.js';
import { fallenBack, figures, type Recorded, ratios } from './results.js';
import { withSectionsOf } from './sections.js';

const USAGE = `npm run bench -- channel [options]
  --quick          one short round, a few minutes
  --rounds N       rounds to take medians of (3; 1 with --quick)
  --only ROW,...   rows by id or its beginning (oneway-256, rtt, connect), or bars (P1 ... P8)
  --json           one JSON line per sample, figure and row, and a summary
  --record         keep the result as the baseline, in docs/data/channel.json
  --compare        exit with 1 when a ratio is worse than the recorded one by more than a tenth
  --report         write docs/performance.md from the recorded result, and measure nothing

The contenders are those of shared/bench-peers beside the checkout, or of the folder HOPFAIR_BENCH_PEERS. Its packages are
installed once, in a copy in the folder for temporary files. The link of 100 Mbit/s needs root and iproute2.`;

const root = fileURLToPath(new URL('../..', import.meta.url));
const DOCS = `${root}docs/`;
const RECORD = `${DOCS}data/channel.json`;
const PAGE = `${DOCS}performance.md`;

function readArguments() {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        rounds: { type: 'string' },
        only: { type: 'string' },
        json: { type: 'boolean', default: false },
        record: { type: 'boolean', default: false },
        compare: { type: 'boolean', default: false },
        report: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
    if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds takes a number from 1 on');
    if (values.record && values.only !== undefined)
      throw new Error('a baseline is of one whole run: --record without --only');
    return { ...values, rounds, selection: select(values.only?.split(',')) };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
    process.exit(2);
  }
}

function recorded(): Recorded {
  try {
    return JSON.parse(readFileSync(RECORD, 'utf8')) as Recorded;
  } catch (error) {
    console.error(`No recorded result can be read: run with --record first. ${String(error)}`);
    process.exit(2);
  }
}

const { rounds, quick, json, selection, ...options } = readArguments();
if (options.help) {
  console.log(USAGE);
  process.exit(0);
}
if (options.report) {
  const result = recorded();
  writeFileSync(PAGE, withSectionsOf(performancePage(result), existsSync(PAGE) ? readFileSync(PAGE, 'utf8') : ''));
  for (const [name, svg] of Object.entries(performancePlots(result))) writeFileSync(`${DOCS}${name}`, svg);
  process.exit(0);
}
const baseline = options.compare ? recorded() : undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

const peers = await preparePeers().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(2);
});
const started = performance.now();
const onSample = ({ measure, adapter, round, value, foreign }: Sample): void => {
  const sample = { type: 'sample', bench: 'channel', row: measure, adapter, round, value, foreign };
  if (json) console.log(JSON.stringify(sample));
};
const onProgress: RunOptions['onProgress'] = text => console.error(`${seconds()} s  ${text}`);
const run = await runCases(peers, { quick, rounds, selection, onSample, onProgress });
const result: Recorded = {
  machine: { cores: cpus().length, node: process.versions.node, openssl: process.versions.openssl },
  rounds,
  quick,
  figures: figures(run.samples),
  ratios: ratios(run.samples, selection),
  skipped: run.skipped,
};
const worse = baseline === undefined ? [] : fallenBack(baseline.ratios, result.ratios);
const told = result.ratios.filter(ratio => !ratio.disturbed);
const passed = told.filter(ratio => ratio.pass).length;
const summary = {
  type: 'summary',
  bench: 'channel',
  passed,
  fallShort: told.length - passed,
  disturbed: result.ratios.length - told.length,
  notMeasured: selection.bars.length - result.ratios.length,
  failures: run.failures,
  skipped: run.skipped,
  fallenBack: worse,
  seconds: seconds(),
};
if (json) {
  for (const figure of result.figures) console.log(JSON.stringify({ type: 'figure', bench: 'channel', ...figure }));
  for (const ratio of result.ratios) console.log(JSON.stringify({ type: 'row', bench: 'channel', ...ratio }));
  console.log(JSON.stringify(summary));
} else {
  console.log(performancePage(result));
  console.log(
    `${passed} of ${selection.bars.length} bars reached, ${summary.disturbed} disturbed by other programs, in ${summary.seconds} s`,
  );
  for (const text of [...run.failures, ...run.skipped.map(why => `skipped ${why}`), ...worse]) console.log(text);
}
if (options.record) {
  mkdirSync(dirname(RECORD), { recursive: true });
  writeFileSync(RECORD, `${JSON.stringify(result, null, 2)}\n`);
}
process.exit(run.failures.length > 0 || worse.length > 0 ? 1 : 0);

function seconds(): number {
  return Math.round((performance.now() - started) / 1_000);
}
