import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import type { Channel, Priority } from '../../lib/channel/index.js';
import { type PeerId, peerIdOf } from '../../lib/identity/index.js';
import { LIMITS } from '../../lib/limits.js';
import { Egress } from '../../lib/mesh/egress.js';
import { EgressMemory } from '../../lib/mesh/egress-memory.js';
import { FRAME_OVERHEAD_BYTES } from '../../lib/mesh/fair-queue.js';
import { Fifo } from '../../lib/mesh/fifo.js';
import { DATA_FORWARD, dataHeader, dataTtl, NO_TTL } from '../../lib/wire/index.js';
import { type ManualEnv, manualEnv } from '../support/manual-env.js';

const peer = (n: number): PeerId => peerIdOf(new Uint8Array(32).fill(n));

interface Sent {
  readonly tag: number;
  readonly bytes: number;
  readonly priority: Priority;
  readonly ttlMs: number;
}

/** As much of a channel as an egress uses: it takes so many bytes and asks for no more. */
class FakeChannel {
  readonly sent: Sent[] = [];
  room = 0;
  queuedBytes = 0;
  roomRequests = 0;

  get headroomBytes(): number {
    return this.room;
  }

  requestRoom(): void {
    this.roomRequests += 1;
  }

  send(message: Uint8Array | readonly Uint8Array[], options: { priority: Priority }): boolean {
    const parts = message instanceof Uint8Array ? [message] : message;
    const head = parts[0] as Uint8Array;
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    this.room -= bytes;
    this.sent.push({ tag: head.at(-1) as number, bytes, priority: options.priority, ttlMs: dataTtl(head) });
    return true;
  }

  get tags(): number[] {
    return this.sent.map(({ tag }) => tag);
  }
}

const FULL = -LIMITS.maxFrameBytes;

function setUp(memory = new EgressMemory()) {
  const env: ManualEnv = manualEnv();
  const channel = new FakeChannel();
  channel.room = FULL;
  const egress = new Egress(() => channel as unknown as Channel, env.clock, memory);
  /** A frame whose last byte is the tag. */
  const push = (
    from: number,
    source: number,
    tag: number,
    bytes = 1_000,
    priority: Priority = 'normal',
    ttlMs = NO_TTL,
  ) => egress.sendData(peer(from), peer(source), frameOf(tag, bytes, ttlMs), undefined, priority);
  /** Lets so many bytes leave. */
  const drain = (bytes: number): Sent[] => {
    const before = channel.sent.length;
    channel.room = FULL + bytes;
    egress.pump();
    channel.room = FULL;
    return channel.sent.slice(before);
  };
  return { env, channel, egress, push, drain, memory };
}

function frameOf(tag: number, bytes: number, ttlMs: number = NO_TTL): Uint8Array {
  const header = { kind: DATA_FORWARD, label: 1, ttlMs, urgent: false, phase: 0, path: 0, packet: tag } as const;
  const frame = new Uint8Array(bytes).fill(tag);
  frame.set(dataHeader(header));
  return frame;
}

const bytesBy = (sent: readonly Sent[]): Map<number, number> => {
  const bytes = new Map<number, number>();
  for (const { tag, bytes: length } of sent) bytes.set(tag, (bytes.get(tag) ?? 0) + length);
  return bytes;
};

t.test('two ingresses get half each, however many sources and frames one of them has', async t => {
  const { push, drain } = setUp();
  for (let i = 0; i < 40; i++) for (let source = 10; source < 20; source++) push(1, source, 1, 1_000);
  for (let i = 0; i < 40; i++) push(2, 2, 2, 10_000);
  const bytes = bytesBy(drain(300_000));
  const [one = 0, other = 0] = [bytes.get(1), bytes.get(2)];
  t.ok(Math.abs(one - other) <= 2 * LIMITS.maxFrameBytes, `${one} and ${other}`);
});

t.test(
  'sources behind one ingress share it alike, whatever lane they claim and however large their frames',
  async t => {
    const { push, drain } = setUp();
    for (let i = 0; i < 300; i++) push(1, 10, 10, 2_000, 'urgent');
    for (let i = 0; i < 60; i++) push(1, 11, 11, 10_000);
    for (let i = 0; i < 600; i++) push(1, 12, 12, 1_000);
    const bytes = [...bytesBy(drain(600_000)).values()];
    t.equal(bytes.length, 3);
    t.ok(Math.max(...bytes) - Math.min(...bytes) <= 2 * LIMITS.maxFrameBytes, `${bytes}`);
  },
);

