import t from 'tap';
import { instant, unixMs } from '../../lib/env.js';
import { type PeerId, peerIdOf } from '../../lib/identity/index.js';
import { LIMITS } from '../../lib/limits.js';
import type { Egress } from '../../lib/mesh/egress.js';
import { LabelTable, type Port, type Transit } from '../../lib/mesh/labels.js';
import { Nonces } from '../../lib/mesh/nonces.js';
import { Refusals } from '../../lib/mesh/refusals.js';
import { SetupRate } from '../../lib/mesh/setup-rate.js';
import type { RefusedEvent } from '../../lib/mesh/types.js';

const peer = (n: number): PeerId => peerIdOf(Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? n >> 8 : n)));

/** How many set-ups of each source one ingress lets through, when each asks as often as it likes for so long. */
function share(seconds: number, perSecond: ReadonlyMap<PeerId, number>): Map<PeerId, number> {
  const rate = new SetupRate(instant(0));
  const taken = new Map<PeerId, number>();
  const due = new Map<PeerId, number>();
  for (let ms = 0; ms < seconds * 1_000; ms += 5) {
    for (const [source, wanted] of perSecond) {
      let owed = (due.get(source) ?? 0) + (wanted * 5) / 1_000;
      for (; owed >= 1; owed -= 1) {
        if (rate.take(source, instant(ms))) taken.set(source, (taken.get(source) ?? 0) + 1);
      }
      due.set(source, owed);
    }
  }
  return taken;
}

t.test('one source alone may use the rate of its ingress, and no more, whatever it asks for', async t => {
  const taken = share(20, new Map([[peer(1), 500]])).get(peer(1)) ?? 0;
  const most = 20 * LIMITS.pathSetupsPerSecond + LIMITS.pathSetupBurst;
  t.ok(taken <= most && taken >= 20 * LIMITS.pathSetupsPerSecond, `${taken} of ${most}`);
});

for (const greedy of [1, 16, 100]) {
  t.test(`beside ${greedy} sources that ask for ever more, one that asks for one a second is served`, async t => {
    const wanted = new Map([[peer(0), 1]]);
    // As much as the ingress lets through, and far more, of which each is refused.
    for (let n = 1; n <= greedy; n++) wanted.set(peer(n), 500 / greedy + 5);
    const taken = share(30, wanted);
    // Of a hundred each would get 0.2 a second: a fair share is what it gets then.
    const fair = Math.min(30, (30 * LIMITS.pathSetupsPerSecond) / (greedy + 1));
    t.ok((taken.get(peer(0)) ?? 0) >= 0.9 * fair, `${taken.get(peer(0))} of ${fair}`);
    const all = [...taken.values()].reduce((sum, count) => sum + count, 0);
    t.ok(all <= 30 * LIMITS.pathSetupsPerSecond + LIMITS.pathSetupBurst, `${all} together`);
  });
}

/** A table with an upstream and a downstream neighbour, and what it evicted. */
function table() {
  const labels = new LabelTable<never>(() => ({}) as Egress);
  labels.add(peer(1));
  labels.add(peer(2));
  const [upstream, downstream] = [labels.find(peer(1)) as Port<never>, labels.find(peer(2)) as Port<never>];
  const evicted: Transit<never>[] = [];
  const evict = (transit: Transit<never>): void => {
    evicted.push(transit);
    labels.removeTransit(transit);
  };
  let next = 0;
  const add = (source: PeerId, now = 0): string | undefined => {
    next += 1;
    const refusal = labels.refuses(source, upstream, next, evict);
    if (refusal !== undefined) return refusal.reason;
    const downstreamLabel = labels.allot();
    const lastUsedAt = instant(now);
    labels.addTransit({ source, upstream, upstreamLabel: next, downstream, downstreamLabel, lastUsedAt });
    return undefined;
  };
  return { labels, upstream, downstream, evicted, add };
}

