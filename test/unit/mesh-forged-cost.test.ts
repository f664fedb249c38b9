import t from 'tap';
import type { Channel } from '../../lib/channel/index.js';
import { Identity } from '../../lib/identity/index.js';
import type { ForwardedFrame } from '../../lib/mesh/index.js';
import { decodeNeighbourFrame, encodeLinkState, encodeNeighbourFrame, isDataFrame } from '../../lib/wire/index.js';
import { type MeshHost, MeshWorld } from '../support/mesh-world.js';

const HONEST_DELAY_MS = 6;

/** Two ends over two honest relays, and numbered messages from one to the other. */
async function honestMesh() {
  const mesh = new MeshWorld({ link: { delayMs: HONEST_DELAY_MS } });
  const relays = ['r1', 'r2'].map(name => mesh.add(name, [], { relay: true }));
  const a = mesh.add('a', ['r1', 'r2']);
  const b = mesh.add('b', ['r1', 'r2']);
  await mesh.run(1_000);
  const latenciesMs: number[] = [];
  const sentAt: number[] = [];
  b.node.serve('numbers', (_from, bytes) => {
    const number = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
    latenciesMs[number] = mesh.world.scheduler.nowMs - (sentAt[number] ?? 0);
  });
  const send = async (count: number, everyMs: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const message = new Uint8Array(200);
      new DataView(message.buffer).setUint32(0, sentAt.length);
      sentAt.push(mesh.world.scheduler.nowMs);
      a.node.send(b.peer, 'numbers', message);
      await mesh.run(everyMs);
    }
  };
  return { mesh, relays, a, b, latenciesMs, sentAt, send };
}

const activeRoute = (a: MeshHost): readonly string[] =>
  a.node.routes().find(({ role }) => role === 'active')?.route ?? [];

t.test('members who list edges that they have not are nominated, and carry nothing', async t => {
  const { mesh, a, b, latenciesMs, send } = await honestMesh();
  await send(50, 10);
  const before = activeRoute(a);
  let data = 0;
  let setups = 0;
  const liars = ['a', 'b'].map((target, i) => {
    const secret = new Uint8Array(32).fill(71 + i);
    const seeds = { identity: secret, static: secret };
    const identity = new Identity({ crypto: mesh.crypto, seeds, networkId: 'test', now: mesh.unixMs('a') });
    mesh.membership.allow(identity.peer);
    return { target, identity };
  });
  for (const [i, { target, identity }] of liars.entries()) {
    const other = liars[1 - i]?.identity.peer as typeof a.peer;
    const edges = [
      { peer: mesh.host(target).peer, costMs: 0 },
      { peer: other, costMs: 0 },
    ];
    const body = encodeLinkState({ origin: identity.peer, epoch: 1, sequence: 1, relay: true, edges });
    const onMessage = (channel: Channel, message: Uint8Array): void => {
      if (isDataFrame(message)) {
        data += 1;
        return;
      }
      const { kind } = decodeNeighbourFrame(message);
      if (kind === 'path-setup') setups += 1;
      const signature = identity.sign('link-state', 1, body);
      if (kind === 'link-pull') channel.send(encodeNeighbourFrame({ kind: 'link-state', body, signature }));
    };
    const channel = await mesh.rawChannel(target, identity, opened => ({
      onMessage: message => onMessage(opened, message),
      onDrain: () => undefined,
      onClose: () => undefined,
    }));
    const names = [{ origin: identity.peer, epoch: 1, sequence: 1 }];
    channel.send(encodeNeighbourFrame({ kind: 'link-announce', names }));
  }
  await mesh.run(1_000);
  t.match(a.node.why(b.peer), liars[0]?.identity.peer.slice(0, 10), 'the forged route is a candidate');
  await send(300, 10);
  await mesh.run(2_000);
  t.ok(setups > 0, 'it was tried');
  t.equal(data, 0, 'no frame of data was given to it');
  t.same(activeRoute(a), before);
  t.equal(latenciesMs.filter(ms => ms > 0).length, 350);
  t.ok(Math.max(...latenciesMs.slice(50)) < 2 * HONEST_DELAY_MS + 10, 'nobody waited for it');
});

t.test(
  'a relay that is near by its list and slow with data stands by at most, and is measured by copies only',
  async t => {
    const { mesh, relays, a, b, latenciesMs, sentAt, send } = await honestMesh();
    await send(50, 10);
    t.same(relays.map(({ peer }) => peer).includes(activeRoute(a)[0] as typeof a.peer), true);
    for (const end of ['a', 'b']) {
      mesh.world.network.setLink('liar', end, { delayMs: 0.5 });
      mesh.world.network.setLink(end, 'liar', { delayMs: 0.5 });
    }
    const liar = mesh.add('liar', ['a', 'b'], { relay: true });
    let forwarded = 0;
    liar.onForward = (_frame: ForwardedFrame) => {
      forwarded += 1;
      return { delayMs: 30 };
    };
    await mesh.run(1_000);
    const [cheapest] = [...a.node.explain(b.peer).candidates].sort((x, y) => x.costMs - y.costMs);
    t.same(cheapest?.route, [liar.peer], 'it is the cheapest candidate');
    mesh.crash(activeRoute(a)[0] === relays[0]?.peer ? 'r2' : 'r1'); // there must be room for it among the paths
    for (let i = 0; i < 12; i++) {
      await send(50, 10);
      t.not(activeRoute(a)[0], liar.peer);
    }
    await mesh.run(1_000);
    t.equal(
      a.routeEvents.some(({ kind, to }) => kind === 'switch' && to?.includes(liar.peer)),
      false,
    );
    t.equal(latenciesMs.filter(ms => ms > 0).length, sentAt.length);
    t.ok(forwarded > 0, 'it was tried');
    t.ok(Math.max(...latenciesMs.slice(50)) < 2 * HONEST_DELAY_MS + 10, 'no message depended on it');
  },
);

t.test(
  'a new session whose first route was nominated by a forged cost races it as soon as another path is up',
  async t => {
    const mesh = new MeshWorld({ link: { delayMs: HONEST_DELAY_MS } });
    const setDelay = (one: string, other: string, delayMs: number): void => {
      mesh.world.network.setLink(one, other, { delayMs });
      mesh.world.network.setLink(other, one, { delayMs });
    };
    for (const [one, other] of [
      ['a', 'l1'],
      ['l1', 'l2'],
      ['l2', 'b'],
    ] as const) {
      setDelay(one, other, 0.5);
    }
    const liars = [mesh.add('l1', [], { relay: true }), mesh.add('l2', ['l1'], { relay: true })];
    for (const name of ['r1', 'r2']) mesh.add(name, [], { relay: true });
    const a = mesh.add('a', ['r1', 'r2', 'l1']);
    const b = mesh.add('b', ['r1', 'r2', 'l2']);
    await mesh.run(1_500);
    setDelay('l1', 'l2', 50); // from now on what they claim of their edge is not true
    let count = 0;
    b.node.serve('numbers', () => {
      count += 1;
    });
    for (let i = 0; i < 100; i++) {
      a.node.send(b.peer, 'numbers', new Uint8Array(100));
      await mesh.run(10);
    }
    t.same(
      a.routeEvents.map(({ kind, trigger }) => `${kind}: ${trigger}`),
      ['switch: first-path', 'switch: delay', 'quarantine: delay'],
    );
    t.same(
      a.routeEvents[1]?.from,
      liars.map(({ peer }) => peer),
    );
    t.same(activeRoute(a).length, 1);
    await mesh.run(500);
    t.equal(count, 100);
  },
);
