import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { MatchingEngine } from '../../examples/exchange/engine.js';
import { decodeOrder, encodeOrder, type LimitOrder, parsePrice, type Side } from '../../examples/exchange/order.js';
import { generateTrades, parseLine, readRecording, type Trade } from '../../examples/live-mesh/replay.js';

const order = (account: string, side: Side, price: number, quantity: number, reference = 1): LimitOrder => ({
  account,
  side,
  price,
  quantity,
  reference,
});

async function collect(trades: AsyncIterable<Trade>): Promise<Trade[]> {
  const all: Trade[] = [];
  for await (const trade of trades) all.push(trade);
  return all;
}

t.test(
  'an order trades with the best price first, then with the one that rested first, at the resting price',
  async t => {
    const engine = new MatchingEngine();
    engine.apply(order('late-and-dear', 'sell', 102, 5));
    engine.apply(order('first', 'sell', 101, 5));
    engine.apply(order('second', 'sell', 101, 5));
    t.strictSame(engine.apply(order('taker', 'buy', 102, 12)), [
      { price: 101, quantity: 5, maker: 'first', taker: 'taker' },
      { price: 101, quantity: 5, maker: 'second', taker: 'taker' },
      { price: 102, quantity: 2, maker: 'late-and-dear', taker: 'taker' },
    ]);
    t.equal(engine.bestAsk, 102);
    t.strictSame(engine.apply(order('low', 'buy', 100, 1)), []);
    t.equal(engine.bestBid, 100);
  },
);

t.test('replicas agree exactly when they applied the same log', async t => {
  const log = [order('a', 'buy', 100, 3), order('b', 'sell', 99, 2), order('c', 'sell', 100, 4)];
  const [left, right, swapped] = [new MatchingEngine(), new MatchingEngine(), new MatchingEngine()];
  for (const entry of log) {
    left.apply(entry);
    right.apply(entry);
  }
  for (const entry of [log[1], log[0], log[2]]) swapped.apply(entry as LimitOrder);
  t.equal(left.stateHash(), right.stateHash());
  t.not(left.stateHash(), swapped.stateHash());
  left.skip('00');
  t.not(left.stateHash(), right.stateHash());
});

t.test('an order survives its encoding, and nonsense decodes to nothing', async t => {
  const one = order('bot-1', 'sell', 6_180_030, 6, 17);
  t.strictSame(decodeOrder(encodeOrder(one)), one);
  for (const text of [
    '',
    '{',
    'null',
    '[]',
    '{"account":"a","side":"buy","price":"1.005","quantity":"1","reference":1}',
  ])
    t.equal(decodeOrder(new TextEncoder().encode(text)), undefined, text);
  t.equal(decodeOrder(Uint8Array.of(0xff, 0xfe)), undefined);
  t.strictSame(['0', '-1', '1e3', '1.001', '9999999999999', 5].map(parsePrice), new Array(6).fill(undefined));
});

t.test('a recording gives its trades at their times, and reports each malformed line with its number', async t => {
  const trade = (ns: number, m: boolean) => `${ns} {"data":{"e":"trade","p":"100.00","q":"0.500","m":${m}}}`;
  const lines = [
    trade(1_000_000, false),
    '1500000 {"data":{"e":"bookTicker"}}',
    'no line at all',
    '17 {',
    trade(3_500_000, true),
  ];
  const directory = mkdtempSync(join(tmpdir(), 'hopfair-replay-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const plain = join(directory, 'plain.jsonl');
  const packed = join(directory, 'packed.any-name');
  writeFileSync(plain, lines.join('\n'));
  writeFileSync(packed, gzipSync(lines.join('\n')));
  for (const file of [plain, packed]) {
    const malformed: number[] = [];
    t.strictSame(await collect(readRecording(file, number => malformed.push(number))), [
      { atMs: 0, side: 'buy', price: 10_000, quantity: 500 },
      { atMs: 2.5, side: 'sell', price: 10_000, quantity: 500 },
    ]);
    t.strictSame(malformed, [3, 4]);
  }
  const damaged = join(directory, 'damaged.gz');
  writeFileSync(damaged, gzipSync(lines.join('\n')).subarray(0, 40));
  await t.rejects(collect(readRecording(damaged, () => undefined)), 'damaged compression');
  await t.rejects(collect(readRecording(join(directory, 'absent'), () => undefined)), { code: 'ENOENT' });
});

t.test('a line with a bad time, price, quantity or side says what is wrong with it', async t => {
  const reasons = [
    'x {}',
    '1 {"data":{"e":"trade","p":"0","q":"1","m":true}}',
    '1 {"data":{"e":"trade","p":"1","q":1,"m":true}}',
    '1 {"data":{"e":"trade","p":"1","q":"1"}}',
  ];
  t.strictSame(
    reasons.map(parseLine).map(line => line.kind),
    new Array(4).fill('malformed'),
  );
});

const recorded = fileURLToPath(new URL('../../../shared/data/market/btcusdt-perp-20240808.jsonl.gz', import.meta.url));
const absent = !existsSync(recorded) && !process.env['CI'] ? 'the recorded market data is not here' : false;
t.test('the recorded burst holds 21,313 trades in 344 s', { skip: absent }, async t => {
  const malformed: number[] = [];
  const trades = await collect(readRecording(recorded, number => malformed.push(number)));
  t.equal(trades.length, 21_313);
  t.strictSame(malformed, []);
  t.ok((trades.at(-1)?.atMs ?? 0) > 340_000);
});

t.test(
  'generated trades are the same for one seed, in order of time, with the mean and the bursts of the recording',
  async t => {
    const take = (seed: number, count: number) => {
      const trades = generateTrades(seed);
      return Array.from({ length: count }, () => trades.next().value as Trade);
    };
    t.strictSame(take(7, 500), take(7, 500));
    t.notSame(take(7, 50), take(8, 50));
    const many = take(3, 40_000);
    const perSecond = new Map<number, number>();
    many.forEach((trade, i) => {
      if (trade.atMs < (many[i - 1]?.atMs ?? 0)) t.fail('time went back');
      const second = Math.floor(trade.atMs / 1000);
      perSecond.set(second, (perSecond.get(second) ?? 0) + 1);
    });
    const mean = many.length / ((many.at(-1)?.atMs ?? 0) / 1000);
    t.ok(mean > 30 && mean < 130, `mean ${mean.toFixed(1)} per second`);
    t.ok(Math.max(...perSecond.values()) > 5 * mean, 'there are bursts');
  },
);
