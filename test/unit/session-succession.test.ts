import t from 'tap';
import { instant } from '../../lib/env.js';
import type { PeerId } from '../../lib/identity/index.js';
import { emptyParcel, type Parcel } from '../../lib/mesh/out-message.js';
import type { PathEnd } from '../../lib/mesh/path-end.js';
import { type Claim, type Heir, Succession, stands } from '../../lib/mesh/succession.js';

const at = instant;

/** A session by what the succession sees of it. */
class FakeSession implements Heir {
  readonly role: Heir['role'];
  readonly since: Heir['since'];
  readonly number: number;
  readonly tag: Uint8Array;
  established = false;
  pathCount = 1;
  slowestPtoMs = 50;
  pumps = 0;
  ended: string | undefined;

  constructor(number: number, role: Heir['role'], sinceMs: number) {
    this.number = number;
    this.tag = Uint8Array.of(number);
    this.role = role;
    this.since = at(sinceMs);
  }

  get paths(): readonly PathEnd[] {
    return new Array<PathEnd>(this.pathCount);
  }

  pump(): void {
    this.pumps += 1;
  }

  end(reason: string, tell: boolean): Parcel[] {
    this.ended = `${reason}${tell ? ', told' : ''}`;
    return [{ ...emptyParcel(), bytes: this.number }];
  }
}

function succession(selfIsLower = true) {
  const requeued: number[] = [];
  const currents: number[] = [];
  const [lower, higher] = ['a', 'b'] as PeerId[] as [PeerId, PeerId];
  const [self, peer] = selfIsLower ? [lower, higher] : [higher, lower];
  const sessions = new Succession<FakeSession>(self, peer, {
    requeue: parcels => requeued.push(...parcels.map(({ bytes }) => bytes)),
    onCurrent: ({ number }) => currents.push(number),
  });
  return { sessions, requeued, currents };
}

/** A session of three paths that is up, and one beside it of which the handshake is done. */
function renewing() {
  const world = succession();
  const [old, young] = [new FakeSession(1, 'initiator', 0), new FakeSession(2, 'initiator', 10_000)];
  world.sessions.install(old);
  old.established = true;
  old.pathCount = 3;
  world.sessions.install(young);
  return { ...world, old, young };
}

t.test('the new session takes over when the peer spoke in it, and the streams when it has as many paths', async t => {
  const { sessions, requeued, currents, old, young } = renewing();
  t.equal(sessions.current, old);
  t.equal(sessions.byTag(Uint8Array.of(2)), young, 'paths may join it');
  young.established = true;
  t.ok(sessions.onHello(young, false, at(10_100)));
  t.same(currents, [1, 2]);
  t.equal(sessions.current, young);
  t.equal(sessions.carrier, old, 'one path is fewer than three');
  young.pathCount = 2;
  sessions.poll(at(10_200));
  t.equal(sessions.carrier, old);
  young.pathCount = 3;
  sessions.poll(at(10_300));
  t.equal(sessions.carrier, young);
  t.equal(young.pumps, 1);
  sessions.poll(at(10_449));
  t.equal(old.ended, undefined, 'what is on its way has 3 PTO');
  sessions.poll(at(10_450));
  t.equal(old.ended, 'superseded');
  t.same(requeued, [1]);
  t.equal(young.pumps, 2, 'what did not come goes on in the new one');
});

t.test('streams wait a second at most for further paths, and not at all for an old session without any', async t => {
  const patient = renewing();
  patient.sessions.onHello(patient.young, false, at(10_000));
  patient.sessions.poll(at(11_000));
  t.equal(patient.sessions.carrier, patient.old);
  patient.sessions.poll(at(11_001));
  t.equal(patient.sessions.carrier, patient.young);

  const lost = renewing();
  lost.old.pathCount = 0;
  lost.sessions.onHello(lost.young, false, at(10_000));
  t.equal(lost.old.ended, 'superseded');
  t.equal(lost.sessions.carrier, lost.young);
  t.same(lost.requeued, [1]);
});

