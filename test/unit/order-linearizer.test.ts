/** The linearizer's rules one by one, each in the smallest history that shows it. test/model holds all of them together. */
import t from 'tap';
import { toHex } from '../../lib/bytes.js';
import { unixMs } from '../../lib/env.js';
import type { PinnedCommittee } from '../../lib/order/committee.js';
import { stronglyConnected } from '../../lib/order/components.js';
import { HoldCredit } from '../../lib/order/hold-credit.js';
import { Linearizer } from '../../lib/order/linearizer.js';
import type { Selection } from '../../lib/order/linearizer-io.js';
import type { Verdict } from '../../lib/order/opening.js';
import type { Entry, HashHex, OrderFacts, OrderId } from '../../lib/order/types.js';
import { bytesFrom, committeeOf, crypto, peerOf } from '../fixtures/order.js';

const START = 1_000_000;

/** Orders by short names, and cuts by what each lane newly lists: `{ 0: 'a b', 2: 'b' }`. */
class History {
  readonly linearizer: Linearizer;
  readonly log: Entry[] = [];
  readonly #n: number;
  readonly #facts = new Map<OrderId, OrderFacts>();
  readonly #names = new Map<OrderId, string>();
  #height = 0;
  time = START;

  constructor(committee: PinnedCommittee) {
    this.linearizer = new Linearizer(crypto, committee);
    this.#n = committee.tolerance.n;
  }

  idOf(name: string): OrderId {
    return toHex(bytesFrom(`order ${name}`, 32)) as OrderId;
  }

  order(
    name: string,
    fields: { sender?: string; sequence?: number; prev?: string; stream?: string; ttl?: number } = {},
  ) {
    const { sender = name, sequence = 1, prev, stream = 's', ttl = 10_000 } = fields;
    const id = this.idOf(name);
    const expiry = unixMs(this.time + ttl);
    const before = prev === undefined ? undefined : this.idOf(prev);
    this.#facts.set(id, { id, sender: peerOf(sender), stream, sequence, prev: before, expiry });
    this.#names.set(id, name);
  }

