/**
 * What the benches of one part share (relay, mesh, publish/subscribe): arguments, samples, and bars that are judged by the
 * ratios of contenders that ran right after one another.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { measured } from './cases.js';
import { type PeerRecord, type Peers, preparePeers } from './peers.js';
import { median, QUIET_CORES } from './results.js';
import { withSection } from './sections.js';

export interface Sample {
  readonly row: string;
  readonly adapter: string;
  readonly unit: string;
  readonly round: number;
  readonly value: number;
  /** Cores that other programs used meanwhile. */
  readonly foreign: number;
}

/** Without a `peer` it is the value that is judged, else its ratio to the peer's. */
export interface Bar {
  readonly bar: string;
  readonly row: string;
  readonly peer?: string;
  readonly atLeast?: number;
  readonly atMost?: number;
}

export interface ComparisonOptions {
  readonly bench: string;
  readonly usage: string;
  /** Heading of what `--record` writes into docs/performance.md. */
  readonly title: string;
  /** Whose rows are judged. */
  readonly ours: readonly string[];
  readonly bars: readonly Bar[];
  /** Names for `--only`; empty: the bench has no such option. */
  readonly cases: readonly string[];
  /** Switches besides `--quick`, `--json`, `--record` and `--help`. */
  readonly switches?: readonly string[];
}

interface Arguments {
  readonly rounds: number;
  readonly only: readonly string[];
  readonly on: (name: string) => boolean;
}

export class Comparison {
  readonly #options: ComparisonOptions;
  readonly #arguments: Arguments;
  readonly #samples: Sample[] = [];
  readonly #failures: string[] = [];

