import t from 'tap';
import { unixMs } from '../../lib/env.js';
import { AllowList, Identity, openMembership, type PeerId } from '../../lib/identity/index.js';
import { LinkStateFlood } from '../../lib/mesh/link-state-flood.js';
import { LinkStateDatabase } from '../../lib/route/index.js';
import { fakeCrypto } from '../../lib/sim/index.js';
import { memoryStore } from '../../lib/storage/memory-store.js';
import type { NodeStore } from '../../lib/store.js';
import { decodeLinkState, type Edge, encodeLinkState, type NeighbourFrame } from '../../lib/wire/index.js';
import { manualEnv } from '../support/manual-env.js';

const NETWORK = 'test';
const crypto = fakeCrypto();

let made = 0;
function identity(): Identity {
  made += 1;
  const secret = new Uint8Array(32);
  new DataView(secret.buffer).setUint32(0, made);
  const seeds = { identity: secret, static: secret };
  return new Identity({ crypto, seeds, networkId: NETWORK, now: unixMs(1_800_000_000_000) });
}

type Frame<K extends NeighbourFrame['kind']> = Extract<NeighbourFrame, { kind: K }>;
interface Sent {
  readonly to: PeerId;
  readonly frame: NeighbourFrame;
}

/** A list of edges as its origin, or somebody else, signs it. */
function signed(origin: Identity, sequence: number, edges: readonly Edge[] = [], by = origin, epoch = 1) {
  const name = { origin: origin.peer, epoch, sequence };
  const body = encodeLinkState({ ...name, relay: true, edges });
  const frame: NeighbourFrame = { kind: 'link-state', body, signature: by.sign('link-state', epoch, body) };
  return { name, frame };
}

const announce = (...names: Frame<'link-announce'>['names']): Frame<'link-announce'> => ({
  kind: 'link-announce',
  names,
});

/** The flood of one node whose neighbours are played by hand. */
function flood(options: { neighbours?: number; membership?: AllowList; self?: Identity; store?: NodeStore } = {}) {
  const env = manualEnv();
  const { self = identity(), store } = options;
  const neighbours = Array.from({ length: options.neighbours ?? 2 }, () => identity());
  const edges: Edge[] = neighbours.map(({ peer }) => ({ peer, costMs: 10 }));
  const database = new LinkStateDatabase({ floorMs: () => 0 });
  const sent: Sent[] = [];
  let changes = 0;
  const membership = options.membership ?? openMembership({ mayRelay: true });
  const context = {
    self: self.peer,
    env,
    crypto,
    identity: self,
    networkId: NETWORK,
    membership,
    relay: undefined,
    store,
  };
  const subject = new LinkStateFlood(context, database, {
    neighbours: () => edges.map(({ peer }) => peer),
    edges: () => edges.map(edge => ({ ...edge })),
    send: (to, frame) => sent.push({ to, frame }),
    onChange: () => {
      changes += 1;
    },
  });
  const take = <K extends NeighbourFrame['kind']>(kind: K): { to: PeerId; frame: Frame<K> }[] => {
    const found = sent.filter((one): one is { to: PeerId; frame: Frame<K> } => one.frame.kind === kind);
    for (const one of found) sent.splice(sent.indexOf(one), 1);
    return found;
  };
  const names = (neighbour: Identity | undefined, origin: Identity): number =>
    take('link-announce')
      .filter(({ to }) => to === neighbour?.peer)
      .flatMap(({ frame }) => frame.names)
      .filter(name => name.origin === origin.peer).length;
  return { env, self, neighbours, edges, database, subject, take, names, changes: () => changes };
}

/** Whom the node asked, by name, since it was last looked at. */
const asked = (node: ReturnType<typeof flood>): PeerId[] => node.take('link-pull').map(({ to }) => to);

t.test('a list is pulled once, from the first who announces it, and not announced to who has it', async t => {
  const node = flood({ neighbours: 3 });
  const [a, b, c] = node.neighbours as [Identity, Identity, Identity];
  const list = signed(identity(), 1);
  node.subject.onFrame(a.peer, announce(list.name));
  node.subject.onFrame(b.peer, announce(list.name));
  t.same(asked(node), [a.peer]);
  node.subject.onFrame(a.peer, list.frame);
  t.ok(node.database.get(list.name.origin));
  node.env.advance(50);
  t.same(
    node.take('link-announce').map(({ to }) => to),
    [c.peer],
  );
  t.equal(node.changes(), 1);
});

t.test('what nobody was asked for is not looked at', async t => {
  const node = flood();
  const list = signed(identity(), 1);
  node.subject.onFrame(node.neighbours[0]?.peer as PeerId, list.frame);
  t.equal(node.database.get(list.name.origin), undefined);
});