  /** The next cut, `ms` after the last; emits what it selects. */
  cut(ms: number, lanes: Readonly<Record<number, string>> = {}): Selection {
    this.time += ms;
    const time = unixMs(this.time);
    const listings = Array.from({ length: this.#n }, (_, v) =>
      (lanes[v]?.split(' ') ?? []).map(name => ({ id: this.idOf(name), time })),
    );
    this.#height++;
    const hash = toHex(bytesFrom(`cut ${this.#height}`, 32)) as HashHex;
    const headTimes = listings.map(() => time);
    const selection = this.linearizer.apply({ height: this.#height, hash, time, lanes: listings, headTimes }, id =>
      this.#facts.get(id),
    );
    const verdicts = selection.open.map((id): [OrderId, Verdict] => [
      id,
      { secret: bytesFrom(`secret ${id}`, 32), opening: { kind: 'opened', payload: new Uint8Array(0) } },
    ]);
    if (selection.open.length > 0) this.log.push(...this.linearizer.emit(new Map(verdicts)).batch.entries);
    return selection;
  }

  /** Names of what was emitted, batches apart. */
  get emitted(): string {
    return this.log
      .map((entry, i) => (i > 0 && this.log[i - 1]?.height !== entry.height ? '| ' : '') + this.#names.get(entry.id))
      .join(' ');
  }

  gone({ gone }: Selection): string {
    return gone.map(({ id, reason }) => `${this.#names.get(id)} ${reason}`).join(', ');
  }
}

const to = (names: string, ...lanes: number[]): Record<number, string> =>
  Object.fromEntries(lanes.map(lane => [lane, names]));

t.test('n-f lanes make an order solid; the time of each listing stands in its entry', async t => {
  const h = new History(committeeOf(4));
  h.order('a');
  t.strictSame(h.cut(10, to('a', 0, 1)).open, []);
  t.notOk(h.linearizer.busy);
  t.strictSame(h.cut(10, to('a', 3)).open, [h.idOf('a')]);
  t.match(h.log, [{ height: 2, index: 0, sequence: 1, opening: { kind: 'opened' } }]);
  t.strictSame(h.log[0]?.laneTimes, [START + 10, START + 10, undefined, START + 20]);
  t.strictSame(h.cut(10, to('a', 2)).open, [], 'a late listing changes nothing');
  t.equal(h.linearizer.logSize, 1);
});

t.test('an order waits for one that may come before it, W cuts and H of cut time at the most', async t => {
  const held = new History(committeeOf(4)); // W = 8, H = 80
  held.order('first');
  held.order('second');
  held.cut(10, { 0: 'first second', 1: 'first second', 2: 'second' });
  t.ok(held.linearizer.busy);
  t.equal(held.emitted, '', 'first stands before second in two lanes, and may still come to a third');
  held.cut(10, to('first', 3));
  t.equal(held.emitted, 'first second');
  t.notOk(held.linearizer.busy);

  const late = new History(committeeOf(4));
  late.order('withheld');
  late.order('victim');
  late.cut(10, { 0: 'withheld victim', 1: 'withheld victim', 2: 'victim' });
  for (let cut = 0; cut < 7; cut++) late.cut(20);
  t.equal(late.emitted, '', 'H has passed, W has not');
  late.cut(20);
  t.equal(late.emitted, 'victim');

  const slow = new History(committeeOf(4));
  slow.order('withheld');
  slow.order('victim');
  slow.cut(10, { 0: 'withheld victim', 1: 'withheld victim', 2: 'victim' });
  for (let cut = 0; cut < 15; cut++) slow.cut(5);
  t.equal(slow.emitted, '', 'W has passed, H has not');
  slow.cut(5);
  t.equal(slow.emitted, 'victim');
});

t.test('who makes others late eight times in a minute of cut time holds nobody for a minute', async t => {
  const h = new History(committeeOf(4));
  const waits: number[] = [];
  const attack = (round: number): void => {
    h.order(`x${round}`, { sender: 'mallory', stream: `${round}`, ttl: 3_000 });
    h.order(`v${round}`, { ttl: 3_000 });
    h.cut(10, { 0: `x${round} v${round}`, 1: `x${round} v${round}`, 2: `v${round}` });
    let cuts = 0;
    for (; h.log.length < waits.length + 1; cuts++) h.cut(20);
    waits.push(cuts);
  };
  for (let round = 0; round < 10; round++) attack(round);
  t.strictSame(waits, [8, 8, 8, 8, 8, 8, 8, 8, 0, 0]);
  h.cut(60_000);
  attack(10);
  t.equal(waits.at(-1), 8, 'credit comes back');
  const credit = new HoldCredit();
  for (let i = 0; i < 8; i++) credit.debit(peerOf('slow'), i * 10_000);
  t.ok(credit.has(peerOf('slow'), 70_001), 'eight debits in more than a minute cost nothing');
});

t.test('a stream comes out in its sequence, and a gap delays that stream only', async t => {
  const h = new History(committeeOf(4));
  h.order('a1', { sender: 'alice', sequence: 1 });
  h.order('a2', { sender: 'alice', sequence: 2, prev: 'a1' });
  h.order('a3', { sender: 'alice', sequence: 3, prev: 'a2' });
  h.order('b', { sender: 'bob' });
  h.cut(10, { 0: 'b a1 a2', 1: 'b a1 a2', 2: 'b', 3: 'b' });
  t.equal(h.emitted, 'b');
  h.cut(10, { 2: 'a1 a2 a3', 3: 'a1 a2 a3' });
  t.equal(h.emitted, 'b | a1 a2');
  h.cut(10, to('a3', 0));
  t.equal(h.emitted, 'b | a1 a2 | a3');
});

t.test('an order not ready by its expiry is gone and its successors with it; a ready one never expires', async t => {
  const h = new History(committeeOf(4));
  h.order('p', { sender: 'alice', ttl: 50 });
  h.order('q', { sender: 'alice', sequence: 2, prev: 'p', ttl: 5_000 });
  h.order('other', { ttl: 50 });
  h.cut(10, { 0: 'p q', 1: 'p q', 2: 'other', 3: 'q other' });
  t.equal(h.gone(h.cut(50)), 'p expired, other expired, q stream');
  t.equal(h.gone(h.cut(10, to('p q', 2))), '', 'what a lane lists later brings nothing back');
  t.notOk(h.linearizer.busy);

  h.order('x', { ttl: 40 });
  h.order('y', { ttl: 40 });
  h.cut(10, { 0: 'x y', 1: 'x y', 2: 'y' });
  for (let cut = 0; cut < 8; cut++) h.cut(30);
  t.equal(h.emitted, 'y', 'held beyond its expiry, and emitted');
});

t.test('of two orders with one sender, stream and sequence one is emitted, never both', async t => {
  const together = new History(committeeOf(4));
  together.order('once', { sender: 'alice' });
  together.order('again', { sender: 'alice' });
  together.order('after again', { sender: 'alice', sequence: 2, prev: 'again' });
  const selection = together.cut(10, to('once again', 0, 1, 2, 3));
  t.equal(together.log.length, 1);
  const [taken] = selection.open;
  t.match(selection.gone, [{ reason: 'double', instead: taken }]);

  const apart = new History(committeeOf(4));
  apart.order('once', { sender: 'alice' });
  apart.order('again', { sender: 'alice' });
  apart.order('tail', { sender: 'alice', sequence: 2, prev: 'again' });
  apart.cut(10, to('once', 0, 1, 2, 3));
  const later = apart.cut(10, to('again tail', 0, 1, 2, 3));
  t.match(later.gone, [
    { id: apart.idOf('again'), reason: 'double', instead: apart.idOf('once') },
    { reason: 'stream' },
  ]);
  t.equal(apart.emitted, 'once');
});

t.test('auction: a window comes out as one tie when H has passed its end, later orders in the next', async t => {
  let reversed = 0;
  for (let round = 0; round < 40; round++) {
    const h = new History(committeeOf(4, { profile: 'auction', auctionWindowMs: 100 }));
    const [early, late] = [`early ${round}`, `late ${round}`].map(name => name.replace(' ', '-')) as [string, string];
    h.order(early);
    h.order(late);
    h.order('next');
    h.cut(10, to(early, 0, 1, 2, 3));
    h.cut(60, to(late, 0, 1, 2, 3));
    h.cut(100, to('next', 0, 1, 2, 3)); // 170: its window ends at 200
    h.cut(9); // 179: the first window ended at 100, H at 180
    t.equal(h.emitted, '');
    h.cut(1);
    t.equal(h.log.length, 2, 'both orders of the window');
    if (h.emitted.startsWith('late')) reversed++;
    h.cut(100);
    t.match(h.emitted, / \| next$/);
  }
  t.ok(reversed > 8 && reversed < 32, `within a window the draw decides: ${reversed} of 40 reversed`);
});

t.test('a cut is refused, nothing having changed, when it does not follow or an order is missing', async t => {
  const committee = committeeOf(4);
  const linearizer = new Linearizer(crypto, committee);
  const before = linearizer.snapshot();
  const id = toHex(bytesFrom('unknown', 32)) as OrderId;
  const time = unixMs(START);
  const cut = (height: number, lanes: number) => ({
    height,
    hash: toHex(bytesFrom('cut', 32)) as HashHex,
    time,
    lanes: Array.from({ length: 4 }, (_, v) =>
      v < lanes
        ? [
            { id, time },
            { id, time },
          ]
        : [],
    ),
    headTimes: [time, time, time, time],
  });
  t.strictSame(
    linearizer.missing(cut(1, 2), () => undefined),
    [id],
  );
  t.throws(() => linearizer.apply(cut(1, 2), () => undefined), { code: 'INVALID_STATE' });
  t.throws(() => linearizer.apply(cut(2, 0), () => undefined), { code: 'INVALID_STATE' });
  t.throws(() => linearizer.emit(new Map()), { code: 'INVALID_STATE' });
  t.strictSame(linearizer.snapshot(), before);
  t.strictSame(
    linearizer.missing(cut(1, 1), () => undefined),
    [],
    'f lanes may have invented it',
  );
  linearizer.apply(cut(1, 1), () => undefined);
  t.throws(() => Linearizer.restore(crypto, committee, before.subarray(1)), { code: 'DECODE_FAILED' });
});

t.test('what f lanes alone list is forgotten after the longest time to live', async t => {
  const h = new History(committeeOf(4, { maxOrderTtlMs: 1_000 }));
  const size = h.linearizer.snapshot().length;
  for (let i = 0; i < 100; i++) h.cut(1, { 3: `invented-${i}` });
  t.ok(h.linearizer.snapshot().length > size + 100 * 32);
  h.cut(1_000);
  t.ok(h.linearizer.snapshot().length < size + 5 * 100);
  h.cut(200);
  t.equal(h.linearizer.snapshot().length, size);
});

t.test('components of a graph of 100,000 nodes in one path and one ring are found without recursion', async t => {
  const size = 100_000;
  const path = Array.from({ length: size }, (_, i) => (i + 1 < size ? [i + 1] : []));
  t.equal(stronglyConnected(path).length, size);
  const ring = path.with(size - 1, [0]);
  t.strictSame(
    stronglyConnected(ring).map(nodes => nodes.length),
    [size],
  );
});