t.test('an old session drains 100 ms at least and 30 s at most', async t => {
  for (const [ptoMs, drainMs] of [
    [1, 100],
    [100, 300],
    [60_000, 30_000],
  ] as const) {
    const { sessions, old, young } = renewing();
    old.slowestPtoMs = ptoMs;
    young.pathCount = 3;
    sessions.onHello(young, false, at(10_000));
    sessions.poll(at(10_000 + drainMs - 1));
    t.equal(old.ended, undefined);
    sessions.poll(at(10_000 + drainMs));
    t.equal(old.ended, 'superseded');
  }
});

t.test('a peer that restarted, or a session that never began, is not waited for', async t => {
  const restarted = renewing();
  restarted.sessions.onHello(restarted.young, true, at(10_000));
  t.equal(restarted.old.ended, 'superseded');
  t.same(restarted.requeued, [1]);
  t.equal(restarted.sessions.carrier, restarted.young);

  const silent = renewing();
  silent.old.established = false;
  silent.sessions.onHello(silent.young, false, at(10_000));
  t.equal(silent.old.ended, 'superseded');
});

t.test('a new session in which nothing is heard, or whose path is gone, leaves the old one alone', async t => {
  const silent = renewing();
  silent.sessions.poll(at(15_000));
  t.equal(silent.young.ended, undefined);
  silent.sessions.poll(at(15_001));
  t.equal(silent.young.ended, 'done');
  t.equal(silent.sessions.next, undefined);
  t.equal(silent.sessions.carrier, silent.old);

  const cut = renewing();
  cut.young.pathCount = 0;
  cut.sessions.poll(at(10_001));
  t.equal(cut.young.ended, 'done');
  t.equal(cut.sessions.carrier, cut.old);
});

t.test('of two handshakes begun at once the one of the lower PeerId stands, in whatever order they finish', async t => {
  for (const selfIsLower of [true, false]) {
    const [mine, its] = ['initiator', 'responder'] as const;
    const lower = selfIsLower ? mine : its;
    for (const order of [
      [mine, its],
      [its, mine],
    ] as const) {
      const { sessions } = succession(selfIsLower);
      const [first, second] = order.map((role, i) => new FakeSession(i, role, i * 100)) as [FakeSession, FakeSession];
      sessions.install(first);
      sessions.install(second);
      const isKept = sessions.onHello(second, false, at(200));
      t.equal(sessions.current?.role, lower);
      t.equal(isKept, second.role === lower);

      // The same while an older session is up.
      const beside = succession(selfIsLower).sessions;
      const old = new FakeSession(9, mine, -60_000);
      const [third, fourth] = order.map((role, i) => new FakeSession(i, role, i * 100)) as [FakeSession, FakeSession];
      for (const session of [old, third, fourth]) beside.install(session);
      t.equal(beside.next?.role, lower);
      t.equal(third.ended ?? fourth.ended, 'superseded');
    }
  }
});

t.test('what was begun later, or by the same end again, is newer', async t => {
  const claim = (role: Claim['role'], since: number): Claim => ({ role, since: at(since) });
  t.ok(stands(claim('initiator', 0), claim('responder', 1_999), true));
  t.notOk(stands(claim('initiator', 0), claim('responder', 2_000), true));
  t.notOk(stands(claim('initiator', 0), claim('initiator', 1), true));
});

t.test('the end reaches all of them, oldest chunks first', async t => {
  const { sessions, requeued, old, young } = renewing();
  sessions.onHello(young, false, at(10_000));
  const third = new FakeSession(3, 'responder', 13_000);
  sessions.install(third);
  sessions.end('done', true);
  t.same([old.ended, young.ended, third.ended], ['done, told', 'done, told', 'done, told']);
  t.same(requeued, [3, 2, 1], 'each is put before what is queued');
  t.same([sessions.current, sessions.next, sessions.carrier], [undefined, undefined, undefined]);
});
