/**
 * What a relay costs (performance.md P6, overlay.md R9): `npm run bench -- relay`. Sender and destination share core 0, the
 * relay has core 1; all contenders of a row run right after one another, and only ratios within a round count.
 */
import { parseArgs } from 'node:util';
import { awake, measured } from './cases.js';
import { type PeerRecord, type Peers, type Placement, preparePeers } from './peers.js';
import { stallCase } from './relay-stall.js';
import { median, QUIET_CORES } from './results.js';

const USAGE = `npm run bench -- relay [options]
  --quick          one short round
  --rounds N       rounds to take medians of (3; 1 with --quick)
  --only CASE,...  throughput, delay, frames (by messages in a frame), stall (one of the peers stops reading)
  --json           one JSON line per sample and row, and a summary

The contenders are those of shared/bench-peers beside the checkout, or of the folder HOPFAIR_BENCH_PEERS.`;

const CASES = ['throughput', 'delay', 'frames', 'stall'] as const;
type Case = (typeof CASES)[number];

const OURS = 'hopfair-relay';
const RELAYED: Placement = { relay: true, cores: { client: 0, server: 0, relay: 1 } };
/** How many messages of 256 bytes one frame of a source carries: from a lone order to a saturated path. */
const FRAME_SIZES = [1, 4, 16];

interface Sample {
  readonly row: string;
  readonly adapter: string;
  readonly unit: string;
  readonly round: number;
  readonly value: number;
  readonly foreign: number;
}

interface Row {
  readonly bar: string;
  readonly row: string;
  readonly peer: string | undefined;
  readonly atLeast?: number;
  readonly atMost?: number;
}

const BARS: readonly Row[] = [
  { bar: 'P6', row: 'relayed', peer: 'wss', atLeast: 3 },
  { bar: 'P6', row: 'relay-cpu', peer: undefined, atMost: 0.7 },
  { bar: 'P6', row: 'added', peer: 'net', atMost: 1.2 },
  { bar: 'R9', row: 'stall-held', peer: undefined, atMost: 4_194_304 },
  { bar: 'R9', row: 'stall-p99', peer: 'before', atMost: 1.25 },
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
    const only = (values.only?.split(',') ?? CASES) as readonly Case[];
    for (const name of only) if (!CASES.includes(name)) throw new Error(`There is no case "${name}"`);
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
  if (json) console.log(JSON.stringify({ type: 'sample', bench: 'relay', ...sample }));
}

/** The only record of a case; undefined, and a failure noted, when a message was lost or the case broke. */
async function run(
  what: string,
  round: number,
  body: () => Promise<readonly PeerRecord[]>,
): Promise<{ readonly record: PeerRecord; readonly foreign: number } | undefined> {
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

async function throughput(peers: Peers, round: number, adapter: string, perFrame?: number): Promise<void> {
  const job = { kind: 'oneway', sizes: [256], prewarm: 0, warm: quick ? 500 : 900, measure: quick ? 500 : 3_000 };
  if (perFrame === undefined) delete process.env['HOPFAIR_BENCH_PER_FRAME'];
  else process.env['HOPFAIR_BENCH_PER_FRAME'] = String(perFrame);
  const what = perFrame === undefined ? adapter : `${adapter}, ${perFrame} in a frame`;
  const done = await run(`messages over ${what}`, round, () => peers.runPair(peers.adapterFile(adapter), job, RELAYED));
  delete process.env['HOPFAIR_BENCH_PER_FRAME'];
  if (done === undefined) return;
  const { record, foreign } = done;
  const suffix = perFrame === undefined ? '' : `-${perFrame}`;
  const shared = { adapter, round, foreign };
  add({ ...shared, row: `relayed${suffix}`, unit: 'msgs/s', value: numberOf(record, 'rate') });
  add({ ...shared, row: `relay-cpu${suffix}`, unit: 'us/msg', value: numberOf(record, 'cpuRelay') });
}

/** One way over the relay less one way without it, of a lone message of 256 bytes, with both cores kept awake. */
async function delay(peers: Peers, round: number, adapter: string): Promise<void> {
  const job = { kind: 'rtt', sizes: [256], open: [], noReq: true, warm: 400, measure: quick ? 300 : 1_000 };
  const file = peers.adapterFile(adapter);
  const direct = await run(`${adapter} alone`, round, () => awake(() => peers.runPair(file, job)));
  const relayed = await run(`${adapter} over a relay`, round, () => awake(() => peers.runPair(file, job, RELAYED)));
  if (direct === undefined || relayed === undefined) return;
  const value = (numberOf(relayed.record, 'p50') - numberOf(direct.record, 'p50')) / 2;
  add({ row: 'added', adapter, unit: 'us', round, value, foreign: Math.max(direct.foreign, relayed.foreign) });
}

if (only.some(name => name !== 'stall')) {
  const peers = await preparePeers().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(2);
  });
  for (let round = 0; round < rounds; round++) {
    if (only.includes('throughput'))
      for (const adapter of [OURS, 'wss', 'ws', 'net-batch']) await throughput(peers, round, adapter);
    if (only.includes('delay')) for (const adapter of [OURS, 'net', 'wss']) await delay(peers, round, adapter);
    if (only.includes('frames')) for (const size of FRAME_SIZES) await throughput(peers, round, OURS, size);
  }
}
if (only.includes('stall')) {
  for (let round = 0; round < rounds; round++) {
    console.error(`round ${round + 1} of ${rounds}: one peer stops reading`);
    const { records, foreign } = await measured(() => stallCase(quick));
    for (const { row, adapter, unit, value } of records) add({ row, adapter, unit, value, round, foreign });
  }
}

const rows = BARS.flatMap(({ bar, row, peer, atLeast, atMost }) => {
  const of = (adapter: string) => samples.filter(sample => sample.row === row && sample.adapter === adapter);
  const own = of(OURS);
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
  const unit = own[0]?.unit;
  return [
    { type: 'row', bench: 'relay', bar, row, unit, value, peer, peerValue, ratio, atLeast, atMost, pass, disturbed },
  ];
});
const summary = {
  type: 'summary',
  bench: 'relay',
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
  console.table(
    Object.fromEntries(
      names.map(name => {
        const own = samples.filter(({ row, adapter }) => `${row} ${adapter}` === name);
        return [name, { median: Number(median(own.map(({ value }) => value)).toPrecision(4)), unit: own[0]?.unit }];
      }),
    ),
  );
  console.table(
    rows.map(({ bar, row, peer, ratio, atLeast, atMost, pass }) => ({ bar, row, peer, ratio, atLeast, atMost, pass })),
  );
  for (const text of failures) console.log(text);
}
process.exit(failures.length > 0 ? 1 : 0);
