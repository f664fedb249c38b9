import t from 'tap';
import { idleBytesPerSecond, overheadOf } from '../bench/overhead.js';
import type { MeshHost } from '../support/mesh-world.js';
import { MeshWorld } from '../support/mesh-world.js';

/** Two ends that know each other only through two relays. */
async function diamond() {
  const mesh = new MeshWorld({ link: { delayMs: 3 } });
  mesh.add('r1', [], { relay: true });
  mesh.add('r2', ['r1'], { relay: true });
  const a = mesh.add('a', ['r1', 'r2']);
  const b = mesh.add('b', ['r1', 'r2']);
  await mesh.run(1_000);
  return { mesh, a, b };
}

const numbered = (number: number, bytes: number): Uint8Array => {
  const message = new Uint8Array(bytes);
  new DataView(message.buffer).setUint32(0, number);
  return message;
};
const numberOf = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);

async function sessions(mesh: MeshWorld, a: MeshHost, b: MeshHost) {
  const opening = Promise.all([a.node.session(b.peer), b.node.session(a.peer)]);
  await mesh.run(1_000);
  return opening;
}

t.test('a reader that does not read makes the sender wait; nothing is lost and no other service is slowed', async t => {
  const { mesh, a, b } = await diamond();
  const [toB, atB] = await sessions(mesh, a, b);
  const others: number[] = [];
  b.node.serve('other', (_from, bytes) => others.push(numberOf(bytes)));
  const total = 1_200;
  let queued = 0;
  const sending = (async () => {
    for (let i = 0; i < total; i++) {
      await toB.send(numbered(i, 8_192));
      queued += 1;
    }
  })();
  await mesh.run(5_000);
  const waitsAt = queued;
  t.ok(queued > 300 && queued < 600, `${queued} of ${total} were queued: 4 MiB, of which 3 are at the reader`);
  t.ok(b.node.diagnostics().receiving.heldBytes <= 3_145_728);
  for (let i = 0; i < 20; i++) t.ok(a.node.send(b.peer, 'other', numbered(i, 1_000)));
  await mesh.run(5_000);
  t.equal(others.length, 20);
  t.equal(queued, waitsAt, 'the sender still waits');
  const packets = () => a.node.diagnostics().sessions.get(b.peer)?.retransmission.packets ?? 0;
  t.ok(packets() < 5, 'and repeats nothing meanwhile');
  const got: number[] = [];
  const reading = (async () => {
    for await (const bytes of atB.messages()) {
      got.push(numberOf(bytes));
      if (got.length === total) return;
    }
  })();
  for (let i = 0; i < 100 && got.length < total; i++) await mesh.run(200);
  await Promise.all([sending, reading]);
  t.same(
    got,
    Array.from({ length: total }, (_, i) => i),
    'all, in order, once',
  );
  t.equal(b.node.diagnostics().receiving.heldBytes, 0);
});

t.test('a send that was refused is followed by `room` for that peer', async t => {
  const { mesh, a, b } = await diamond();
  let received = 0;
  b.node.serve('s', () => {
    received += 1;
  });
  const rooms: string[] = [];
  a.node.on('room', peer => rooms.push(peer));
  let sent = 0;
  while (a.node.send(b.peer, 's', new Uint8Array(100_000))) sent += 1;
  await mesh.run(3_000);
  t.equal(received, sent);
  t.same(rooms, [b.peer], 'once for one refusal');
});

t.test('messages that nobody serves are held, then dropped and counted; they hold up nobody', async t => {
  const { mesh, a, b } = await diamond();
  for (let i = 0; i < 60; i++) {
    for (let j = 0; j < 50; j++) a.node.send(b.peer, 'unserved', numbered(i * 50 + j, 1_000));
    await mesh.run(100);
  }
  const { unserved } = b.node.diagnostics().receiving;
  t.ok(unserved > 1_900, `${unserved} of 3,000 dropped`);
  const got: number[] = [];
  b.node.serve('unserved', (_from, bytes) => got.push(numberOf(bytes)));
  t.equal(got.length + unserved, 3_000);
  a.node.send(b.peer, 'unserved', numbered(7, 10));
  await mesh.run(500);
  t.equal(got.at(-1), 7);
});