t.test('a forged list harms whoever passed it on, not whom it names', async t => {
  const node = flood();
  const [liar, honest] = node.neighbours as [Identity, Identity];
  const victim = identity();
  for (let sequence = 1; sequence <= 50; sequence++) {
    const forged = signed(victim, sequence, [], liar);
    node.subject.onFrame(liar.peer, announce(forged.name));
    node.subject.onFrame(liar.peer, forged.frame);
  }
  t.equal(asked(node).length, 1, 'after the first it is not even asked');
  t.equal(node.database.get(victim.peer), undefined);
  for (let sequence = 51; sequence <= 60; sequence++) {
    const list = signed(victim, sequence);
    node.subject.onFrame(honest.peer, announce(list.name));
    node.subject.onFrame(honest.peer, list.frame);
    t.equal(node.database.get(victim.peer)?.sequence, sequence, 'all that the victim may send is taken');
  }
  node.env.advance(61_000);
  node.take('link-pull');
  const later = signed(victim, 61);
  node.subject.onFrame(liar.peer, announce(later.name));
  t.same(asked(node), [liar.peer], 'a minute later it is listened to again');
});

t.test('announcing what does not exist keeps nothing true from being pulled', async t => {
  const node = flood();
  const [liar, honest] = node.neighbours as [Identity, Identity];
  const origin = identity();
  node.subject.onFrame(liar.peer, announce({ origin: origin.peer, epoch: 2 ** 45, sequence: 1 }));
  const list = signed(origin, 1);
  node.subject.onFrame(honest.peer, announce(list.name));
  t.same(asked(node), [liar.peer, honest.peer]);
  node.subject.onFrame(honest.peer, list.frame);
  t.equal(node.database.get(origin.peer)?.sequence, 1);
});

t.test('whoever announces the truth and never sends it delays it once, by a second', async t => {
  const node = flood();
  const [liar, honest] = node.neighbours as [Identity, Identity];
  const both = (list: ReturnType<typeof signed>): void => {
    node.subject.onFrame(liar.peer, announce(list.name));
    node.subject.onFrame(honest.peer, announce(list.name));
  };
  const first = signed(identity(), 1);
  both(first);
  t.same(asked(node), [liar.peer]);
  node.env.advance(1_200);
  t.ok(asked(node).includes(honest.peer), 'the next one who announced it is asked');
  node.subject.onFrame(honest.peer, first.frame);
  const second = signed(identity(), 1);
  both(second);
  t.same(asked(node), [liar.peer, honest.peer], 'and from now on both at once');
  node.subject.onFrame(honest.peer, second.frame);
  t.ok(node.database.get(second.name.origin));
  node.env.advance(10_000);
  t.same(asked(node), [], 'nothing is asked for without end');
});

t.test(
  'an origin that signs without end costs ten checks, then one per 2.5 s; the newest is taken in the end',
  async t => {
    const node = flood();
    const [neighbour] = node.neighbours as [Identity];
    const origin = identity();
    let taken = 0;
    for (let sequence = 1; sequence <= 100; sequence++) {
      const list = signed(origin, sequence);
      node.subject.onFrame(neighbour.peer, announce(list.name));
      if (asked(node).length === 0) continue;
      node.subject.onFrame(neighbour.peer, list.frame);
      taken += 1;
    }
    t.equal(taken, 10);
    node.env.advance(2_700);
    const [pull] = node.take('link-pull');
    t.equal(pull?.frame.names[0]?.sequence, 100);
  },
);

t.test('one neighbour is asked for so many lists at once, and answered so many', async t => {
  const node = flood();
  const [a, b] = node.neighbours as [Identity, Identity];
  const origins = Array.from({ length: 200 }, () => identity());
  const lists = origins.map(origin => signed(origin, 1));
  for (const { name } of lists) node.subject.onFrame(a.peer, announce(name));
  const more = Array.from({ length: 100 }, () => identity()).map(origin => signed(origin, 1).name);
  node.subject.onFrame(a.peer, announce(...more));
  const count = (): number => node.take('link-pull').reduce((sum, { frame }) => sum + frame.names.length, 0);
  t.equal(count(), 256);
  for (const { frame } of lists) node.subject.onFrame(a.peer, frame);
  node.env.advance(150);
  t.equal(count(), 44, 'the rest follows when answers came');
  const names = Array.from({ length: 256 }, () => lists[0]?.name as (typeof more)[number]);
  for (let i = 0; i < 40; i++) node.subject.onFrame(b.peer, { kind: 'link-pull', names });
  t.equal(node.take('link-state').length, 4_096);
});

t.test('a node that hears of a newer list of its own outbids it, though its clock went back', async t => {
  const node = flood();
  const [a] = node.neighbours as [Identity];
  node.subject.neighbourUp(a.peer);
  node.env.advance(50);
  const before = node.database.get(node.self.peer)?.epoch as number;
  const old = signed(node.self, 7, [], node.self, before + 86_400_000);
  node.subject.onFrame(a.peer, announce(old.name));
  node.subject.onFrame(a.peer, old.frame);
  node.env.advance(200);
  t.equal(node.database.get(node.self.peer)?.epoch, before + 86_400_001);
  t.equal(node.names(a, node.self), 2, 'and announces it');
});

