import t from 'tap';
import { concat, EMPTY, fromUtf8 } from '../../lib/bytes.js';
import { LIMITS } from '../../lib/limits.js';
import { ACK, ASK, ackOf, END, message, NORMAL, REKEY, section, u32, victim } from '../support/hand-made-peer.js';

t.test('an honest peer made by hand is understood, so the cases below fail for what they name', async t => {
  const { attack, received, closes, answers, channel, env } = victim();
  attack(section(NORMAL, message('one'), message('two')));
  attack(concat(section(ASK), section(NORMAL, message('three').subarray(0, 2))));
  attack(section(NORMAL, message('three').subarray(2)));
  attack(EMPTY);
  t.equal(received.length, 3);
  t.equal(answers.at(-1)?.[0], ACK);
  channel.send(fromUtf8('hello'));
  env.settle();
  t.same(answers.at(-1), section(NORMAL, message('hello')));
  attack(ackOf(9, 200_000));
  attack(section(END, Uint8Array.of(0)));
  t.same(closes, [undefined]);
});

t.test('after two minutes the key is replaced: the old one opens nothing any more, the next one does', async t => {
  for (const follows of [true, false]) {
    const { env, attack, answers, followRekey, channel } = victim();
    const isRekey = (answer: Uint8Array | undefined): boolean => answer?.at(-4) === REKEY && answer.at(-1) === 0;
    for (let elapsedMs = 0; elapsedMs < 118_000; elapsedMs += 2_000) {
      env.advance(2_000);
      attack(section(ASK));
      t.notOk(isRekey(answers.at(-1)));
    }
    env.advance(4_000);
    attack(section(ASK));
    t.ok(isRekey(answers.at(-1)), 'the last record under the old key says so');
    if (follows) followRekey();
    channel.send(fromUtf8('next'));
    env.settle();
    t.same(answers.at(-1), follows ? section(NORMAL, message('next')) : EMPTY);
  }
});

const violations: Record<string, readonly Uint8Array[]> = {
  'an unknown section': [section(3)],
  'an unknown control section': [section(200, u32(1))],
  'half a section header': [Uint8Array.of(NORMAL, 0)],
  'a section longer than its record': [Uint8Array.of(NORMAL, 0, 1, 0, 1)],
  'a message above the limit': [section(NORMAL, u32(LIMITS.maxChannelMessageBytes + 1))],
  'a message of 4 GiB': [section(NORMAL, u32(0xffff_ffff))],
  'an ack of bytes never sent': [ackOf(1_000, 200_000)],
  'credit taken back': [ackOf(0, 1_000)],
  'an ack above 2^53': [section(ACK, u32(0xffff_ffff), u32(0), u32(0), u32(0))],
  'an ack that is too short': [section(ACK, u32(0))],
  'an ask that carries something': [section(ASK, u32(1))],
  'a rekey that carries something': [section(REKEY, u32(1))],
  'an end of an unknown reason': [section(END, Uint8Array.of(3))],
  'something after a rekey in one record': [concat(section(REKEY), section(ASK))],
  'an end without a reason': [section(END)],
  'a message after the end': [concat(section(END, Uint8Array.of(0)), section(NORMAL, message('x')))],
  'two ends': [concat(section(END, Uint8Array.of(0)), section(END, Uint8Array.of(0)))],
};

for (const [name, records] of Object.entries(violations)) {
  t.test(`${name} closes the channel and delivers nothing`, async t => {
    const { attack, received, closes } = victim();
    for (const record of records) attack(record);
    t.equal(closes.length, 1);
    t.equal(closes[0]?.code, 'DECODE_FAILED');
    t.equal(received.length, 0);
  });
}

t.test('who sends more than it was granted is cut off before the application has to hold it', async t => {
  const { attack, channel, closes } = victim();
  channel.pause();
  const kilobyte = concat(u32(1_020), new Uint8Array(1_020));
  let held = 0;
  for (let i = 0; i < 8_192 && closes.length === 0 && !channel.closed; i++) {
    attack(section(NORMAL, kilobyte));
    held = Math.max(held, channel.stats.heldBytes);
  }
  t.ok(channel.closed);
  t.ok(held <= LIMITS.maxChannelReceiveBytes, `${held} bytes were held`);
});

t.test('a claimed length pins no more than twice what has arrived', async t => {
  const { attack, closes } = victim();
  const before = process.memoryUsage().arrayBuffers;
  const many = Array.from({ length: 50 }, victim);
  for (const one of many) for (const lane of [0, 1, 2]) one.attack(section(lane, u32(1_000_000), new Uint8Array(16)));
  attack(section(NORMAL, message('x')));
  t.ok(process.memoryUsage().arrayBuffers - before < 50_000_000, '150 claims of a megabyte would be 150 MB');
  t.same(closes, []);
});

t.test('a flood of empty messages is held for what it was charged', async t => {
  const { attack, channel } = victim();
  channel.pause();
  const before = process.memoryUsage();
  const record = section(NORMAL, new Uint8Array(60_000));
  for (let i = 0; i < 100 && !channel.closed; i++) attack(record);
  const after = process.memoryUsage();
  t.ok(channel.closed, 'a million of them is more than the credit');
  t.ok(after.heapUsed - before.heapUsed < 64_000_000, 'a million views would be twice as much');
});

t.test('a thousand random records of an authenticated peer never throw', async t => {
  let random = 12_345;
  const next = (below: number): number => {
    random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0;
    return (random >>> 8) % below;
  };
  let closed = 0;
  let one = victim();
  for (let i = 0; i < 1_000; i++) {
    if (one.channel.closed) {
      closed++;
      one = victim();
    }
    const sections = Array.from({ length: next(4) }, () => {
      const body = Uint8Array.from({ length: next(40) }, () => (next(3) === 0 ? next(256) : 0));
      return section([0, 1, 2, 8, 9, 10, 11, next(256)][next(8)] ?? 0, body);
    });
    const record = concat(...sections);
    one.attack(next(10) === 0 ? record.subarray(0, next(record.length + 1)) : record);
    // A rekey is followed by records under the next key, which this peer by hand does not make.
  }
  t.ok(closed > 50);
});