  /** Reads the arguments of the process, and ends it when they are wrong or ask for help. */
  constructor(options: ComparisonOptions) {
    this.#options = options;
    this.#arguments = readArguments(options);
    if (this.on('help')) {
      console.log(options.usage);
      process.exit(0);
    }
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));
  }

  get rounds(): number {
    return this.#arguments.rounds;
  }

  get quick(): boolean {
    return this.on('quick');
  }

  on(name: string): boolean {
    return this.#arguments.on(name);
  }

  includes(name: string): boolean {
    return this.#arguments.only.includes(name);
  }

  /** The bench of peers, or the end of the process with what to do. */
  async peers(): Promise<Peers> {
    return await preparePeers().catch((error: unknown) => {
      console.error(error instanceof Error ? error.message : error);
      process.exit(2);
    });
  }

  add(sample: Sample): void {
    this.#samples.push(sample);
    if (this.on('json')) console.log(JSON.stringify({ type: 'sample', bench: this.#options.bench, ...sample }));
  }

  /** The records of a case that are whole. A message that was lost, or a case that broke, is a failure of the run. */
  async run(
    what: string,
    round: number,
    body: () => Promise<readonly PeerRecord[]>,
  ): Promise<{ readonly records: readonly PeerRecord[]; readonly foreign: number }> {
    console.error(`round ${round + 1} of ${this.rounds}: ${what}`);
    const { records, foreign } = await measured(body);
    for (const record of records) {
      if (record.ok === true) continue;
      this.#failures.push(`round ${round + 1}, ${what}: ${record.error ?? JSON.stringify(record)}`);
    }
    return { records: records.filter(({ ok }) => ok === true), foreign };
  }

  /** Tells what was measured and ends the process: 1 when something failed. */
  finish(): never {
    const rows = this.#options.bars.flatMap(bar => this.#rowsOf(bar));
    if (this.on('json')) {
      for (const row of rows) console.log(JSON.stringify({ type: 'row', bench: this.#options.bench, ...row }));
      console.log(JSON.stringify(this.#summary(rows)));
    } else {
      console.table(this.#medians());
      console.table(rows);
      for (const text of this.#failures) console.log(text);
    }
    if (this.on('record')) {
      const page = new URL('../../docs/performance.md', import.meta.url);
      writeFileSync(page, withSection(readFileSync(page, 'utf8'), this.#options.bench, this.#section(rows)));
    }
    process.exit(this.#failures.length > 0 ? 1 : 0);
  }

  #section(rows: readonly Row[]): string {
    const { bench, title } = this.#options;
    const short = (value: number): string => String(Number(value.toPrecision(3)));
    const lines = rows.map(
      ({ bar, row, adapter, unit, value, peer, peerValue, ratio, atLeast, atMost, pass, disturbed }) => {
        const beside = peer === undefined || peerValue === undefined ? '–' : `${peer}: ${short(peerValue)}`;
        const bound = atLeast === undefined ? `≤ ${atMost}` : `≥ ${atLeast}`;
        const verdict = `${pass ? 'reached' : 'falls short'}${disturbed ? ', disturbed' : ''}`;
        const compared = peer === undefined ? '–' : `${short(ratio)}x`;
        return `| ${[bar, row, adapter, `${short(value)} ${unit}`, beside, compared, bound, verdict].join(' | ')} |`;
      },
    );
    return [
      `## ${title}`,
      '',
      `\`npm run bench -- ${bench} --rounds ${this.rounds} --record\`: ${cpus().length} cores, Node ${process.versions.node}.`,
      '',
      '| bar | row | ours | measured | beside | ratio | bar is |  |',
      '| --- | --- | --- | --- | --- | --- | --- | --- |',
      ...lines,
    ].join('\n');
  }

  #rowsOf({ bar, row, peer, atLeast, atMost }: Bar): Row[] {
    return this.#options.ours.flatMap((adapter): Row[] => {
      const own = this.#of(row, adapter);
      if (own.length === 0) return [];
      const others = peer === undefined ? [] : this.#of(row, peer);
      const paired = own.flatMap(({ round, value }) => {
        const other = others.find(sample => sample.round === round);
        return other === undefined ? [] : [value / other.value];
      });
      if (peer !== undefined && paired.length === 0) return [];
      const value = median(own.map(sample => sample.value));
      const ratio = peer === undefined ? value : median(paired);
      const pass = atLeast === undefined ? ratio <= (atMost ?? Number.NaN) : ratio >= atLeast;
      const disturbed = [...own, ...others].some(({ foreign }) => foreign > QUIET_CORES);
      const peerValue = peer === undefined ? undefined : median(others.map(sample => sample.value));
      const unit = own[0]?.unit;
      return [{ bar, row, adapter, unit, value, peer, peerValue, ratio, atLeast, atMost, pass, disturbed }];
    });
  }

  #of(row: string, adapter: string): readonly Sample[] {
    return this.#samples.filter(sample => sample.row === row && sample.adapter === adapter);
  }

  #summary(rows: readonly Row[]) {
    return {
      type: 'summary',
      bench: this.#options.bench,
      passed: rows.filter(({ pass, disturbed }) => pass && !disturbed).length,
      fallShort: rows.filter(({ pass, disturbed }) => !pass && !disturbed).length,
      disturbed: rows.filter(({ disturbed }) => disturbed).length,
      failures: this.#failures,
    };
  }

  #medians() {
    const names = [...new Set(this.#samples.map(({ row, adapter }) => `${row} ${adapter}`))];
    return Object.fromEntries(
      names.map(name => {
        const own = this.#samples.filter(({ row, adapter }) => `${row} ${adapter}` === name);
        return [name, { median: Number(median(own.map(({ value }) => value)).toPrecision(4)), unit: own[0]?.unit }];
      }),
    );
  }
}

interface Row {
  readonly bar: string;
  readonly row: string;
  readonly adapter: string;
  readonly unit: string | undefined;
  readonly value: number;
  readonly peer: string | undefined;
  readonly peerValue: number | undefined;
  readonly ratio: number;
  readonly atLeast: number | undefined;
  readonly atMost: number | undefined;
  readonly pass: boolean;
  readonly disturbed: boolean;
}

function readArguments({ usage, cases, switches = [] }: ComparisonOptions): Arguments {
  const names = ['quick', 'json', 'record', 'help', ...switches];
  try {
    const { values } = parseArgs({
      options: {
        ...Object.fromEntries(names.map(name => [name, { type: 'boolean' as const }])),
        rounds: { type: 'string' },
        ...(cases.length > 0 && { only: { type: 'string' as const } }),
      },
    }) as { values: Readonly<Record<string, string | boolean | undefined>> };
    const rounds = Number(values['rounds'] ?? (values['quick'] ? 1 : 3));
    if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds takes a number from 1 on');
    const only = typeof values['only'] === 'string' ? values['only'].split(',') : cases;
    for (const name of only) if (!cases.includes(name)) throw new Error(`There is no case "${name}"`);
    return { rounds, only, on: name => values[name] === true };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
    process.exit(2);
  }
}

export const numberOf = (record: PeerRecord, name: string): number => {
  const value = record[name];
  return typeof value === 'number' ? value : Number.NaN;
};

/** The one record of a pair that holds a measurement. */
export const measurementOf = (records: readonly PeerRecord[]): PeerRecord | undefined =>
  records.find(({ w }) => w === 'oneway' || w === 'rtt-closed');
