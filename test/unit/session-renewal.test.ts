import t from 'tap';
import { CipherState } from '../../lib/noise/index.js';
import { MeshWorld } from '../support/mesh-world.js';
import { diamond, numbers, renewals, secretOf, upTo } from '../support/renewing-mesh.js';

t.test('a session gets new keys within its lifetime, and its streams notice nothing', async t => {
  const { mesh, a, b } = await diamond();
  const there = numbers(mesh, a, b);
  const back = numbers(mesh, b, a);
  const opened = a.node.session(b.peer);
  await mesh.run(100);
  await opened;
  const secrets = new Set<string>();
  for (let i = 0; i < 1_600; i++) {
    there.send(64, i % 3 === 0);
    if (i % 2 === 0) back.send(200, false);
    await mesh.run(10);
    if (i % 20 === 19) secrets.add(secretOf(a, b));
  }
  await mesh.run(500);
  t.same(there.got, upTo(1_600), 'in order, once each');
  t.same(back.got, upTo(800));
  t.ok(renewals(a) >= 3 && renewals(b) >= 3, `${renewals(a)} and ${renewals(b)} renewals in 16 s`);
  t.ok(secrets.size >= 4, 'each with other secrets');
  t.equal(secretOf(a, b), secretOf(b, a), 'the same at both ends');
  t.notOk([...a.peerEvents, ...b.peerEvents].some(({ kind }) => kind === 'session-down'));
  // In virtual time: one way is 6 ms, and no message waits for a handshake.
  t.ok(there.slowestMs <= 12 && back.slowestMs <= 12, `${there.slowestMs} and ${back.slowestMs} ms`);
  t.ok(a.node.routes().filter(route => route.flow === b.peer).length >= 2, 'other paths joined the newest session');
});

t.test('each direction takes new keys every two minutes, also where only receipts flow', async t => {
  // One relay: no other path is probed, so nothing but the stream and its receipts travels.
  const mesh = new MeshWorld({ link: { delayMs: 3 } });
  mesh.add('r', [], { relay: true });
  const a = mesh.add('a', ['r']);
  const b = mesh.add('b', ['r']);
  await mesh.run(1_000);
  const derived = new Map<CipherState, number>();
  const { rekeyed } = CipherState.prototype;
  t.teardown(() => {
    CipherState.prototype.rekeyed = rekeyed;
  });
  // Only sessions derive the next key beside the present one.
  CipherState.prototype.rekeyed = function (this: CipherState): CipherState {
    const next = rekeyed.call(this);
    derived.set(next, (derived.get(this) ?? 0) + 1);
    return next;
  };
  const there = numbers(mesh, a, b);
  for (let i = 0; i < 1_000; i++) {
    there.send(100, false);
    await mesh.run(600);
  }
  t.same(there.got, upTo(1_000));
  const phases = [...derived.values()].sort((x, y) => y - x);
  t.same(phases.slice(0, 2), [4, 4], 'in ten minutes, at both ends');
  t.equal(renewals(a), 0);
});

t.test('idle sessions are renewed too, and a message after hours finds one', async t => {
  const { mesh, a, b } = await diamond();
  const there = numbers(mesh, a, b);
  there.send(10, false);
  await mesh.run(60_000);
  t.ok(renewals(a) >= 11 && renewals(b) >= 11);
  there.send(10, false);
  await mesh.run(20);
  t.same(there.got, [0, 1], 'without a handshake first');
});

t.test('a session whose keys cannot be renewed ends after its lifetime, and nothing is lost', async t => {
  const { mesh, a, b } = await diamond();
  const there = numbers(mesh, a, b);
  for (let i = 0; i < 30; i++) {
    there.send(10, false);
    await mesh.run(100);
  }
  const before = secretOf(a, b);
  // With clocks this wrong nobody takes a set-up of anybody, while paths that are up go on.
  for (const name of ['r1', 'r2']) mesh.world.machine(name)?.jumpClock(3_600_000);
  for (let i = 0; i < 60; i++) {
    there.send(10, false);
    await mesh.run(100);
  }
  t.equal(secretOf(a, b), '', 'the old keys are gone');
  t.ok(there.got.length > 40 && there.got.length < 90, 'it worked until its end');
  for (const name of ['r1', 'r2']) mesh.world.machine(name)?.jumpClock(-3_600_000);
  await mesh.run(20_000);
  t.same(there.got, upTo(90));
  t.not(secretOf(a, b), before);
  t.notOk([...a.peerEvents, ...b.peerEvents].some(({ kind }) => kind === 'session-down'));
});

t.test('a lifetime above an hour, or too short for a handshake, is refused', async t => {
  for (const sessionLifetimeMs of [4_999, 3_600_001, Number.NaN]) {
    const mesh = new MeshWorld({ node: { sessionLifetimeMs } });
    t.throws(() => mesh.add('a'), { code: 'INVALID_ARGUMENT' });
  }
});
