import t from 'tap';
import { fromUtf8, toUtf8 } from '../../lib/bytes.js';
import { SendLane } from '../../lib/channel/send-lane.js';
import { type Ends, fast } from '../support/channel-ends.js';

const limits = { maxChannelQueueBytes: 65_536, maxChannelMessageBytes: 16_384 };

/** A channel whose receiver takes nothing, and whose sender has as much under way as it may. */
function stalled(): Ends {
  const ends = fast({ limits }, { limits: { maxChannelReceiveBytes: 131_072 } });
  ends.bob.open.pause();
  for (let i = 0; i < 100; i++) {
    ends.alice.open.send(new Uint8Array(8_192));
    ends.env.advance(1);
  }
  return ends;
}

t.test('dropStalest makes room with the oldest of the lowest priority, and never with a higher one', async t => {
  const { env, alice, bob } = fast({ limits });
  const { open } = alice;
  const text = (name: string): Uint8Array => fromUtf8(name.padEnd(8_188, '.'));
  const queue = (name: string, priority: 'urgent' | 'normal' | 'bulk'): boolean =>
    open.send(text(name), { priority, whenFull: 'dropStalest' });
  for (let i = 0; i < 3; i++) t.ok(queue(`bulk ${i}`, 'bulk'));
  for (let i = 0; i < 4; i++) t.ok(queue(`normal ${i}`, 'normal'));
  t.ok(queue('normal 4', 'normal'));
  t.equal(open.stats.droppedMessages, 1, 'a bulk message made room');
  t.ok(queue('bulk 3', 'bulk'));
  t.equal(open.stats.droppedMessages, 2);
  for (let i = 0; i < 6; i++) t.ok(queue(`urgent ${i}`, 'urgent'));
  t.equal(open.stats.droppedMessages, 7, 'two of bulk, then the oldest of normal');
  t.notOk(queue('bulk 4', 'bulk'), 'what is above it makes no room for bulk');
  t.ok(queue('normal 5', 'normal'));
  t.equal(open.stats.droppedMessages, 9, 'the last eighth is not for normal ones');
  t.ok(open.stats.queuedBytes <= limits.maxChannelQueueBytes);
  env.advance(50);
  t.same(
    bob.texts.map(received => received.split('.')[0]),
    ['urgent 0', 'urgent 1', 'urgent 2', 'urgent 3', 'urgent 4', 'urgent 5', 'normal 5'],
  );
  t.equal(open.stats.queuedBytes, 0);
});

t.test('a stalled peer gets the newest once it goes on, and no torn message', async t => {
  const { env, alice, bob } = stalled();
  const { open } = alice;
  t.notOk(open.send(new Uint8Array(8_192)), 'refused by default');
  for (let i = 0; i < 500; i++) t.ok(open.send(fromUtf8(`quote ${i}`.padEnd(1_000, '.')), { whenFull: 'dropStalest' }));
  t.ok(open.stats.queuedBytes <= limits.maxChannelQueueBytes);
  const { droppedMessages } = open.stats;
  t.ok(droppedMessages > 400);
  bob.open.resume();
  env.advance(100);
  const quotes = bob.messages.filter(message => message.length === 1_000).map(message => toUtf8(message).split('.')[0]);
  t.same(
    quotes,
    Array.from({ length: quotes.length }, (_, i) => `quote ${500 - quotes.length + i}`),
    'the last ones, in order',
  );
  t.equal(bob.messages.length, open.stats.sentMessages - droppedMessages, 'and everything else that was not dropped');
  t.equal(bob.closes.length, 0);
});

t.test('whenRoom completes at a drain, rejects at a close and at an abort', async t => {
  const { env, alice, bob } = stalled();
  const { open } = alice;
  t.notOk(open.send(new Uint8Array(8_192)));
  let isRoom = false;
  const room = open.whenRoom().then(() => {
    isRoom = true;
  });
  const aborted = new AbortController();
  const abandoned = open.whenRoom(aborted.signal);
  aborted.abort();
  await t.rejects(abandoned, { code: 'ABORTED' });
  await t.rejects(open.whenRoom(aborted.signal), { code: 'ABORTED' });
  t.notOk(isRoom);
  bob.open.resume();
  env.advance(10);
  await room;
  t.ok(open.send(new Uint8Array(8_192)));
  await open.whenRoom();

  const other = stalled().alice.open;
  t.notOk(other.send(new Uint8Array(8_192)));
  const waits = other.whenRoom();
  other.close();
  await t.rejects(waits, { code: 'CHANNEL_CLOSED' });
  await t.rejects(other.whenRoom(), { code: 'CHANNEL_CLOSED' });
});

