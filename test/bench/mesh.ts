/**
 * What the whole path of a mesh costs (performance.md P10, overlay.md R6): `npm run bench -- mesh`. A session over one
 * relay, reliable and in order, beside WebSocket over TLS through a relay: both ends share core 0, the relay has core 1;
 * the contenders run right after one another, and only ratios within a round count.
 */
import { awake } from './cases.js';
import { type Bar, Comparison, measurementOf, numberOf } from './comparison.js';
import { idleBytesPerSecond, overheadOf } from './overhead.js';
import type { Peers, Placement } from './peers.js';

const USAGE = `npm run bench -- mesh [options]
  --quick          one short round
  --rounds N       rounds to take medians of (3; 1 with --quick)
  --only CASE,...  throughput, rtt, overhead (receipts and copies in virtual time)
  --json           one JSON line per sample and row, and a summary
  --record         keep the rows in docs/performance.md

The contenders are those of shared/bench-peers beside the checkout, or of the folder HOPFAIR_BENCH_PEERS.`;

const CASES = ['throughput', 'rtt', 'overhead'];
const OURS = ['hopfair-mesh-tcp', 'hopfair-mesh-ws'];
const PEER = 'wss';
const RELAYED: Placement = { relay: true, cores: { client: 0, server: 0, relay: 1 } };

const BARS: readonly Bar[] = [
  { bar: 'P10', row: 'relayed', peer: PEER, atLeast: 2 },
  { bar: 'P10', row: 'rtt', peer: PEER, atMost: 1.3 },
  { bar: 'R6', row: 'copies-normal', atMost: 0.05 },
  { bar: 'R6', row: 'receipts-normal', atMost: 12_000 },
  { bar: 'R6', row: 'receipts-critical', atMost: 12_000 },
  { bar: 'R6', row: 'idle', atMost: 150 },
];

const bench = new Comparison({
  bench: 'mesh',
  usage: USAGE,
  title: 'The whole path of a mesh',
  ours: [...OURS, 'virtual-time'],
  bars: BARS,
  cases: CASES,
});
const { quick, rounds } = bench;

const placementOf = (adapter: string): Placement => ({ ...RELAYED, relayFirst: OURS.includes(adapter) });

async function throughput(peers: Peers, round: number, adapter: string): Promise<void> {
  const job = { kind: 'oneway', sizes: [256], prewarm: 0, warm: quick ? 1_000 : 2_000, measure: quick ? 500 : 1_500 };
  const file = peers.adapterFile(adapter);
  const done = await bench.run(`messages over ${adapter}`, round, () => peers.runPair(file, job, placementOf(adapter)));
  const record = measurementOf(done.records);
  if (record === undefined) return;
  const { foreign } = done;
  const shared = { adapter, round, foreign };
  bench.add({ ...shared, row: 'relayed', unit: 'msgs/s', value: numberOf(record, 'rate') });
  bench.add({ ...shared, row: 'receiver-cpu', unit: 'us/msg', value: numberOf(record, 'cpuRx') });
  bench.add({ ...shared, row: 'relay-cpu', unit: 'us/msg', value: numberOf(record, 'cpuRelay') });
}

/** There and back of a lone message of 64 bytes, with both cores kept awake. */
async function roundTrip(peers: Peers, round: number, adapter: string): Promise<void> {
  const job = { kind: 'rtt', sizes: [64], open: [], noReq: true, warm: 500, measure: quick ? 300 : 1_000 };
  const file = peers.adapterFile(adapter);
  const done = await bench.run(`round trips over ${adapter}`, round, () =>
    awake(() => peers.runPair(file, job, placementOf(adapter))),
  );
  const record = measurementOf(done.records);
  if (record === undefined) return;
  const { foreign } = done;
  bench.add({ row: 'rtt', adapter, unit: 'us', round, value: numberOf(record, 'p50'), foreign });
  bench.add({ row: 'rtt-p99', adapter, unit: 'us', round, value: numberOf(record, 'p99'), foreign });
}

if (bench.includes('throughput') || bench.includes('rtt')) {
  const peers = await bench.peers();
  for (let round = 0; round < rounds; round++) {
    if (bench.includes('throughput')) for (const name of [...OURS, PEER]) await throughput(peers, round, name);
    if (bench.includes('rtt')) for (const name of [...OURS, PEER]) await roundTrip(peers, round, name);
  }
}
if (bench.includes('overhead')) {
  const virtual = { adapter: 'virtual-time', round: 0, foreign: 0 };
  for (const trafficClass of ['normal', 'critical'] as const) {
    const { copies, receiptBytesPerSecond } = await overheadOf(trafficClass, 100, quick ? 10 : 60);
    bench.add({ ...virtual, row: `copies-${trafficClass}`, unit: 'share', value: copies });
    bench.add({ ...virtual, row: `receipts-${trafficClass}`, unit: 'B/s', value: receiptBytesPerSecond });
  }
  bench.add({ ...virtual, row: 'idle', unit: 'B/s', value: await idleBytesPerSecond(quick ? 60 : 600) });
}
bench.finish();
