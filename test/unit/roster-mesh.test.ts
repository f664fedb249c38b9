import t from 'tap';
import { fromUtf8 } from '../../lib/bytes.js';
import { unixMs } from '../../lib/env.js';
import { SIMULATED_START_UNIX_MS } from '../../lib/sim/index.js';
import { RosterWorld, rotation, signRoster } from '../support/roster-world.js';

/** A diamond: ends S and D, relays A and B; all have roster 1. */
async function diamond(seed: string): Promise<RosterWorld> {
  const mesh = new RosterWorld({ seed });
  mesh.add('A', [], { relay: true });
  mesh.add('B', [], { relay: true });
  mesh.add('S', ['A', 'B']);
  mesh.add('D', ['A', 'B']);
  for (const name of ['S', 'A', 'B', 'D']) mesh.give(name, signRoster(mesh.roster(1, ['S', 'A', 'B', 'D'])));
  await mesh.run(2_000);
  return mesh;
}

t.test('a roster that one node is given reaches all within a second, and each says who came and went', async t => {
  const mesh = await diamond('spread');
  mesh.give('D', signRoster(mesh.roster(2, ['S', 'A', 'D'])));
  await mesh.run(1_000);
  for (const name of ['S', 'A', 'D']) {
    t.equal(mesh.versionOf(name), 2, name);
    t.match(mesh.events.get(name)?.at(-1), { oldVersion: 1, version: 2, added: [], removed: mesh.peersOf('B') });
  }
  t.equal(mesh.events.get('D')?.at(-1)?.from, undefined, 'given by the application');
  t.equal(mesh.events.get('S')?.at(-1)?.from, mesh.host('A').peer);
  for (const name of ['S', 'D']) {
    const disconnected = mesh.host(name).peerEvents.filter(({ kind }) => kind === 'disconnected');
    t.match(disconnected, [{ peer: mesh.host('B').peer }], `${name} has no channel with who was removed`);
  }
});

t.test(
  'who is revoked in the middle of traffic relays nothing more, and nothing is lost, repeated or reordered',
  async t => {
    const mesh = await diamond('revoked relay');
    const received: string[] = [];
    mesh.host('D').node.serve('test', (_from, bytes) => received.push(new TextDecoder().decode(bytes)));
    const send = (from: number, to: number): void => {
      for (let i = from; i < to; i++) {
        mesh.world.scheduler.after((i - from) * 5, () =>
          mesh.host('S').node.send(mesh.host('D').peer, 'test', fromUtf8(`${i}`)),
        );
      }
    };
    send(0, 200);
    await mesh.run(500);
    const active = mesh
      .host('S')
      .node.routes()
      .find(({ role }) => role === 'active')?.route[0];
    const [bad, good] = active === mesh.host('A').peer ? ['A', 'B'] : ['B', 'A'];
    mesh.give(good, signRoster(mesh.roster(2, ['S', 'A', 'B', 'D'], { revoked: [mesh.host(bad).peer] })));
    await mesh.run(1_000);
    let toBad = 0;
    mesh.host(bad).onForward = () => {
      toBad += 1;
      return 'forward';
    };
    send(200, 400);
    await mesh.run(3_000);
    t.strictSame(
      received,
      Array.from({ length: 400 }, (_, i) => `${i}`),
    );
    t.equal(toBad, 0);
    for (const name of ['S', 'D', good]) {
      t.notOk(
        mesh
          .host(name)
          .node.peers()
          .some(({ peer, connected }) => peer === mesh.host(bad).peer && connected),
      );
    }
  },
);

t.test('a source leaves a relay that is two hops away as soon as it knows that it is revoked', async t => {
  const mesh = new RosterWorld({ seed: 'two hops' });
  for (const name of ['R', 'Q']) mesh.add(name, [], { relay: true });
  mesh.add('X', ['R', 'Q'], { relay: true });
  mesh.add('D', ['R', 'Q']);
  mesh.add('S', ['X']);
  const all = ['S', 'X', 'R', 'Q', 'D'];
  for (const name of all) mesh.give(name, signRoster(mesh.roster(1, all)));
  await mesh.run(2_000);
  mesh.host('S').node.send(mesh.host('D').peer, 'test', fromUtf8('x'));
  await mesh.run(2_000);
  const routes = () =>
    mesh
      .host('S')
      .node.routes()
      .map(({ route }) => route);
  t.ok(routes().some(route => route.includes(mesh.host('R').peer)));
  mesh.give('S', signRoster(mesh.roster(2, all, { revoked: [mesh.host('R').peer] })));
  t.notOk(
    routes().some(route => route.includes(mesh.host('R').peer)),
    'in the same instant',
  );
  t.ok(routes().length > 0);
});

t.test('what a node ignored of a new member before it knew the roster, it hears again once it does', async t => {
  const mesh = await diamond('new member');
  const late = mesh.membershipOf('S');
  const { update } = late;
  late.update = () => false; // S gets the roster later than its neighbours
  mesh.add('N', ['A']);
  const next = signRoster(mesh.roster(2, ['S', 'A', 'B', 'D', 'N']));
  for (const name of ['N', 'A']) mesh.give(name, next);
  await mesh.run(3_000);
  const knows = (name: string): boolean =>
    mesh
      .host(name)
      .node.peers()
      .some(({ peer }) => peer === mesh.host('N').peer);
  t.ok(knows('D'));
  t.notOk(knows('S'));
  late.update = update;
  mesh.give('S', next);
  await mesh.run(500);
  t.ok(knows('S'), 'long before the list is refreshed');
  t.ok(mesh.host('S').node.send(mesh.host('N').peer, 'test', fromUtf8('x')));
  await mesh.run(1_000);
  t.ok(mesh.host('N').peerEvents.some(({ kind, peer }) => kind === 'session-up' && peer === mesh.host('S').peer));
});

