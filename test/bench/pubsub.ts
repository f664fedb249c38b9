/**
 * Publish/subscribe beside a broker (performance.md P9): `npm run bench -- pubsub`. One publisher and four subscribers, five
 * processes on the same two cores; all contenders run right after one another, and only ratios within a round count.
 */
import { spawnSync } from 'node:child_process';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Bar, Comparison, numberOf } from './comparison.js';
import type { PeerRecord } from './peers.js';

const USAGE = `npm run bench -- pubsub [options]
  --quick          one short round
  --rounds N       rounds to take medians of (3; 1 with --quick)
  --all            NATS without TLS and gossipsub too
  --json           one JSON line per sample and row, and a summary
  --record         keep the rows in docs/performance.md

The contenders are those of shared/bench-peers beside the checkout, or of the folder HOPFAIR_BENCH_PEERS. It needs the program
nats-server (apt-get install nats-server).`;

const OURS = 'hopfair-pubsub';
const BROKER = 'nats-tls';
const RATE = 200;

type Broadcast = (
  kind: string,
  options: { rate: number; warmMs: number; latMs: number; ms: number },
) => Promise<PeerRecord>;

const ROWS = [
  { row: 'deliveries', field: 'deliveries', unit: '1/s' },
  { row: 'one-way-p50', field: 'p50', unit: 'us' },
  { row: 'one-way-p99', field: 'p99', unit: 'us' },
  { row: 'publisher-cpu', field: 'cpuTx', unit: 'us/publication' },
] as const;

const BARS: readonly Bar[] = [
  { bar: 'P9', row: 'deliveries', peer: BROKER, atLeast: 1 },
  { bar: 'P9', row: 'one-way-p99', peer: BROKER, atMost: 1 },
];

const bench = new Comparison({
  bench: 'pubsub',
  usage: USAGE,
  title: 'Publish/subscribe',
  ours: [OURS],
  bars: BARS,
  cases: [],
  switches: ['all'],
});
if (spawnSync('nats-server', ['--version'], { stdio: 'ignore' }).status !== 0) {
  console.error('There is no nats-server here: install it (apt-get install nats-server) and try again.');
  process.exit(2);
}
const peers = await bench.peers();
const { bcast } = (await import(pathToFileURL(join(peers.folder, 'bcast/run.mjs')).href)) as { bcast: Broadcast };
// The broadcast of the bench takes the names of its own adapters: ours is told by the way to it.
const kindOf = (adapter: string): string =>
  adapter === OURS ? relative(join(peers.folder, 'adapters'), peers.adapterFile(OURS)).replace(/\.mjs$/, '') : adapter;

const adapters = [OURS, BROKER, ...(bench.on('all') ? ['nats', 'gossipsub'] : [])];
const times = bench.quick ? { warmMs: 1_000, latMs: 1_500, ms: 2_000 } : { warmMs: 2_000, latMs: 5_000, ms: 5_000 };
for (let round = 0; round < bench.rounds; round++) {
  for (const [i] of adapters.entries()) {
    const adapter = adapters[(i + round) % adapters.length] as string;
    const play = async () => [await bcast(kindOf(adapter), { rate: RATE, ...times })];
    const { records, foreign } = await bench.run(adapter, round, play);
    for (const record of records) {
      for (const { row, field, unit } of ROWS) {
        bench.add({ row, adapter, unit, round, value: numberOf(record, field), foreign });
      }
    }
  }
}
bench.finish();
