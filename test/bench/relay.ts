/**
 * What a relay costs (performance.md P6, overlay.md R9): `npm run bench -- relay`. Sender and destination share core 0, the
 * relay has core 1; all contenders of a row run right after one another, and only ratios within a round count.
 */
import { awake, measured } from './cases.js';
import { type Bar, Comparison, measurementOf, numberOf } from './comparison.js';
import type { Peers, Placement } from './peers.js';
import { stallCase } from './relay-stall.js';

const USAGE = `npm run bench -- relay [options]
  --quick          one short round
  --rounds N       rounds to take medians of (3; 1 with --quick)
  --only CASE,...  throughput, delay, frames (by messages in a frame), stall (one of the peers stops reading)
  --json           one JSON line per sample and row, and a summary
  --record         keep the rows in docs/performance.md

The contenders are those of shared/bench-peers beside the checkout, or of the folder HOPFAIR_BENCH_PEERS.`;

const CASES = ['throughput', 'delay', 'frames', 'stall'];

const OURS = 'hopfair-relay';
const RELAYED: Placement = { relay: true, cores: { client: 0, server: 0, relay: 1 } };
/** How many messages of 256 bytes one frame of a source carries: from a lone order to a saturated path. */
const FRAME_SIZES = [1, 4, 16];

const BARS: readonly Bar[] = [
  { bar: 'P6', row: 'relayed', peer: 'wss', atLeast: 3 },
  { bar: 'P6', row: 'relay-cpu', atMost: 0.7 },
  { bar: 'P6', row: 'added', peer: 'net', atMost: 1.2 },
  { bar: 'R9', row: 'stall-held', atMost: 4_194_304 },
  { bar: 'R9', row: 'stall-p99', peer: 'before', atMost: 1.25 },
];

const bench = new Comparison({
  bench: 'relay',
  usage: USAGE,
  title: 'What a relay costs',
  ours: [OURS],
  bars: BARS,
  cases: CASES,
});
const { quick, rounds } = bench;

async function throughput(peers: Peers, round: number, adapter: string, perFrame?: number): Promise<void> {
  const job = { kind: 'oneway', sizes: [256], prewarm: 0, warm: quick ? 500 : 900, measure: quick ? 500 : 3_000 };
  if (perFrame === undefined) delete process.env['HOPFAIR_BENCH_PER_FRAME'];
  else process.env['HOPFAIR_BENCH_PER_FRAME'] = String(perFrame);
  const what = `messages over ${adapter}${perFrame === undefined ? '' : `, ${perFrame} in a frame`}`;
  const done = await bench.run(what, round, () => peers.runPair(peers.adapterFile(adapter), job, RELAYED));
  delete process.env['HOPFAIR_BENCH_PER_FRAME'];
  const record = measurementOf(done.records);
  if (record === undefined) return;
  const suffix = perFrame === undefined ? '' : `-${perFrame}`;
  const shared = { adapter, round, foreign: done.foreign };
  bench.add({ ...shared, row: `relayed${suffix}`, unit: 'msgs/s', value: numberOf(record, 'rate') });
  bench.add({ ...shared, row: `relay-cpu${suffix}`, unit: 'us/msg', value: numberOf(record, 'cpuRelay') });
}

/** One way over the relay less one way without it, of a lone message of 256 bytes, with both cores kept awake. */
async function delay(peers: Peers, round: number, adapter: string): Promise<void> {
  const job = { kind: 'rtt', sizes: [256], open: [], noReq: true, warm: 400, measure: quick ? 300 : 1_000 };
  const file = peers.adapterFile(adapter);
  const direct = await bench.run(`${adapter} alone`, round, () => awake(() => peers.runPair(file, job)));
  const relayed = await bench.run(`${adapter} over a relay`, round, () =>
    awake(() => peers.runPair(file, job, RELAYED)),
  );
  const [alone, over] = [measurementOf(direct.records), measurementOf(relayed.records)];
  if (alone === undefined || over === undefined) return;
  const value = (numberOf(over, 'p50') - numberOf(alone, 'p50')) / 2;
  const foreign = Math.max(direct.foreign, relayed.foreign);
  bench.add({ row: 'added', adapter, unit: 'us', round, value, foreign });
}

if (CASES.some(name => name !== 'stall' && bench.includes(name))) {
  const peers = await bench.peers();
  for (let round = 0; round < rounds; round++) {
    if (bench.includes('throughput'))
      for (const adapter of [OURS, 'wss', 'ws', 'net-batch']) await throughput(peers, round, adapter);
    if (bench.includes('delay')) for (const adapter of [OURS, 'net', 'wss']) await delay(peers, round, adapter);
    if (bench.includes('frames')) for (const size of FRAME_SIZES) await throughput(peers, round, OURS, size);
  }
}
if (bench.includes('stall')) {
  for (let round = 0; round < rounds; round++) {
    console.error(`round ${round + 1} of ${rounds}: one peer stops reading`);
    const { records, foreign } = await measured(() => stallCase(quick));
    for (const { row, adapter, unit, value } of records) bench.add({ row, adapter, unit, value, round, foreign });
  }
}
bench.finish();