t.test('a node that was away for two rotations of the root keys catches up, and is itself followed', async t => {
  const mesh = await diamond('rotations');
  mesh.crash('D');
  await mesh.run(1_000);
  const rotations = [rotation(0, 2), rotation(1, 5)];
  mesh.give('A', signRoster(mesh.roster(2, ['S', 'A', 'B', 'D'], { rotations: rotations.slice(0, 1) }), 1));
  await mesh.run(1_000);
  mesh.give('B', signRoster(mesh.roster(5, ['S', 'A', 'B', 'D'], { rotations }), 2));
  await mesh.run(1_000);
  mesh.start('D');
  t.equal(mesh.versionOf('D'), 1, 'it begins with what its store kept');
  await mesh.run(6_000);
  t.equal(mesh.versionOf('D'), 5);
  t.ok(mesh.events.get('D')?.at(-1)?.rootKeysChanged);
  mesh.give('D', signRoster(mesh.roster(6, ['S', 'A', 'B', 'D'], { rotations }), 2));
  await mesh.run(1_000);
  for (const name of ['S', 'A', 'B']) t.equal(mesh.versionOf(name), 6, name);
  mesh.crash('D');
  mesh.start('D');
  t.equal(mesh.versionOf('D'), 6, 'and the rotations outlive a restart');
  t.throws(() => mesh.give('D', signRoster(mesh.roster(7, ['D']), 0)), { code: 'ROSTER_INVALID' });
});

/** As `diamond`, but roster 1 expired meanwhile at all of them, in an hour. */
async function expired(seed: string): Promise<RosterWorld> {
  const mesh = new RosterWorld({ seed });
  mesh.add('A', [], { relay: true });
  mesh.add('S', ['A']);
  mesh.add('D', ['A']);
  const expiry = unixMs(SIMULATED_START_UNIX_MS + 60_000);
  for (const name of ['S', 'A', 'D']) mesh.give(name, signRoster(mesh.roster(1, ['S', 'A', 'D'], { expiry })));
  await mesh.run(2_000);
  t.ok(
    mesh
      .host('S')
      .node.peers()
      .some(({ connected }) => connected),
  );
  await mesh.run(60_000);
  return mesh;
}

t.test('after expiry nobody is admitted, and a newer roster still comes from whom a node dials', async t => {
  const mesh = await expired('dialled');
  const connected = (name: string): boolean =>
    mesh
      .host(name)
      .node.peers()
      .some(peer => peer.connected);
  t.notOk(['S', 'A', 'D'].some(connected));
  await t.rejects(mesh.host('S').node.session(mesh.host('D').peer), { code: 'NOT_ADMITTED' });
  mesh.give('A', signRoster(mesh.roster(2, ['S', 'A', 'D'])));
  await mesh.run(35_000);
  for (const name of ['S', 'A', 'D']) {
    t.equal(mesh.versionOf(name), 2, name);
    t.ok(connected(name), `${name} is back`);
  }
});

t.test('after expiry a newer roster also comes from a member of the expired one that dials', async t => {
  const mesh = await expired('dials');
  mesh.give('S', signRoster(mesh.roster(2, ['S', 'A', 'D'])));
  await mesh.run(65_000);
  for (const name of ['S', 'A', 'D']) t.equal(mesh.versionOf(name), 2, name);
  t.ok(
    mesh
      .host('D')
      .node.peers()
      .some(peer => peer.connected),
  );
});

t.test('a node without any roster gets its first one from whom it dials, and never from who dials it', async t => {
  const mesh = new RosterWorld({ seed: 'first' });
  for (const name of ['A', 'L']) mesh.add(name, [], { relay: true });
  mesh.add('S', ['A']);
  mesh.add('T', ['A', 'L']);
  await mesh.run(1_000);
  for (const name of ['A', 'T']) mesh.give(name, signRoster(mesh.roster(1, ['S', 'A', 'L', 'T'])));
  await mesh.run(65_000);
  t.equal(mesh.versionOf('S'), 1);
  t.ok(
    mesh
      .host('S')
      .node.peers()
      .some(peer => peer.connected),
  );
  t.equal(mesh.versionOf('L'), undefined);
});

t.test('a node whose roster was overtaken by another crew gets the present one from those it dials', async t => {
  const mesh = await diamond('overtaken');
  mesh.add('E', [], { relay: true });
  mesh.add('F', ['E']);
  mesh.give('F', signRoster(mesh.roster(1, ['S', 'A', 'F'])));
  mesh.give('E', signRoster(mesh.roster(3, ['E', 'F'])));
  await mesh.run(35_000);
  t.equal(mesh.versionOf('F'), 3);
  t.ok(
    mesh
      .host('F')
      .node.peers()
      .some(({ peer, connected }) => peer === mesh.host('E').peer && connected),
  );
});

t.test(
  'during a visit nothing passes but rosters: no link state, no path, no session, no event of a neighbour',
  async t => {
    const mesh = await expired('nothing else');
    const before = mesh.host('A').peerEvents.length;
    // To S, A is a member of the present roster; to A, S is nobody until it has the roster, which is withheld here.
    mesh.membershipOf('A').update = () => false;
    mesh.give('S', signRoster(mesh.roster(2, ['S', 'A', 'D'])));
    await mesh.run(40_000);
    t.ok(
      mesh.host('S').peerEvents.some(({ kind, atMs }) => kind === 'connected' && atMs > 62_000),
      'A let it stay',
    );
    t.equal(mesh.host('A').peerEvents.length, before);
    t.notOk(
      mesh
        .host('A')
        .node.peers()
        .some(({ connected, session }) => connected || session),
    );
  },
);