t.test('within a source urgent frames go first, and otherwise the order stays', async t => {
  const { push, drain } = setUp();
  for (const tag of [1, 2, 3]) push(1, 10, tag);
  for (const tag of [4, 5]) push(1, 10, tag, 1_000, 'urgent');
  t.same(
    drain(100_000).map(({ tag }) => tag),
    [4, 5, 1, 2, 3],
  );
});

t.test('the own frames of the node wait for their turn too, in one piece', async t => {
  const { egress, push, drain } = setUp();
  for (let i = 0; i < 50; i++) push(1, 10, 1, 16_000);
  const own = frameOf(9, 16_000);
  for (let i = 0; i < 50; i++) egress.sendData(peer(9), peer(9), own.slice(0, 16), own.slice(16), 'urgent');
  const sent = drain(320_000);
  t.equal(sent.length, 20);
  const owns = sent.filter(({ priority }) => priority === 'urgent');
  t.ok(owns.length >= 9 && owns.length <= 11, `${owns.length} of 20`);
  t.ok(owns.every(({ bytes }) => bytes === 16_000));
});

t.test(
  'what waits, its overhead and the channel included, never exceeds the bound: small frames first, large ones then',
  async t => {
    const { channel, egress, push } = setUp();
    channel.queuedBytes = 50_000;
    let most = 0;
    for (let i = 0; i < 40_000; i++) {
      push(1, 10 + (i % 7), 1, 64);
      most = Math.max(most, egress.bytes + channel.queuedBytes);
    }
    for (let i = 0; i < 500; i++) {
      push(2, 20, 2, LIMITS.maxFrameBytes);
      most = Math.max(most, egress.bytes + channel.queuedBytes);
    }
    t.ok(most <= LIMITS.maxEgressQueueBytes, `${most} at most`);
    t.ok(most > LIMITS.maxEgressQueueBytes - 2 * LIMITS.maxFrameBytes, 'and it is used');
  },
);

t.test('the largest source of the largest ingress pays, with its bulk before its urgent frames', async t => {
  const { egress, push, drain } = setUp();
  for (let i = 0; i < 20; i++) push(2, 20, 20, 10_000);
  for (let i = 0; i < 20; i++) push(1, 10, 10, 10_000);
  for (let i = 0; i < 10; i++) push(1, 11, 11, 10_000, 'urgent');
  for (let i = 0; i < 600; i++) push(1, 11, 12, 10_000);
  t.ok(egress.counters.dropped > 150);
  const left = drain(10_000_000).map(({ tag }) => tag);
  const count = (tag: number): number => left.filter(each => each === tag).length;
  t.same([count(20), count(10), count(11)], [20, 20, 10], 'nothing of the others, nothing urgent');
  t.ok(count(12) > 300, 'and as much of the largest as fits');
});

t.test('a source that calls everything urgent still pays for itself', async t => {
  const { push, drain } = setUp();
  for (let i = 0; i < 100; i++) push(2, 20, 20, 10_000);
  for (let i = 0; i < 600; i++) push(1, 10, 10, 10_000, 'urgent');
  t.equal(drain(10_000_000).filter(({ tag }) => tag === 20).length, 100);
});

t.test('a frame waits with memory of its own, not with the record that it came in', async t => {
  const { egress, drain, channel } = setUp();
  const record = new Uint8Array(65_536).fill(7);
  const frame = record.subarray(100, 200);
  frame.set(frameOf(1, 100));
  egress.sendData(peer(1), peer(1), frame, undefined, 'normal');
  record.fill(0);
  t.equal(drain(1_000)[0]?.tag, 1);
  t.equal(channel.sent.length, 1);
});

t.test('time in the queue counts against the ttl, and what passed it is dropped', async t => {
  const { env, push, drain, egress } = setUp();
  push(1, 10, 1, 1_000, 'normal', 50);
  push(1, 10, 2, 1_000, 'normal', 20);
  push(1, 10, 3);
  env.advance(30);
  t.same(
    drain(100_000).map(({ tag, ttlMs }) => [tag, ttlMs]),
    [
      [1, 20],
      [3, NO_TTL],
    ],
  );
  t.equal(egress.counters.expired, 1);
});

