/**
 * What the whole path of a mesh costs (performance.md P10, overlay.md R6): `npm run bench -- mesh`. A session over one
 * relay, reliable and in order, beside WebSocket over TLS through a relay: both ends share core 0, the relay has core 1;
 * the contenders run right after one another, and only ratios within a round count.
 */
import { parseArgs } from 'node:util';
import { awake, measured } from './cases.js';
import { idleBytesPerSecond, overheadOf } from './overhead.js';
import { type PeerRecord, type Peers, type Placement, preparePeers } from './peers.js';
import { median, QUIET_CORES } from './results.js';

const USAGE = `npm run bench -- mesh [options]
  --quick          one short round
  --rounds N       rounds to take medians of (3; 1 with --quick)
  --only CASE,...  throughput, rtt, overhead (receipts and copies in virtual time)
  --json           one JSON line per sample and row, and a summary

The contenders are those of shared/bench-peers beside the checkout, or of the folder HOPFAIR_BENCH_PEERS.`;

const CASES = ['throughput', 'rtt', 'overhead'] as const;
const OURS = ['hopfair-mesh-tcp', 'hopfair-mesh-ws'];
const PEER = 'wss';
const RELAYED: Placement = { relay: true, cores: { client: 0, server: 0, relay: 1 } };

interface Sample {
  readonly row: string;
  readonly adapter: string;
  readonly unit: string;
  readonly round: number;
  readonly value: number;
  readonly foreign: number;
}

interface Bar {
  readonly bar: string;
  readonly row: string;
  readonly peer?: string;
  readonly atLeast?: number;
  readonly atMost?: number;
}

const BARS: readonly Bar[] = [
  { bar: 'P10', row: 'relayed', peer: PEER, atLeast: 2 },
  { bar: 'P10', row: 'rtt', peer: PEER, atMost: 1.3 },
  { bar: 'R6', row: 'copies-normal', atMost: 0.05 },
  { bar: 'R6', row: 'receipts-normal', atMost: 12_000 },
  { bar: 'R6', row: 'receipts-critical', atMost: 12_000 },
  { bar: 'R6', row: 'idle', atMost: 150 },
];

function readArguments() {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        rounds: { type: 'string' },
        only: { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
    if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds takes a number from 1 on');
    const only = values.only?.split(',') ?? [...CASES];
    for (const name of only)
      if (!(CASES as readonly string[]).includes(name)) throw new Error(`There is no case "${name}"`);
    return { ...values, rounds, only };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
    process.exit(2);
  }
}

const { rounds, quick, json, only, help } = readArguments();
if (help) {
  console.log(USAGE);
  process.exit(0);
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));
const samples: Sample[] = [];
const failures: string[] = [];

function add(sample: Sample): void {
  samples.push(sample);
  if (json) console.log(JSON.stringify({ type: 'sample', bench: 'mesh', ...sample }));
}

const placementOf = (adapter: string): Placement => ({ ...RELAYED, relayFirst: OURS.includes(adapter) });

/** The only record of a case; undefined, and a failure noted, when a message was lost or the case broke. */
async function run(what: string, round: number, body: () => Promise<readonly PeerRecord[]>) {
  console.error(`round ${round + 1} of ${rounds}: ${what}`);
  const { records, foreign } = await measured(body);
  for (const record of records)
    if (record.ok !== true) failures.push(`round ${round + 1}, ${what}: ${record.error ?? JSON.stringify(record)}`);
  const record = records.find(({ w, ok }) => ok === true && (w === 'oneway' || w === 'rtt-closed'));
  return record === undefined ? undefined : { record, foreign };
}

const numberOf = (record: PeerRecord, name: string): number => {
  const value = record[name];
  return typeof value === 'number' ? value : Number.NaN;
};

async function throughput(peers: Peers, round: number, adapter: string): Promise<void> {
  const job = { kind: 'oneway', sizes: [256], prewarm: 0, warm: quick ? 1_000 : 2_000, measure: quick ? 500 : 1_500 };
  const file = peers.adapterFile(adapter);
  const done = await run(`messages over ${adapter}`, round, () => peers.runPair(file, job, placementOf(adapter)));
  if (done === undefined) return;
  const { record, foreign } = done;
  const shared = { adapter, round, foreign };
  add({ ...shared, row: 'relayed', unit: 'msgs/s', value: numberOf(record, 'rate') });
  add({ ...shared, row: 'receiver-cpu', unit: 'us/msg', value: numberOf(record, 'cpuRx') });
  add({ ...shared, row: 'relay-cpu', unit: 'us/msg', value: numberOf(record, 'cpuRelay') });
}

