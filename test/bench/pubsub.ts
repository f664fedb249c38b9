/**
 * Publish/subscribe beside a broker (performance.md P9): `npm run bench -- pubsub`. One publisher and four subscribers, five
 * processes on the same two cores; all contenders run right after one another, and only ratios within a round count.
 */
import { spawnSync } from 'node:child_process';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { measured } from './cases.js';
import { type PeerRecord, preparePeers } from './peers.js';
import { median, QUIET_CORES } from './results.js';

const USAGE = `npm run bench -- pubsub [options]
  --quick          one short round
  --rounds N       rounds to take medians of (3; 1 with --quick)
  --all            NATS without TLS and gossipsub too
  --json           one JSON line per sample and row, and a summary

The contenders are those of shared/bench-peers beside the checkout, or of the folder HOPFAIR_BENCH_PEERS. It needs the program
nats-server (apt-get install nats-server).`;

const OURS = 'hopfair-pubsub';
const BROKER = 'nats-tls';
const RATE = 200;

type Broadcast = (
  kind: string,
  options: { rate: number; warmMs: number; latMs: number; ms: number },
) => Promise<PeerRecord>;

interface Sample {
  readonly row: string;
  readonly adapter: string;
  readonly unit: string;
  readonly round: number;
  readonly value: number;
  readonly foreign: number;
}

const ROWS = [
  { row: 'deliveries', field: 'deliveries', unit: '1/s' },
  { row: 'one-way-p50', field: 'p50', unit: 'us' },
  { row: 'one-way-p99', field: 'p99', unit: 'us' },
  { row: 'publisher-cpu', field: 'cpuTx', unit: 'us/publication' },
] as const;

const BARS = [
  { bar: 'P9', row: 'deliveries', atLeast: 1 },
  { bar: 'P9', row: 'one-way-p99', atMost: 1 },
] as const satisfies readonly { bar: string; row: string; atLeast?: number; atMost?: number }[];

function readArguments() {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        rounds: { type: 'string' },
        all: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
    if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds takes a number from 1 on');
    return { ...values, rounds };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
    process.exit(2);
  }
}

const { rounds, quick, all, json, help } = readArguments();
if (help) {
  console.log(USAGE);
  process.exit(0);
}
if (spawnSync('nats-server', ['--version'], { stdio: 'ignore' }).status !== 0) {
  console.error('There is no nats-server here: install it (apt-get install nats-server) and try again.');
  process.exit(2);
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));
const peers = await preparePeers().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(2);
});
const { bcast } = (await import(pathToFileURL(join(peers.folder, 'bcast/run.mjs')).href)) as { bcast: Broadcast };
// The broadcast of the bench takes the names of its own adapters: ours is told by the way to it.
const kindOf = (adapter: string): string =>
  adapter === OURS ? relative(join(peers.folder, 'adapters'), peers.adapterFile(OURS)).replace(/\.mjs$/, '') : adapter;

const samples: Sample[] = [];
const failures: string[] = [];
const adapters = [OURS, BROKER, ...(all ? ['nats', 'gossipsub'] : [])];
const times = quick ? { warmMs: 1_000, latMs: 1_500, ms: 2_000 } : { warmMs: 2_000, latMs: 5_000, ms: 5_000 };
for (let round = 0; round < rounds; round++) {
  for (const [i] of adapters.entries()) {
    const adapter = adapters[(i + round) % adapters.length] as string;
    console.error(`round ${round + 1} of ${rounds}: ${adapter}`);
    const { records, foreign } = await measured(async () => [await bcast(kindOf(adapter), { rate: RATE, ...times })]);
    const [record] = records;
    if (record?.ok !== true) {
      failures.push(`round ${round + 1}, ${adapter}: ${record?.error ?? JSON.stringify(record)}`);
      continue;
    }
    for (const { row, field, unit } of ROWS) {
      const sample: Sample = { row, adapter, unit, round, value: Number(record[field]), foreign };
      samples.push(sample);
      if (json) console.log(JSON.stringify({ type: 'sample', bench: 'pubsub', ...sample }));
    }
  }
}

const of = (row: string, adapter: string): Sample[] => samples.filter(s => s.row === row && s.adapter === adapter);
const rows = BARS.flatMap(({ bar, row, ...bound }) => {
  const [own, others] = [of(row, OURS), of(row, BROKER)];
  const paired = own.flatMap(({ round, value }) => {
    const other = others.find(sample => sample.round === round);
    return other === undefined ? [] : [value / other.value];
  });
  if (paired.length === 0) return [];
  const ratio = median(paired);
  const pass = 'atLeast' in bound ? ratio >= bound.atLeast : ratio <= bound.atMost;
  const disturbed = [...own, ...others].some(({ foreign }) => foreign > QUIET_CORES);
  const [value, peerValue] = [own, others].map(list => median(list.map(sample => sample.value)));
  const unit = own[0]?.unit;
  return [
    { type: 'row', bench: 'pubsub', bar, row, unit, value, peer: BROKER, peerValue, ratio, ...bound, pass, disturbed },
  ];
});
const summary = {
  type: 'summary',
  bench: 'pubsub',
  passed: rows.filter(({ pass, disturbed }) => pass && !disturbed).length,
  fallShort: rows.filter(({ pass, disturbed }) => !pass && !disturbed).length,
  disturbed: rows.filter(({ disturbed }) => disturbed).length,
  failures,
};
if (json) {
  for (const row of rows) console.log(JSON.stringify(row));
  console.log(JSON.stringify(summary));
} else {
  const table = adapters.map(adapter => [
    adapter,
    Object.fromEntries(
      ROWS.map(({ row, unit }) => [
        `${row} ${unit}`,
        Number(median(of(row, adapter).map(s => s.value)).toPrecision(4)),
      ]),
    ),
  ]);
  console.table(Object.fromEntries(table));
  console.table(rows.map(({ type: _, bench: __, ...row }) => row));
  for (const text of failures) console.log(text);
}
process.exit(failures.length > 0 ? 1 : 0);