t.test('control goes first, but beyond its burst takes a twentieth of a link that data fills', async t => {
  const { egress, push, drain } = setUp();
  const control = (): void => egress.sendControl(peer(1), peer(1), new Uint8Array(1_000).fill(200));
  for (let i = 0; i < 200; i++) control();
  for (let i = 0; i < 400; i++) push(1, 10, 1, 10_000);
  const first = drain(200_000);
  t.ok(
    first.slice(0, 64).every(({ tag }) => tag === 200),
    'the burst',
  );
  let [data, controls] = [0, 0];
  for (let i = 0; i < 100; i++) {
    if (i % 10 === 0) for (let j = 0; j < 10; j++) control();
    for (const { tag, bytes } of drain(30_000)) {
      if (tag === 200) controls += bytes;
      else data += bytes;
    }
    for (let j = 0; j < 4; j++) push(1, 10, 1, 10_000);
  }
  const share = controls / (controls + data);
  t.ok(share > 0.04 && share <= 0.051, `${share}`);
});

t.test('control that waits is bounded, shared by ingress, and leaves when data does not need the link', async t => {
  const { egress, drain } = setUp();
  const control = (from: number, bytes: number): void =>
    egress.sendControl(peer(from), peer(from), new Uint8Array(bytes).fill(from));
  control(2, 1_000);
  for (let i = 0; i < 600; i++) control(1, 10_000);
  t.ok(egress.bytes <= LIMITS.maxControlQueueBytes, `${egress.bytes}`);
  const sent = drain(10_000_000);
  t.equal(sent.filter(({ tag }) => tag === 2).length, 1, 'the flood dropped only itself');
  t.ok(sent.length > 20);
});

t.test(
  'a channel with headroom gets frames at once; one without is asked, and gets the rest when it has some',
  async t => {
    const { channel, egress, push } = setUp();
    channel.room = 100_000;
    push(1, 10, 1);
    t.equal(channel.sent.length, 1);
    channel.room = FULL;
    push(1, 10, 2);
    t.equal(channel.sent.length, 1);
    t.equal(channel.roomRequests, 1);
    channel.room = 100_000;
    egress.pump();
    t.same(channel.tags, [1, 2]);
    t.equal(egress.bytes, 0);
  },
);

t.test('over all neighbours the one that most waits for loses frames; others keep theirs', async t => {
  const memory = new EgressMemory();
  const many = Math.ceil(LIMITS.maxRelayQueueBytes / LIMITS.maxEgressQueueBytes) + 2;
  const small = setUp(memory);
  for (let i = 0; i < 10; i++) small.push(1, 10, 1, 10_000);
  for (let n = 0; n < many; n++) {
    const { push } = setUp(memory);
    for (let i = 0; i < 420; i++) push(1, 10, 1, 10_000);
    t.ok(memory.bytes <= LIMITS.maxRelayQueueBytes);
  }
  t.ok(memory.bytes > LIMITS.maxRelayQueueBytes - 20_000);
  t.equal(small.egress.counters.dropped, 0);
  t.equal(small.drain(1_000_000).length, 10);
});

t.test('what is closed holds nothing and takes nothing', async t => {
  const { egress, push, memory, channel } = setUp();
  for (let i = 0; i < 10; i++) push(1, 10, 1);
  egress.sendControl(peer(1), peer(1), new Uint8Array(10));
  t.equal(memory.bytes, 10 * (1_000 + FRAME_OVERHEAD_BYTES) + 10 + FRAME_OVERHEAD_BYTES);
  egress.close();
  t.equal(memory.bytes, 0);
  channel.room = 100_000;
  push(1, 10, 1);
  egress.pump();
  t.equal(channel.sent.length, 0);
  t.equal(memory.bytes, 0);
});

t.test('what left a queue is not kept alive by it, though the queue goes on', async t => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const fifo = new Fifo<object>();
  const seen: WeakRef<object>[] = [];
  for (let i = 0; i < 20; i++) {
    const item = { i };
    seen.push(new WeakRef(item));
    fifo.push(item);
  }
  for (let i = 0; i < 10; i++) fifo.shift();
  await new Promise(resolve => setImmediate(resolve)); // a WeakRef holds what it was asked for until the turn ends
  collect();
  t.same(
    seen.map(ref => ref.deref() !== undefined),
    seen.map((_, i) => i >= 10),
  );
  t.equal(fifo.length, 10);
});
