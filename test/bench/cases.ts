/** Runs the cases of the bench: rounds over jobs, and within a job all contenders right after one another. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Link, openLink } from './link.js';
import { BARS, type Bar, type Job, MEASURES, type Measure, processorTimeIds } from './measures.js';
import type { PeerRecord, Peers } from './peers.js';

/** What one measure was for one contender in one round. */
export interface Sample {
  readonly measure: string;
  readonly adapter: string;
  readonly round: number;
  readonly value: number;
  /** Cores that other programs used meanwhile. */
  readonly foreign: number;
}

export interface Selection {
  readonly measures: readonly Measure[];
  readonly bars: readonly Bar[];
  isWanted(measure: Measure, adapter: string): boolean;
}

export interface RunOptions {
  readonly quick: boolean;
  readonly rounds: number;
  readonly selection: Selection;
  readonly onSample: (sample: Sample) => void;
  readonly onProgress: (text: string) => void;
}

export interface Run {
  readonly samples: readonly Sample[];
  readonly failures: readonly string[];
  readonly skipped: readonly string[];
}

/**
 * What `--only` names: rows by id or by how their ids begin (`oneway-256`, `rtt`), or bars (`P3`). A bar brings what it
 * compares, and nothing else; a row brings all its contenders. Throws when a name fits nothing.
 */
export function select(names: readonly string[] | undefined): Selection {
  if (names === undefined)
    return { measures: MEASURES, bars: BARS, isWanted: (m, adapter) => m.adapters.includes(adapter) };
  const isNamed = (id: string): boolean => names.some(name => id === name || id.startsWith(`${name}-`));
  const named = MEASURES.filter(measure => isNamed(measure.id));
  const bars = BARS.filter(bar => names.includes(bar.bar) || isNamed(bar.measure));
  for (const name of names) {
    const fits = BARS.some(bar => bar.bar === name) || MEASURES.some(m => m.id === name || m.id.startsWith(`${name}-`));
    if (!fits) throw new Error(`There is no row or bar "${name}": ${[...new Set(MEASURES.map(m => m.id))].join(', ')}`);
  }
  const wanted = new Set<string>();
  for (const measure of named) for (const adapter of measure.adapters) wanted.add(`${measure.id} ${adapter}`);
  for (const { measure, ours, peer, against } of bars) {
    wanted.add(`${measure} ${ours}`);
    for (const id of processorTimeIds(measure)) wanted.add(`${id} ${ours}`);
    if (peer !== undefined) {
      for (const id of [measure, ...processorTimeIds(measure)]) wanted.add(`${id} ${peer}`);
    }
    if (against !== undefined) wanted.add(`${against} ${ours}`);
  }
  const isWanted = (measure: Measure, adapter: string): boolean => wanted.has(`${measure.id} ${adapter}`);
  return { measures: MEASURES.filter(m => m.adapters.some(adapter => isWanted(m, adapter))), bars, isWanted };
}

/** js-libp2p's first thousands of messages are far slower than its later ones. */
const SLOW_START = new Map([['libp2p-tcp', 3]]);

/** The jobs of one case in the terms of the bench of peers; `sizes` are those that are wanted of it. */
function jobsOf(job: Job, sizes: readonly number[], quick: boolean, adapter: string): object[] {
  const slow = SLOW_START.get(adapter) ?? 1;
  const prewarm = (quick ? 300 : 800) * slow;
  const bulk = { kind: 'oneway', sizes: [65_536], prewarm, warm: 250, measure: quick ? 250 : 600 };
  const loop = { kind: 'rtt', sizes: [64], open: [], noReq: true, warm: (quick ? 150 : 400) * slow };
  switch (job) {
    case 'oneway':
      return [{ kind: 'oneway', sizes, prewarm, warm: (quick ? 100 : 250) * slow, measure: quick ? 200 : 600 }];
    case 'rtt':
    case 'awake':
      return [{ ...loop, measure: quick ? 300 : 1_000 }];
    case 'open':
      return [{ ...loop, measure: 100, open: [[256, 20_000]], openMs: quick ? 300 : 1_000 }];
    case 'beside':
      return [bulk, { kind: 'hol', warm: quick ? 200 : 500, measure: quick ? 400 : 1_000, rate: 2_000 }];
    case 'link':
      return [
        { ...bulk, warm: 500, measure: 2_000 },
        { kind: 'hol', warm: 1_000, measure: quick ? 1_500 : 3_000, rate: 2_000 },
      ];
    case 'connect':
      return [{ kind: 'handshake', ms: quick ? 400 : 1_000, par: 16 }];
    case 'memory':
      return sizes.map(n => ({ kind: 'mem', n }));
  }
}