/** There and back of a lone message of 64 bytes, with both cores kept awake. */
async function roundTrip(peers: Peers, round: number, adapter: string): Promise<void> {
  const job = { kind: 'rtt', sizes: [64], open: [], noReq: true, warm: 500, measure: quick ? 300 : 1_000 };
  const file = peers.adapterFile(adapter);
  const done = await run(`round trips over ${adapter}`, round, () =>
    awake(() => peers.runPair(file, job, placementOf(adapter))),
  );
  if (done === undefined) return;
  const { record, foreign } = done;
  add({ row: 'rtt', adapter, unit: 'us', round, value: numberOf(record, 'p50'), foreign });
  add({ row: 'rtt-p99', adapter, unit: 'us', round, value: numberOf(record, 'p99'), foreign });
}

if (only.includes('throughput') || only.includes('rtt')) {
  const peers = await preparePeers().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(2);
  });
  for (let round = 0; round < rounds; round++) {
    if (only.includes('throughput')) for (const name of [...OURS, PEER]) await throughput(peers, round, name);
    if (only.includes('rtt')) for (const name of [...OURS, PEER]) await roundTrip(peers, round, name);
  }
}
if (only.includes('overhead')) {
  const virtual = { adapter: 'virtual-time', round: 0, foreign: 0 };
  for (const trafficClass of ['normal', 'critical'] as const) {
    const { copies, receiptBytesPerSecond } = await overheadOf(trafficClass, 100, quick ? 10 : 60);
    add({ ...virtual, row: `copies-${trafficClass}`, unit: 'share', value: copies });
    add({ ...virtual, row: `receipts-${trafficClass}`, unit: 'B/s', value: receiptBytesPerSecond });
  }
  add({ ...virtual, row: 'idle', unit: 'B/s', value: await idleBytesPerSecond(quick ? 60 : 600) });
}

const rows = BARS.flatMap(({ bar, row, peer, atLeast, atMost }) => {
  const adapters = [...new Set(samples.map(({ adapter }) => adapter))].filter(adapter => adapter !== PEER);
  return adapters.flatMap(adapter => {
    const of = (name: string) => samples.filter(sample => sample.row === row && sample.adapter === name);
    const own = of(adapter);
    if (own.length === 0) return [];
    const others = peer === undefined ? [] : of(peer);
    const paired = own.flatMap(({ round, value }) => {
      const other = others.find(sample => sample.round === round);
      return other === undefined ? [] : [value / other.value];
    });
    const value = median(own.map(sample => sample.value));
    const ratio = peer === undefined ? value : median(paired);
    const pass = atLeast === undefined ? ratio <= (atMost ?? Number.NaN) : ratio >= atLeast;
    const disturbed = [...own, ...others].some(({ foreign }) => foreign > QUIET_CORES);
    const peerValue = peer === undefined ? undefined : median(others.map(sample => sample.value));
    const result = { adapter, unit: own[0]?.unit, value, peer, peerValue, ratio, atLeast, atMost, pass, disturbed };
    return [{ type: 'row', bench: 'mesh', bar, row, ...result }];
  });
});
const summary = {
  type: 'summary',
  bench: 'mesh',
  passed: rows.filter(({ pass, disturbed }) => pass && !disturbed).length,
  fallShort: rows.filter(({ pass, disturbed }) => !pass && !disturbed).length,
  disturbed: rows.filter(({ disturbed }) => disturbed).length,
  failures,
};
if (json) {
  for (const row of rows) console.log(JSON.stringify(row));
  console.log(JSON.stringify(summary));
} else {
  const names = [...new Set(samples.map(({ row, adapter }) => `${row} ${adapter}`))];
  const medianOf = (name: string) => {
    const own = samples.filter(({ row, adapter }) => `${row} ${adapter}` === name);
    return { median: Number(median(own.map(({ value }) => value)).toPrecision(4)), unit: own[0]?.unit };
  };
  console.table(Object.fromEntries(names.map(name => [name, medianOf(name)])));
  console.table(rows.map(({ type: _type, bench: _bench, unit: _unit, ...row }) => row));
  for (const text of failures) console.log(text);
}
process.exit(failures.length > 0 ? 1 : 0);