t.test('a source gets 64 labels, and the reason why no more', async t => {
  const { add } = table();
  for (let i = 0; i < LIMITS.maxLabelsPerSource; i++) t.equal(add(peer(10)), undefined);
  t.equal(add(peer(10)), 'too many labels of the source');
});

t.test(
  'sixteen sources fill an ingress, and still others get labels: those who have most lose what idled longest',
  async t => {
    const { add, upstream, downstream, evicted } = table();
    for (let n = 0; n < 16; n++) for (let i = 0; i < 64; i++) t.equal(add(peer(10 + n), i), undefined);
    t.equal(upstream.incoming.size, LIMITS.maxLabelsPerIngress);
    for (let i = 0; i < 40; i++) t.equal(add(peer(100), 1_000), undefined, 'the newcomer');
    t.equal(upstream.incoming.size, LIMITS.maxLabelsPerIngress);
    t.equal(downstream.outgoing.size, LIMITS.maxLabelsPerIngress, 'what was evicted is gone on both sides');
    t.equal(evicted.length, 40);
    t.ok(evicted.every(({ source }) => source !== peer(100)));
    t.ok(
      evicted.every(({ lastUsedAt }) => lastUsedAt < 4),
      'the oldest of each',
    );
    t.equal(add(peer(10), 2_000), 'too many labels of the ingress', 'who has as many as all others takes nothing away');
  },
);

t.test('at a full ingress everybody ends up with an equal share', async t => {
  const { add, upstream } = table();
  for (let round = 0; round < 64; round++) for (let n = 0; n < 64; n++) add(peer(10 + n), round);
  const counts = [...upstream.transits.values()].map(({ size }) => size);
  t.equal(counts.length, 64);
  t.ok(Math.min(...counts) >= 15 && Math.max(...counts) <= 17, `${Math.min(...counts)} to ${Math.max(...counts)}`);
});

t.test(
  'a nonce counts once until it expires; what cannot be remembered is refused; all together are bounded',
  async t => {
    const nonces = new Nonces();
    const nonce = (n: number): Uint8Array => Uint8Array.of(n >> 16, n >> 8, n);
    t.ok(nonces.add(peer(1), nonce(1), 1_000, unixMs(0)));
    t.ok(nonces.has(peer(1), nonce(1)));
    t.notOk(nonces.has(peer(2), nonce(1)), 'of one source');
    for (let i = 2; i <= LIMITS.maxNoncesPerSource; i++) t.ok(nonces.add(peer(1), nonce(i), 1_000, unixMs(0)));
    t.notOk(nonces.add(peer(1), nonce(0), 1_000, unixMs(500)));
    t.ok(nonces.has(peer(1), nonce(1)), 'none was given up for it');
    t.ok(nonces.add(peer(1), nonce(0), 3_000, unixMs(2_000)), 'the old ones expired');
    t.notOk(nonces.has(peer(1), nonce(1)));
    nonces.expire(unixMs(4_000));
    t.equal(nonces.count, 0);
    for (let n = 0; n < 100; n++) for (let i = 0; i < 1_000; i++) nonces.add(peer(n), nonce(i), 1_000, unixMs(0));
    t.equal(nonces.count, LIMITS.maxNonces);
  },
);

t.test('refusals are all counted, and told once a second, with how many there were', async t => {
  const events: RefusedEvent[] = [];
  const refusals = new Refusals(event => events.push(event));
  const refuse = (ms: number, reason = 'replayed'): void =>
    refusals.add(peer(1), { reason, source: peer(2) }, instant(ms));
  for (let ms = 0; ms < 2_000; ms += 10) refuse(ms);
  refuse(2_000, 'expired');
  refuse(2_500);
  t.equal(refusals.byReason.get('replayed'), 201);
  t.same(
    events.map(({ reason, count, atMs }) => [reason, count, atMs]),
    [
      ['replayed', 1, 0],
      ['replayed', 100, 1_000],
      ['expired', 1, 2_000],
      ['replayed', 100, 2_500],
    ],
  );
});