t.test('a lane that drops at random keeps every other message whole and in order', async t => {
  let seed = 7;
  const below = (bound: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % bound;
  };
  for (let round = 0; round < 60; round++) {
    const lane = new SendLane(1);
    /** Bodies that wait, oldest first; of the first, `left` bytes of the stream have left already. */
    const waiting: { readonly length: number; readonly fill: number }[] = [];
    let left = 0;
    const stream: number[] = [];
    const expected: number[] = [];
    for (let step = 0; step < 60; step++) {
      const choice = below(3);
      if (choice === 0) {
        const length = [0, 1, below(200), 16_384, 16_385 + below(3_000)][below(5)] ?? 0;
        const fill = below(256);
        const body = new Uint8Array(length).fill(fill);
        const cut = below(length + 1);
        if (below(2) === 0) lane.pushOne(body);
        else {
          const deadline = below(2) === 0 ? Number.POSITIVE_INFINITY : 1_000;
          lane.push([body.subarray(0, cut), body.subarray(cut)], length, deadline);
        }
        waiting.push({ length, fill });
      } else if (choice === 1) {
        const parts: Uint8Array[] = [];
        const taken = lane.take([1, 3, 4, 5, 100, 20_000, 100_000][below(7)] ?? 1, 0, parts);
        if (taken > 0) stream.push(...parts.flatMap(part => [...part]).slice(4));
        let rest = taken + left;
        for (let first = waiting[0]; first !== undefined && rest >= first.length + 4; first = waiting[0]) {
          expected.push(...headerOf(first.length), ...new Uint8Array(first.length).fill(first.fill));
          rest -= first.length + 4;
          waiting.shift();
        }
        left = rest;
      } else {
        const index = left > 0 ? 1 : 0;
        const stalest = waiting[index];
        const droppable = waiting.slice(index).reduce((sum, { length }) => sum + length + 4, 0);
        if (lane.droppableBytes !== droppable) return t.fail('the count of what may be dropped is wrong');
        const dropped = lane.dropStalest();
        if (dropped !== (stalest === undefined ? 0 : stalest.length + 4)) return t.fail('another message was dropped');
        waiting.splice(index, 1);
      }
      if (lane.bytes !== waiting.reduce((sum, { length }) => sum + length + 4, -left)) return t.fail('bytes are lost');
    }
    if (Buffer.compare(Buffer.from(stream.slice(0, expected.length)), Buffer.from(expected)) !== 0) {
      return t.fail('the stream is torn');
    }
  }
  t.pass();
});

function headerOf(length: number): number[] {
  return [0, length >>> 16, (length >>> 8) & 0xff, length & 0xff];
}

t.test('headroom says what would leave at once, and who asks for it is called once, when it is there', async t => {
  const { env, alice, bob } = fast({ limits }, { limits: { maxChannelReceiveBytes: 131_072 } });
  const { open } = alice;
  env.advance(50);
  const before = open.headroomBytes;
  t.ok(before > 16_384, `${before}`);
  open.send(new Uint8Array(1_000), { priority: 'bulk' });
  t.equal(open.headroomBytes, before, 'bulk is behind everything');
  open.send(new Uint8Array(1_000), { priority: 'urgent' });
  t.ok(open.headroomBytes < before - 999 && open.headroomBytes > before - 1_100);

  bob.open.pause();
  while (open.headroomBytes > -16_384) {
    t.ok(open.send(new Uint8Array(8_192)));
    env.advance(1);
  }
  t.equal(open.queuedBytes, open.stats.queuedBytes);
  t.ok(open.queuedBytes + open.headroomBytes < 8_192, 'what waits, less what is too little for a record');
  const drains = alice.drains;
  open.requestRoom(-8_192);
  open.send(new Uint8Array(10)); // so that something is flushed
  env.advance(100);
  t.equal(alice.drains, drains, 'not while it waits');
  bob.open.resume();
  env.advance(100);
  t.equal(alice.drains, drains + 1);
  t.ok(open.headroomBytes > -8_192);
  open.send(new Uint8Array(8_192));
  env.advance(100);
  t.equal(alice.drains, drains + 1, 'once');
});
