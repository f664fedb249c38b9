/** The pure parts of keeping channels: when to dial again, and which of two channels stays. */
import t from 'tap';
import { instant } from '../../lib/env.js';
import { type ErrorCode, HopfairError } from '../../lib/errors.js';
import type { PeerId } from '../../lib/identity/index.js';
import { LIMITS } from '../../lib/limits.js';
import { type ChannelFacts, judge, type Verdict } from '../../lib/mesh/duplicate-channels.js';
import { needsHelp, Redial } from '../../lib/mesh/redial.js';
import { SeededRng } from '../../lib/sim/index.js';
import { type ChannelHello, decodeChannelHello, encodeChannelHello } from '../../lib/wire/index.js';

const error = (code: ErrorCode, retryable = true): HopfairError => new HopfairError(code, 'why', { retryable });
const bounds = (redial: Redial, code: ErrorCode, times: number, atMs = 0): number[] =>
  Array.from({ length: times }, () => redial.failed(error(code), instant(atMs)));

t.test('where nobody listens the wait grows from 250 ms, where somebody did from five seconds, to thirty', async t => {
  t.same(bounds(new Redial(), 'DIAL_FAILED', 9), [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  t.same(bounds(new Redial(), 'HANDSHAKE_TIMEOUT', 4), [5_000, 10_000, 20_000, 30_000]);
  const lost = new Redial();
  lost.connected(instant(0));
  t.same(bounds(lost, 'CHANNEL_TRUNCATED', 1, 100), [5_000]);
  t.same(bounds(lost, 'DIAL_FAILED', 3, 100), [10_000, 20_000, 30_000], 'everybody who lost it comes again');
});

t.test('thirty seconds of health make the past count for nothing, less do not', async t => {
  const redial = new Redial();
  bounds(redial, 'HANDSHAKE_TIMEOUT', 3);
  redial.connected(instant(1_000));
  t.equal(redial.failed(error('CHANNEL_TRUNCATED'), instant(30_999)), 30_000);
  t.equal(redial.failures, 4);
  redial.connected(instant(40_000));
  redial.connected(instant(60_000));
  t.equal(redial.failed(error('CHANNEL_TRUNCATED'), instant(70_000)), 5_000);
  t.equal(redial.failures, 1);
});

t.test('what somebody must mend is tried at the slowest rate from the first time on', async t => {
  for (const code of ['NOT_ADMITTED', 'SUITE_DOWNGRADED', 'CERTIFICATE_INVALID', 'CERTIFICATE_SUPERSEDED'] as const) {
    t.ok(needsHelp(error(code, false)), code);
    t.same(bounds(new Redial(), code, 2), [30_000, 30_000]);
  }
  t.ok(needsHelp(error('HANDSHAKE_FAILED', false)), 'another network or key');
  t.notOk(needsHelp(error('HANDSHAKE_FAILED')), 'the connection closed');
  for (const code of ['ADMISSION_UNDECIDED', 'DIAL_FAILED', 'TIMEOUT', 'CHANNEL_CLOSED'] as const) {
    t.notOk(needsHelp(error(code)), code);
  }
});

const [small, large] = ['hf1aaa', 'hf1bbb'] as [PeerId, PeerId];

/** One channel as its two ends see it: of the smaller PeerId, and of the larger. */
type TwoViews = readonly [ChannelFacts, ChannelFacts];

function channel(
  dialledBySmall: boolean,
  losses: readonly [number, number],
  runs: readonly [number, number],
  hash: number,
) {
  const hello = (end: 0 | 1): ChannelHello => ({
    startedAtUnixMs: runs[end],
    runId: new Uint8Array(8).fill(runs[end]),
    losses: losses[end],
    capabilities: new Uint8Array(0),
  });
  const handshakeHash = new Uint8Array(32).fill(hash);
  const view = (end: 0 | 1): ChannelFacts => ({
    role: dialledBySmall === (end === 0) ? 'initiator' : 'responder',
    handshakeHash,
    localLosses: losses[end],
    remote: hello(end === 0 ? 1 : 0),
  });
  return [view(0), view(1)] as const;
}

const verdicts = (next: TwoViews, present: TwoViews): readonly [Verdict, Verdict] => [
  judge(small, large, next[0], present[0]),
  judge(large, small, next[1], present[1]),
];

t.test('of two dialled at once that of the smaller PeerId stays; a redial replaces what was lost', async t => {
  const [bySmall, byLarge] = [channel(true, [0, 0], [1, 1], 1), channel(false, [0, 0], [1, 1], 2)];
  t.same(verdicts(bySmall, byLarge), ['next', 'next']);
  t.same(verdicts(byLarge, bySmall), ['present', 'present']);
  t.same(verdicts(channel(false, [0, 1], [1, 1], 2), bySmall), ['next', 'next'], 'the larger had lost it');
  t.same(verdicts(channel(true, [0, 0], [1, 2], 2), bySmall)[0], 'restarted');
  t.same(verdicts(bySmall, channel(true, [0, 0], [1, 2], 2))[0], 'stale');
  const silent = { ...bySmall[0], remote: undefined };
  t.equal(judge(small, large, silent, bySmall[0]), 'restarted', 'a peer that says nothing of itself');
});

t.test('both ends say the same of any two channels, in either order', async t => {
  const rng = new SeededRng('duplicates');
  let kinds = '';
  for (let i = 0; i < 2_000; i++) {
    const draw = (hash: number) => channel(rng.chance(0.5), [rng.int(3), rng.int(3)], [1, 1], hash);
    const [one, two] = [draw(i % 200), draw((i % 200) + 1)];
    const [here, there] = verdicts(one, two);
    if (here !== there) t.fail(`${here} and ${there} about ${JSON.stringify([one, two])}`);
    const [swapped] = verdicts(two, one);
    if ([here, swapped].sort().join() !== 'next,present') t.fail(`both ${here}, ${JSON.stringify([one, two])}`);
    if (!kinds.includes(here)) kinds += here;
  }
  t.match(kinds, /next/);
  t.match(kinds, /present/);
});

t.test('the hello of a channel: one encoding, bounded', async t => {
  const hello: ChannelHello = {
    startedAtUnixMs: 1_723_075_200_000,
    runId: new Uint8Array(8).fill(9),
    losses: 7,
    capabilities: new Uint8Array(LIMITS.maxNodeCapabilityBytes).fill(1),
  };
  const bytes = encodeChannelHello(hello);
  t.ok(bytes.length <= LIMITS.maxCapabilityBytes);
  t.same(decodeChannelHello(bytes), hello);
  for (const wrong of [bytes.subarray(0, 20), new Uint8Array(1), new Uint8Array([...bytes, 0]), bytes.with(0, 2)]) {
    t.throws(() => decodeChannelHello(wrong), { code: 'DECODE_FAILED' });
  }
});
