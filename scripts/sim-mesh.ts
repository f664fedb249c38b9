/**
 * `npm run sim:mesh -- [--nodes 100,1000] [--degree 16] [--seed S] [--storm] [--json]`: link state at scale, in virtual time, with its
 * bars (overlay.md R7). Progress goes to standard error. Exit 1 when a bar is missed, 2 on wrong arguments.
 */
import { parseArgs } from 'node:util';
import { type GraphReport, GraphRun, type Quantiles, type Traffic } from '../test/sim/graph/run.js';

const USAGE = `usage: npm run sim:mesh -- [options]
  --nodes N[,N...]  how many nodes, one run each (default 100,1000; a thousand take some minutes and 3 GB)
  --degree D        channels of a node, on average (default 16)
  --seed S          default 1
  --storm           then let links of a tenth of the nodes be slow at once: at a thousand nodes that takes half an hour
  --json            only lines of JSON on standard output`;

/** Bytes per second that a node may send at this many nodes, with at most 1 % of the nodes changing at once. */
const MAX_BYTES_PER_SECOND: Readonly<Record<number, number>> = { 100: 5_000, 1000: 40_000 };
const MAX_RECOMPUTE_MS = 5;

function usageError(message: string): never {
  process.stderr.write(`${message}\n${USAGE}\n`);
  process.exit(2);
}

const number = (text: string, from: number, to: number): number => {
  const value = Number(text);
  return Number.isInteger(value) && value >= from && value <= to ? value : usageError(`not within limits: ${text}`);
};

function parseOptions(): { nodes: readonly number[]; degree: number; seed: number; storm: boolean; json: boolean } {
  try {
    const { values } = parseArgs({
      options: {
        nodes: { type: 'string', default: '100,1000' },
        degree: { type: 'string', default: '16' },
        seed: { type: 'string', default: '1' },
        storm: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(`${USAGE}\n`);
      process.exit(0);
    }
    return {
      nodes: values.nodes.split(',').map(text => number(text, 20, 4_096)),
      degree: number(values.degree, 4, 64),
      seed: number(values.seed, 0, 1e9),
      storm: values.storm,
      json: values.json,
    };
  } catch (error) {
    return usageError((error as Error).message);
  }
}

const PHASES = ['steady', 'slowLinks', 'restarts', 'massFailure', 'storm'] as const;

/** What the bars speak of: the average node while nothing, or 1 % of the nodes, changes. */
const barred = (report: GraphReport): number =>
  Math.max(...(['steady', 'slowLinks', 'restarts'] as const).map(phase => report[phase].sent.mean));

const kilobytes = ({ mean, p95, max }: Quantiles): string =>
  [mean, p95, max].map(value => (value / 1000).toFixed(1)).join(' / ');

function table(reports: readonly GraphReport[]): string {
  const row = (name: string, cell: (report: GraphReport) => string): string =>
    `| ${[name, ...reports.map(cell)].join(' | ')} |`;
  const phases = PHASES.filter(phase => reports.every(report => report[phase] !== undefined));
  const traffic = (way: 'sent' | 'received'): string[] =>
    phases.map(phase =>
      row(`${phase}: kB/s ${way}, mean / p95 / max`, report => kilobytes((report[phase] as Traffic)[way])),
    );
  return [
    row('nodes', report => String(report.nodes)),
    `| ${['---', ...reports.map(() => '---')].join(' | ')} |`,
    row('channels per node', report => report.degree.toFixed(1)),
    ...traffic('sent'),
    ...traffic('received'),
    row('one destination recomputed: ms, p50 / p99', ({ recompute: { onePath } }) =>
      [onePath.p50, onePath.p99].map(ms => ms.toFixed(3)).join(' / '),
    ),
    row('the same, held: ms, p50 / p99', ({ recompute: { held } }) =>
      [held.p50, held.p99].map(ms => ms.toFixed(4)).join(' / '),
    ),
    row('a tenth dies: ms until avoided / until all paths work', ({ convergence }) =>
      [convergence.avoidsDeadMs, convergence.allWorkMs].map(ms => ms.toFixed(0)).join(' / '),
    ),
  ].join('\n');
}

const { nodes, degree, seed, storm, json } = parseOptions();
const reports: GraphReport[] = [];
for (const count of nodes) {
  const startedAt = performance.now();
  let toldAt = 0;
  const report = new GraphRun(seed, count, degree, what => {
    if (performance.now() - toldAt < 1_000) return;
    toldAt = performance.now();
    process.stderr.write(`${count} nodes, ${((toldAt - startedAt) / 1000).toFixed(0)} s: ${what}\n`);
  }).play(storm);
  reports.push(report);
  if (json) process.stdout.write(`${JSON.stringify({ type: 'nodes', ...report })}\n`);
}
const bars = reports.flatMap(report => {
  const maxBytesPerSecond = MAX_BYTES_PER_SECOND[report.nodes];
  const { p99 } = report.recompute.onePath;
  const { avoidsDeadMs, allWorkMs } = report.convergence;
  return [
    ...(maxBytesPerSecond === undefined
      ? []
      : [{ bar: 'control bytes/s per node', nodes: report.nodes, measured: barred(report), limit: maxBytesPerSecond }]),
    { bar: 'recompute p99, ms', nodes: report.nodes, measured: p99, limit: MAX_RECOMPUTE_MS },
    // No figure is asked for, but it must converge.
    {
      bar: 'paths avoid the dead and work',
      nodes: report.nodes,
      measured: Math.min(avoidsDeadMs, allWorkMs) < 0 ? 1 : 0,
      limit: 0,
    },
  ].map(line => ({ ...line, passes: line.measured <= line.limit }));
});
const verdict = bars.every(({ passes }) => passes) ? 'pass' : 'fail';
if (json) process.stdout.write(`${JSON.stringify({ type: 'summary', bars, verdict })}\n`);
else {
  const lines = bars.map(
    ({ bar, nodes: of, measured, limit, passes }) =>
      `${passes ? 'pass' : 'FAIL'} ${of} nodes: ${bar} ${measured.toFixed(2)}, at most ${limit}`,
  );
  process.stdout.write(`${reports[0]?.latencies}\n${table(reports)}\n${lines.join('\n')}\n${verdict}\n`);
}
process.exitCode = verdict === 'pass' ? 0 : 1;