export async function runCases(peers: Peers, options: RunOptions): Promise<Run> {
  const { selection, rounds, quick } = options;
  const run = { samples: [] as Sample[], failures: [] as string[], skipped: [] as string[] };
  const jobs = [...new Set(selection.measures.map(measure => measure.job))];
  let link: Link | undefined;
  if (jobs.includes('link')) {
    const opened = openLink();
    if (typeof opened === 'string') run.skipped.push(`link: ${opened}`);
    else link = opened;
  }
  try {
    for (let round = 0; round < rounds; round++) {
      for (const job of jobs) {
        if (job === 'link' && link === undefined) continue;
        const measures = selection.measures.filter(measure => measure.job === job);
        const adapters = [...new Set(measures.flatMap(measure => measure.adapters))];
        // The order rotates, so that nobody is always the last.
        for (const [i] of adapters.entries()) {
          const adapter = adapters[(i + round) % adapters.length] as string;
          const wanted = measures.filter(measure => selection.isWanted(measure, adapter));
          if (wanted.length === 0) continue;
          options.onProgress(`round ${round + 1} of ${rounds}: ${job} ${adapter}`);
          const sizes = [...new Set(wanted.map(measure => measure.size))];
          const { records, foreign } = await measured(() =>
            runJobs(peers, link, job, adapter, jobsOf(job, sizes, quick, adapter)),
          );
          for (const record of records)
            if (record.ok !== true) run.failures.push(failureOf(round, job, adapter, record));
          for (const measure of wanted) {
            const value = measure.read(job === 'memory' ? records.filter(r => r['n'] === measure.size) : records);
            if (value === undefined) continue;
            const sample = { measure: measure.id, adapter, round, value, foreign };
            run.samples.push(sample);
            options.onSample(sample);
          }
        }
      }
    }
  } finally {
    link?.close();
  }
  return run;
}

function failureOf(round: number, job: Job, adapter: string, record: PeerRecord): string {
  const why = record.error ?? JSON.stringify(record);
  return `round ${round + 1}, ${job} ${adapter}: ${why}`;
}

async function runJobs(
  peers: Peers,
  link: Link | undefined,
  job: Job,
  adapter: string,
  jobs: readonly object[],
): Promise<PeerRecord[]> {
  const file = peers.adapterFile(adapter);
  const records: PeerRecord[] = [];
  for (const each of jobs) {
    const run = () =>
      job === 'link' && link !== undefined ? link.runPair(peers, file, each) : peers.runPair(file, each);
    records.push(...(job === 'awake' ? await awake(run) : await run()));
  }
  return records;
}

/** Runs a case, and tells how many cores other programs used meanwhile. */
export async function measured<T>(run: () => Promise<T>): Promise<{ readonly records: T; readonly foreign: number }> {
  const before = processorTime();
  const records = await run();
  const after = processorTime();
  return { records, foreign: Math.max(0, (after.others - before.others) / (after.at - before.at)) };
}

/** Processor time of all but this process and its finished children, in milliseconds. */
function processorTime(): { others: number; at: number } {
  const MS_PER_TICK = 10;
  const total = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]?.trim().split(/\s+/).slice(1).map(Number) ?? [];
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = total;
  const own = readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ').slice(11, 15).map(Number) ?? [];
  const busy = user + nice + system + irq + softirq + steal;
  return { others: (busy - own.reduce((sum, ticks) => sum + ticks, 0)) * MS_PER_TICK, at: performance.now() };
}

/**
 * Keeps both cores out of idle with spinners that yield to everything else. Without them a closed loop on a virtual
 * machine mostly measures how long the hypervisor takes to wake a core.
 */
export async function awake<T>(run: () => Promise<T>): Promise<T> {
  const spinner = (core: string): ChildProcess =>
    spawn('taskset', ['-c', core, 'chrt', '-i', '0', process.execPath, '-e', 'for(;;);'], { stdio: 'ignore' });
  const spinners = ['0', '1'].map(spinner);
  const gone = spinners.map(child => new Promise(resolve => child.once('exit', resolve)));
  const stop = (): void => {
    for (const child of spinners) child.kill('SIGKILL');
  };
  process.once('exit', stop);
  try {
    await sleep(100); // until they have started
    return await run();
  } finally {
    process.off('exit', stop);
    stop();
    await Promise.all(gone);
  }
}