t.test('unordered messages over a path that drops a fifth come once each, without waiting for one another', async t => {
  const { mesh, a, b } = await diamond();
  const got: number[] = [];
  b.node.serve('marks', (_from, bytes) => got.push(numberOf(bytes)));
  a.node.send(b.peer, 'warm', new Uint8Array(1));
  await mesh.run(500);
  let frames = 0;
  for (const relay of ['r1', 'r2']) mesh.host(relay).onForward = () => (++frames % 5 === 0 ? 'drop' : 'forward');
  for (let i = 0; i < 300; i++) {
    a.node.send(b.peer, 'marks', numbered(i, 500), { ordered: false, class: 'bulk' });
    await mesh.run(5);
  }
  await mesh.run(5_000);
  t.notSame(
    got,
    Array.from({ length: 300 }, (_, i) => i),
    'some came before others that were sent first',
  );
  t.same(
    [...got].sort((x, y) => x - y),
    Array.from({ length: 300 }, (_, i) => i),
  );
});

t.test(
  'critical messages that come over one path only are receipted over the other when theirs drops receipts',
  async t => {
    const { mesh, a, b } = await diamond();
    let received = 0;
    b.node.serve('critical', () => {
      received += 1;
    });
    a.node.send(b.peer, 'warm', new Uint8Array(1));
    await mesh.run(500);
    // One relay drops the urgent frames of the source, the other those to it, which are receipts.
    mesh.host('r1').onForward = ({ to, lane }) => (to === a.peer && lane === 'urgent' ? 'drop' : 'forward');
    mesh.host('r2').onForward = ({ from, lane }) => (from === a.peer && lane === 'urgent' ? 'drop' : 'forward');
    for (let i = 0; i < 20; i++) {
      a.node.send(b.peer, 'critical', numbered(i, 200), { class: 'critical' });
      await mesh.run(60);
    }
    t.equal(received, 20);
    const traffic = a.node.diagnostics().sessions.get(b.peer);
    t.ok((traffic?.retransmission.packets ?? 99) <= 5, `${traffic?.retransmission.packets} retransmissions`);
  },
);

t.test('options that make no sense are refused', async t => {
  const { a, b } = await diamond();
  const bytes = new Uint8Array(1);
  const refused = { code: 'INVALID_ARGUMENT' };
  t.throws(() => a.node.send(b.peer, 's', bytes, { ordered: true, ttlMs: 5 }), refused);
  t.throws(() => a.node.send(b.peer, 's', bytes, { ttlMs: 0 }), refused);
  t.throws(() => a.node.send(b.peer, 's', bytes, { paths: 5 }), refused);
  t.throws(() => a.node.send(b.peer, 's', bytes, { paths: 1.5 }), refused);
  t.throws(() => a.node.send(b.peer, 's', bytes, { class: 'urgent' as 'bulk' }), refused);
  t.throws(() => a.node.send(b.peer, 'a b', bytes), refused);
  t.throws(() => a.node.send(a.peer, 's', bytes), refused);
});

t.test('receipts and copies of a healthy flow, and an idle session, cost what R6 allows', async t => {
  for (const messagesPerSecond of [100, 200]) {
    const normal = await overheadOf('normal', messagesPerSecond, 5);
    t.ok(normal.receiptBytesPerSecond <= 12_000, `normal: ${normal.receiptBytesPerSecond} B/s`);
    t.ok(normal.copies <= 0.05, `${normal.copies} copies`);
  }
  const critical = await overheadOf('critical', 100, 10);
  t.ok(critical.receiptBytesPerSecond <= 12_000, `critical: ${critical.receiptBytesPerSecond} B/s`);
  t.ok(critical.copies > 0.98, 'two copies of each');
  t.ok((await idleBytesPerSecond(120)) <= 150);
});
