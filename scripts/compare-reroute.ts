/**
 * `npm run compare:reroute -- [options]`: what people use today and hopfair in the same diamond of network namespaces, with
 * the same faults: how long until delivery is restored. Exit 2 when nothing could be measured.
 */
import { execFileSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { programPath } from '../test/compare/daemon.js';
import { ours } from '../test/compare/ours.js';
import { babeldDefault, babeldTuned, bird } from '../test/compare/routed.js';
import { type CompareRun, compareOnce, FAULTS, type Fault } from '../test/compare/run.js';
import type { System } from '../test/compare/systems.js';
import { yggdrasil } from '../test/compare/yggdrasil.js';
import { rerouteSection } from '../test/reroute/page.js';
import { type Comparison, record, thisMachine, withComparison } from '../test/reroute/record.js';

const CONTENDERS: Readonly<Record<string, readonly System[]>> = {
  ours: [ours],
  babeld: [babeldDefault, babeldTuned],
  bird: [bird],
  yggdrasil: [yggdrasil],
};

const USAGE = `usage: npm run compare:reroute -- [options]
  --only NAME,...    ${Object.keys(CONTENDERS).join(', ')} (default all)
  --fault NAME,...   ${FAULTS.join(', ')} (default all)
  --runs N           runs of each (default 3; all contenders take about 14 minutes for one)
  --rtt MS           round-trip time of each path (default 12)
  --rate MSGS        messages per second (default 100)
  --cap S            nobody is waited for longer than this (default 30)
  --json             only lines of JSON on standard output: one per run, and a summary
  --record           keep the result in docs/data/reroute.json and docs/performance.md, beside what was not measured anew

Needs root, iproute2 and VXLAN; on a busy machine: chrt -r 10 npm run compare:reroute -- ... Daemons that are not installed (Debian: babeld, bird2, yggdrasil) are left out, and told.`;

function usageError(message: string): never {
  process.stderr.write(`${message}\n${USAGE}\n`);
  process.exit(2);
}

function parseOptions() {
  const options = {
    only: { type: 'string' },
    fault: { type: 'string' },
    runs: { type: 'string', default: '3' },
    rtt: { type: 'string', default: '12' },
    rate: { type: 'string', default: '100' },
    cap: { type: 'string', default: '30' },
    json: { type: 'boolean', default: false },
    record: { type: 'boolean', default: false },
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
  const number = (name: 'runs' | 'rtt' | 'rate' | 'cap', least: number, most: number): number => {
    const value = Number(values[name]);
    if (!(value >= least && value <= most)) usageError(`--${name} is a number from ${least} to ${most}`);
    return value;
  };
  const systems = (values.only?.split(',') ?? Object.keys(CONTENDERS)).flatMap(
    name => (Object.hasOwn(CONTENDERS, name) && CONTENDERS[name]) || usageError(`there is no contender "${name}"`),
  );
  const faults = (values.fault?.split(',') ?? FAULTS).map(
    name => FAULTS.find(fault => fault === name) ?? usageError(`there is no fault "${name}"`),
  );
  return {
    ...{ json: values.json ?? false, isRecorded: values.record ?? false, systems, faults },
    runs: Math.floor(number('runs', 1, 1_000)),
    rttMs: number('rtt', 0, 400),
    ratePerSecond: number('rate', 50, 2_000),
    capMs: number('cap', 5, 600) * 1_000,
  };
}

/** What Debian calls the version of a program; empty where it is not Debian's. */
function versionOf({ programs }: System): string {
  const path = programs[0] === undefined ? undefined : programPath(programs[0]);
  if (path === undefined) return '';
  try {
    const ask = (...args: string[]) =>
      execFileSync('dpkg-query', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    const owner = ask('-S', path).split(':')[0] ?? '';
    return /^Version: ([^-\n]+)/m.exec(ask('-s', owner))?.[1] ?? '';
  } catch {
    return ''; // no dpkg, or a program from elsewhere: it has no version that could be named
  }
}

function told({ system, fault, run, restoredMs, lost, sent, worstOneWayMs }: CompareRun): string {
  const restored = restoredMs === undefined ? 'not restored' : `restored after ${restoredMs.toFixed(0)} ms`;
  return `${fault} ${run}, ${system}: ${restored}; ${lost} of ${sent} lost; worst one way ${worstOneWayMs.toFixed(1)} ms`;
}

const { json, isRecorded, systems: wanted, faults, runs: count, ...link } = parseOptions();

const skipped: string[] = [];
const systems = wanted.filter(system => {
  const missing = ['ip', ...system.programs].filter(program => programPath(program) === undefined);
  if (missing.length > 0) skipped.push(`${system.name} (${missing.join(' and ')} not installed)`);
  return missing.length === 0;
});
const runs: CompareRun[] = [];
const failed = (why: string): never => {
  process.stderr.write(`${why}\n`);
  process.exit(2);
};
for (let run = 1; run <= count; run++) {
  for (const fault of faults) {
    for (const system of systems) {
      try {
        const result = await compareOnce({ system, fault, run, ...link });
        if (typeof result === 'string') failed(result);
        else {
          runs.push(result);
          process.stderr.write(`${told(result)}\n`);
          if (json) console.log(JSON.stringify({ type: 'run', ...result }));
        }
      } catch (error) {
        const why = `${system.name} under ${fault}, run ${run} (${error instanceof Error ? error.message : String(error)})`;
        skipped.push(why);
        process.stderr.write(`failed: ${why}\n`);
      }
    }
  }
}
if (runs.length === 0) failed(`nothing was measured: ${skipped.join('; ')}`);

const comparison: Comparison = {
  machine: thisMachine(),
  ...link,
  faults: faults satisfies readonly Fault[],
  systems: systems.map(system => ({ name: system.name, version: versionOf(system), about: system.about })),
  ...{ runs, skipped },
};
if (json) console.log(JSON.stringify({ type: 'summary', ...comparison, runs: runs.length }));
else console.log(rerouteSection({ comparison }));
if (isRecorded) record(before => ({ ...before, comparison: withComparison(before.comparison, comparison) }));
process.exit(0);