t.test('with a store, the next run outbids the last one before it has heard of it', async t => {
  const records = new Map<string, Uint8Array>();
  const self = identity();
  const epochOf = (): number => {
    const node = flood({ self, store: memoryStore(records) });
    node.subject.edgesChanged();
    node.env.advance(50);
    return node.database.get(self.peer)?.epoch as number;
  };
  const first = epochOf();
  t.equal(epochOf(), first + 1, 'the clock stood still in between');
  t.equal(epochOf(), first + 2);
  for (const record of [new Uint8Array(3), new Uint8Array(8).fill(255), new Uint8Array(9)]) {
    records.set('link-state-epoch', record);
    t.equal(epochOf(), first, 'a record that is no epoch is as good as none');
  }
});

t.test('a burst of three lists, then one per five seconds, whatever happens', async t => {
  const node = flood();
  const sequence = (): number => node.database.get(node.self.peer)?.sequence ?? 0;
  for (let i = 0; i < 100; i++) {
    node.subject.edgesChanged();
    node.env.advance(10);
  }
  t.equal(sequence(), 3);
  for (let i = 0; i < 6_000; i++) {
    node.subject.edgesChanged();
    node.env.advance(10);
  }
  t.ok(sequence() >= 14 && sequence() <= 16, `${sequence()} in a minute`);
});

t.test('a cost that rises is told by one end, one that falls by whose claim is larger', async t => {
  const node = flood();
  const [a] = node.neighbours as [Identity];
  const [edge] = node.edges;
  const claims = (): number | undefined => node.database.claimMs(node.self.peer, a.peer);
  const tell = (costMs: number, sequence: number): void => {
    const list = signed(a, sequence, [{ peer: node.self.peer, costMs }]);
    node.subject.onFrame(a.peer, announce(list.name));
    node.subject.onFrame(a.peer, list.frame);
  };
  node.subject.edgesChanged();
  node.env.advance(100);
  node.edges[0] = { peer: a.peer, costMs: 11.9 };
  node.env.advance(5_000);
  t.equal(claims(), 10, 'less than 2 ms is nothing');
  tell(40, 1);
  node.edges[0] = { peer: a.peer, costMs: 41 };
  node.env.advance(5_000);
  t.equal(claims(), 10, 'the other end has said so');
  node.edges[0] = { peer: a.peer, costMs: 60 };
  node.env.advance(5_000);
  t.equal(claims(), 60, 'it has not said this');
  node.edges[0] = edge as Edge;
  node.env.advance(5_000);
  t.equal(claims(), 10, 'the larger claim is lowered first');
});

t.test('a refresh is announced together with others, later than a change, and nothing is computed', async t => {
  const node = flood();
  const [a, b] = node.neighbours as [Identity, Identity];
  const origins = [identity(), identity()] as const;
  const hear = (sequence: number, costMs: number): void => {
    for (const origin of origins) {
      const list = signed(origin, sequence, [{ peer: a.peer, costMs }]);
      node.subject.onFrame(a.peer, announce(list.name));
      node.subject.onFrame(a.peer, list.frame);
    }
  };
  hear(1, 10);
  node.env.advance(50);
  node.take('link-announce');
  const changes = node.changes();
  hear(2, 10.5);
  node.env.advance(200);
  t.same(node.take('link-announce'), []);
  node.env.advance(600);
  const frames = node.take('link-announce');
  t.same(
    frames.map(({ to, frame }) => [to, frame.names.length]),
    [[b.peer, 2]],
  );
  t.equal(node.changes(), changes);
  hear(3, 100);
  node.env.advance(50);
  t.equal(node.changes(), changes + 1);
});

t.test(
  'lists are refreshed within a minute, and forgotten when nobody refreshes them or their origin is revoked',
  async t => {
    const membership = new AllowList();
    const node = flood({ membership });
    const [a] = node.neighbours as [Identity];
    const [quiet, revoked] = [identity(), identity()];
    for (const { peer } of [...node.neighbours, node.self, quiet, revoked]) membership.allow(peer);
    for (const origin of [quiet, revoked]) {
      const list = signed(origin, 1);
      node.subject.onFrame(a.peer, announce(list.name));
      node.subject.onFrame(a.peer, list.frame);
    }
    node.subject.edgesChanged();
    node.env.advance(1_000);
    membership.revoke(revoked.peer);
    node.env.advance(1_100);
    t.equal(node.database.get(revoked.peer), undefined);
    t.ok(node.database.get(quiet.peer));
    node.env.advance(61_000);
    t.equal(node.database.get(node.self.peer)?.sequence, 2);
    node.env.advance(140_000);
    t.equal(node.database.get(quiet.peer), undefined);
    t.ok(node.database.get(node.self.peer));
  },
);

t.test('a list says what its node measured', async t => {
  const node = flood();
  const [a] = node.neighbours as [Identity];
  node.subject.edgesChanged();
  node.env.advance(100);
  node.subject.onFrame(a.peer, { kind: 'link-pull', names: [{ origin: node.self.peer, epoch: 0, sequence: 0 }] });
  const [answer] = node.take('link-state');
  t.same(decodeLinkState(answer?.frame.body as Uint8Array).edges, node.edges);
});
