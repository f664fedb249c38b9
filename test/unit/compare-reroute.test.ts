import t from 'tap';
import { segmentOf, writeChecksum } from '../compare/checksum.js';
import { outageOf } from '../compare/outage.js';
import type { CompareRun } from '../compare/run.js';
import { rerouteSection } from '../reroute/page.js';
import { type Comparison, type Recorded, withComparison, withSummaries } from '../reroute/record.js';
import type { Summary } from '../reroute/verdict.js';

/** 100 messages per second for 10 s, the fault at 2 s; `took` by the time of sending. */
function delivery(took: (atMs: number) => number | null) {
  const atMs = Array.from({ length: 1_000 }, (_, i) => i * 10);
  return { atMs, oneWayMs: atMs.map(took) };
}
const FAULT_MS = 2_000;

t.test('delivery is restored with the first message after the last one lost', async t => {
  const lossy = delivery(atMs => (atMs >= 2_000 && atMs < 2_500 ? null : 6));
  t.match(outageOf(lossy, FAULT_MS, 10_000), { restoredMs: 500, lost: 50, sent: 600, worstOneWayMs: 6 });
  const again = delivery(atMs => ((atMs >= 2_000 && atMs < 2_500) || atMs === 4_000 ? null : 6));
  t.equal(outageOf(again, FAULT_MS, 10_000).restoredMs, 2_010, 'it did not stay restored');
});

t.test('delivery that never broke was restored at once, and that of which nothing came never', async t => {
  const whole = delivery(() => 6);
  t.match(outageOf(whole, FAULT_MS, 10_000), { restoredMs: 0, lost: 0 });
  const none = delivery(atMs => (atMs >= 2_000 ? null : 6));
  t.match(outageOf(none, FAULT_MS, 10_000), { restoredMs: undefined, lost: 600 });
  t.match(outageOf({ ...none, oneWayMs: none.oneWayMs.slice(0, 200) }, FAULT_MS, 10_000), { restoredMs: undefined });
});

t.test('what was sent in the last two seconds may still be under way', async t => {
  const late = delivery(atMs => (atMs >= 8_000 ? null : 6));
  t.match(outageOf(late, FAULT_MS, 10_000), { restoredMs: 0, lost: 0, sent: 600 });
  t.match(outageOf(late, FAULT_MS, 10_500), { restoredMs: undefined }, 'but not for longer');
});

t.test(
  'messages that arrive late count as not delivered when there are many, and not when the machine hiccuped',
  async t => {
    const slow = delivery(atMs => (atMs >= 2_000 && atMs < 3_000 ? 31 : 6));
    const { restoredMs = 0 } = outageOf(slow, FAULT_MS, 10_000);
    t.ok(restoredMs > 900 && restoredMs <= 1_000, `${restoredMs}`);
    const isFirstSecond = (atMs: number) => atMs >= 2_000 && atMs < 3_000;
    const hiccups = delivery(atMs => (atMs % 300 === 0 && !isFirstSecond(atMs) ? 31 : 6));
    t.equal(outageOf(hiccups, FAULT_MS, 10_000).restoredMs, 0, 'three of a hundred');
    const fifth = delivery(atMs => (atMs >= 2_000 && atMs % 50 === 0 ? 31 : 6));
    t.equal(outageOf(fifth, FAULT_MS, 10_000).restoredMs, undefined, 'every fifth, for good');
    const busy = delivery(atMs => (atMs % 100 === 0 && !isFirstSecond(atMs) ? 31 : 6));
    t.equal(outageOf(busy, FAULT_MS, 10_000).restoredMs, 0, 'as many as before the fault');
    const hedged = delivery(atMs => (atMs >= 2_000 && atMs < 2_030 ? 31 : 6));
    t.equal(outageOf(hedged, FAULT_MS, 10_000).restoredMs, 30, 'right after the fault each one counts');
  },
);

