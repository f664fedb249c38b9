/** The section on rerouting of docs/performance.md out of what was recorded. Pure. */
import type { CompareRun, Fault } from '../compare/run.js';
import type { Bars, Comparison, Machine, Recorded } from './record.js';
import { quantile } from './result.js';
import { scenarioOf } from './scenarios.js';

const FAULT_NAMES: Readonly<Record<Fault, string>> = {
  crash: 'silent crash',
  drop: 'drops data, answers the rest',
  drop20: 'drops 20 % of data',
  delay25: 'adds 25 ms each way',
};

const table = (rows: readonly (readonly string[])[]): string => {
  const [head = [], ...body] = rows;
  return [head, head.map(() => '---'), ...body].map(cells => `| ${cells.join(' | ')} |`).join('\n');
};

const machineOf = ({ cores, node, kernel }: Machine): string => `${cores} cores, Node ${node}, Linux ${kernel}`;

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(ms < 995 ? 3 : 1)} s`;

export function rerouteSection({ comparison, bars }: Recorded): string {
  return [
    '## Rerouting',
    ...(comparison === undefined ? [] : [comparisonPart(comparison)]),
    ...(bars === undefined ? [] : [barsPart(bars)]),
  ].join('\n\n');
}

function comparisonPart(comparison: Comparison): string {
  const { machine, rttMs, ratePerSecond, capMs, faults, systems, runs, skipped } = comparison;
  const rows = systems.map(({ name, version }) => [
    version === '' ? name : `${name} ${version}`,
    ...faults.map(fault =>
      cell(
        runs.filter(run => run.system === name && run.fault === fault),
        capMs,
      ),
    ),
  ]);
  const most = Math.max(0, ...runs.map(run => run.linksLateP99Ms));
  const abouts = systems.map(({ name, about }) => `${name}: ${about}`).join('; ');
  return `### Beside routing daemons: time until delivery is restored, and messages lost meanwhile

${table([['relay of the route in use', ...faults.map(fault => FAULT_NAMES[fault])], ...rows])}

\`npm run compare:reroute -- --record\`, ${machineOf(machine)}. Source, relays A and B and destination are network namespaces; every
contender has the same four links, VXLAN through a process of ours that gives each path a round trip of ${rttMs} ms (there is no netem) and
let packets go up to ${most} ms late (p99, worst run); for babeld and BIRD relay B's links cost twice as much. ${ratePerSecond} numbered messages per second go from source to destination: over our session,
over UDP for the others. The fault hits the relay that carries them. A silent crash loses everything on both of its links; data is lost
inside our relay by \`onForward\`, on the relay's link for those who route packets, and is spoiled in front of Yggdrasil's relay, so that
what keeps a peering alive goes on; delay is added to all that passes one link, hellos included. Restored is the sending of the first
message after which none is lost, none of the first second is 12.5 ms late, and later no more than 5 of 100 (or twice as many as
before the fault), until the end; nobody was waited for longer than ${capMs / 1_000} s. Runs of each: ${mostRuns(runs)}; the median is told, the range in parentheses. ${abouts}.${skipped.map(why => ` Not measured: ${why}.`).join('')}`;
}

const mostRuns = (runs: readonly CompareRun[]): number => Math.max(0, ...runs.map(({ run }) => run));

function cell(runs: readonly CompareRun[], capMs: number): string {
  if (runs.length === 0) return '–';
  const times = runs.map(run => run.restoredMs ?? Number.POSITIVE_INFINITY);
  const [low, middle, high] = [0, 0.5, 1].map(share => quantile(times, share)) as [number, number, number];
  const time = (ms: number): string => (Number.isFinite(ms) ? seconds(ms) : `not within ${capMs / 1_000} s`);
  const range = low === high ? '' : ` (${time(low)} to ${time(high)})`;
  const lost = quantile(
    runs.map(run => run.lost),
    0.5,
  );
  return `${time(middle)}${range}; ${lost} lost`;
}

function barsPart({ machine, summaries }: Bars): string {
  const rows = summaries.flatMap(summary =>
    summary.verdicts.map(({ bar, what, measured, atMost, pass }, i) => [
      i === 0 ? `${summary.scenario}: ${scenarioOf(summary.scenario)?.does ?? ''}` : '',
      i === 0 ? String(summary.runs) : '',
      ...[bar, what, String(measured ?? '–'), String(atMost), pass ? 'reached' : 'falls short'],
    ]),
  );
  const late = Math.max(0, ...summaries.map(summary => summary.proxyLateP99Ms));
  return `### Ours, the bars of the design

\`npm run reroute -- --scenario NAME --record\`, ${machineOf(machine)}: source, destination and both relays are processes, the links a fifth,
which let bytes go up to ${late} ms late (p99, worst run).

${table([['relay of the route in use', 'runs', 'bar', 'what', 'measured', 'at most', ''], ...rows])}`;
}
