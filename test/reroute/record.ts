/** What was measured of rerouting, as docs/data/reroute.json keeps it, and its section of docs/performance.md. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withSection } from '../bench/sections.js';
import type { CompareRun, Fault } from '../compare/run.js';
import { rerouteSection } from './page.js';
import type { Summary } from './verdict.js';

export interface Machine {
  readonly cores: number;
  readonly node: string;
  readonly kernel: string;
}

/** What `npm run compare:reroute` measured: each contender under each fault as it was measured last. */
export interface Comparison {
  readonly machine: Machine;
  readonly rttMs: number;
  readonly ratePerSecond: number;
  readonly capMs: number;
  readonly faults: readonly Fault[];
  readonly systems: readonly { readonly name: string; readonly version: string; readonly about: string }[];
  readonly runs: readonly CompareRun[];
  /** Contenders that were not measured, and why. */
  readonly skipped: readonly string[];
}

/** Scenarios of `npm run reroute`, each as it was measured last. */
export interface Bars {
  readonly machine: Machine;
  readonly summaries: readonly Summary[];
}

export interface Recorded {
  readonly comparison?: Comparison;
  readonly bars?: Bars;
}

const DOCS = fileURLToPath(new URL('../../docs/', import.meta.url));
const RECORD = `${DOCS}data/reroute.json`;
const PAGE = `${DOCS}performance.md`;

export const thisMachine = (): Machine => ({
  cores: cpus().length,
  node: process.versions.node,
  kernel: release().split('-')[0] ?? '',
});

/** Keeps a result beside the others, and writes the section of the page anew. */
export function record(change: (before: Recorded) => Recorded): void {
  const before = existsSync(RECORD) ? (JSON.parse(readFileSync(RECORD, 'utf8')) as Recorded) : {};
  const after = change(before);
  mkdirSync(dirname(RECORD), { recursive: true });
  writeFileSync(RECORD, `${JSON.stringify(after, null, 2)}\n`);
  writeFileSync(PAGE, withSection(readFileSync(PAGE, 'utf8'), 'reroute', rerouteSection(after)));
}

/** What was measured again replaces what was kept of it; the rest stays where conditions are the same. */
export function withComparison(before: Comparison | undefined, now: Comparison): Comparison {
  const conditions = ({ machine, rttMs, ratePerSecond, capMs }: Comparison): string =>
    JSON.stringify([machine, rttMs, ratePerSecond, capMs]);
  if (before === undefined || conditions(before) !== conditions(now)) return now;
  const isAnew = (one: CompareRun): boolean =>
    now.runs.some(run => run.system === one.system && run.fault === one.fault);
  const isToldAnew = (why: string): boolean => now.systems.some(({ name }) => why.startsWith(name));
  return {
    ...now,
    faults: [...before.faults, ...now.faults.filter(fault => !before.faults.includes(fault))],
    systems: [...before.systems.map(kept => now.systems.find(({ name }) => name === kept.name) ?? kept), ...now.systems]
      // In the order that is known, each once.
      .filter((system, i, all) => all.findIndex(({ name }) => name === system.name) === i),
    runs: [...before.runs.filter(run => !isAnew(run)), ...now.runs],
    skipped: [...before.skipped.filter(why => !isToldAnew(why)), ...now.skipped],
  };
}

/** Scenarios that were measured again replace what was kept of them; the others stay. */
export function withSummaries(before: Bars | undefined, machine: Machine, summaries: readonly Summary[]): Bars {
  const others = (before?.summaries ?? []).filter(
    kept => !summaries.some(({ scenario }) => scenario === kept.scenario),
  );
  return { machine, summaries: [...others, ...summaries] };
}