t.test('checksums inside a packet are made anew: UDP and TCP over both versions of IP', async t => {
  // A UDP datagram over IPv4 as tcpdump shows it: 10.0.0.1:1000 -> 10.0.0.2:2000, "hi!".
  const ethernet = Buffer.alloc(14);
  ethernet.writeUInt16BE(0x0800, 12);
  const ip = Buffer.from('4500001f000040004011000a0a0000010a000002', 'hex');
  const udp = Buffer.from('03e807d0000b0000686921', 'hex');
  const packet = Buffer.concat([Buffer.alloc(8), ethernet, ip, udp]);
  const segment = segmentOf(packet, 8);
  if (segment === undefined) return t.fail('it is one');
  writeChecksum(packet, segment);
  // Pseudo header, header and data add up to 0x176e6 with the checksum left out: folded 0x76e7, its complement 0x8918.
  const words = [0x0a00, 0x0001, 0x0a00, 0x0002, 17, 11, 0x03e8, 0x07d0, 11, 0x6869, 0x2100];
  const sum = words.reduce((a, b) => a + b, 0);
  t.equal(packet.readUInt16BE(8 + 14 + 20 + 6), ~((sum & 0xffff) + (sum >>> 16)) & 0xffff);

  ethernet.writeUInt16BE(0x86dd, 12);
  const ip6 = Buffer.alloc(40);
  ip6.writeUInt16BE(20, 4);
  ip6.writeUInt8(6, 6);
  ip6.writeUInt8(1, 23);
  ip6.writeUInt8(2, 39);
  const tcp = Buffer.alloc(20);
  tcp.writeUInt16BE(0x5000, 12);
  const packet6 = Buffer.concat([ethernet, ip6, tcp]);
  const segment6 = segmentOf(packet6, 0);
  if (segment6 === undefined) return t.fail('it is one');
  writeChecksum(packet6, segment6);
  t.equal(packet6.readUInt16BE(14 + 40 + 16), ~(1 + 2 + 6 + 20 + 0x5000) & 0xffff);

  ip.writeUInt16BE(0x2000, 6);
  t.equal(segmentOf(Buffer.concat([Buffer.alloc(8), ethernet, ip, udp]), 8), undefined, 'a fragment is left alone');
  t.equal(segmentOf(packet.subarray(0, 40), 8), undefined, 'and what is cut short');
});

const machine = { cores: 2, node: '20', kernel: '6' };
const run = (change: Partial<CompareRun>): CompareRun => {
  return {
    system: 'x',
    fault: 'crash',
    run: 1,
    restoredMs: 100,
    lost: 3,
    sent: 9,
    worstOneWayMs: 1,
    linksLateP99Ms: 1,
    ...change,
  };
};

t.test('the page tells median and range, and who was not restored', async t => {
  const runs = [run({}), run({ run: 2, restoredMs: 2_000 }), run({ run: 3, restoredMs: 300, lost: 5 })];
  const comparison = {
    ...{ machine, rttMs: 12, ratePerSecond: 100, capMs: 30_000, skipped: ['y (not installed)'] },
    faults: ['crash', 'drop'] as const,
    systems: [{ name: 'x', version: '1.2', about: 'so' }],
    runs: [...runs, run({ fault: 'drop', restoredMs: undefined as never, lost: 9 })],
  };
  const page = rerouteSection({ comparison });
  t.match(page, '| x 1.2 | 0.300 s (0.100 s to 2.0 s); 3 lost | not within 30 s; 9 lost |');
  t.match(page, 'Not measured: y (not installed).');
});

t.test('a scenario that is measured again replaces its older result, and no other', async t => {
  const summary = (scenario: string, runs: number) =>
    ({ scenario, runs, verdicts: [], proxyLateP99Ms: 0 }) as unknown as Summary;
  const first = withSummaries(undefined, machine, [summary('crash', 1), summary('drop', 1)]);
  const second = withSummaries(first, machine, [summary('crash', 2)]);
  t.match(
    second.summaries.map(({ scenario, runs }) => [scenario, runs]),
    [
      ['drop', 1],
      ['crash', 2],
    ],
  );
  const recorded: Recorded = { bars: second };
  t.match(rerouteSection(recorded), /## Rerouting[\s\S]*the bars of the design/);
});

t.test(
  'a contender that is measured again under a fault replaces that result, where conditions are the same',
  async t => {
    const comparison = (runs: readonly CompareRun[], rttMs = 12): Comparison => ({
      ...{ machine, rttMs, ratePerSecond: 100, capMs: 30_000, skipped: [] },
      faults: [...new Set(runs.map(({ fault }) => fault))],
      systems: [...new Set(runs.map(({ system }) => system))].map(name => ({ name, version: '', about: '' })),
      runs,
    });
    const first = comparison([run({}), run({ fault: 'drop' }), run({ system: 'y' })]);
    const again = withComparison(first, comparison([run({ restoredMs: 7 }), run({ system: 'z', fault: 'delay25' })]));
    t.match(
      again.runs.map(({ system, fault, restoredMs }) => [system, fault, restoredMs]),
      [
        ['x', 'drop', 100],
        ['y', 'crash', 100],
        ['x', 'crash', 7],
        ['z', 'delay25', 100],
      ],
    );
    t.match(again.faults, ['crash', 'drop', 'delay25']);
    t.match(
      again.systems.map(({ name }) => name),
      ['x', 'y', 'z'],
    );
    t.equal(again.systems.length, 3);
    t.equal(withComparison(first, comparison([run({})], 50)).runs.length, 1, 'other links: nothing of before is kept');
  },
);
