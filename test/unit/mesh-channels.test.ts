import t from 'tap';
import type { Channel } from '../../lib/channel/index.js';
import { type UnixMs, unixMs } from '../../lib/env.js';
import { Identity, KnownPeers, type PeerId } from '../../lib/identity/index.js';
import { LIMITS } from '../../lib/limits.js';
import { PeerChannels } from '../../lib/mesh/peer-channels.js';
import { manualEnv } from '../support/manual-env.js';
import { crypto, End, Net } from '../support/neighbour-ends.js';

const bytes = (value: number): Uint8Array => new Uint8Array(32).fill(value);

/** Two ends, `a` with the smaller PeerId. */
function twoEnds(seed: number): { readonly net: Net; readonly a: End; readonly b: End } {
  const net = new Net(seed);
  const [one, two] = [new End(net, 'one'), new End(net, 'two')];
  return one.peer < two.peer ? { net, a: one, b: two } : { net, a: two, b: one };
}

t.test(
  'both dial at once: one channel stays, of the smaller PeerId; no frame is lost, repeated or reordered',
  async t => {
    let handOvers = 0;
    for (let seed = 0; seed < 60; seed++) {
      const { net, a, b } = twoEnds(seed);
      const { world } = net;
      const rng = world.rng.fork('conditions');
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        const delayMs = rng.between(0.1, 60);
        world.network.setLink(from.name, to.name, { delayMs, jitterMs: rng.chance(0.5) ? rng.between(0.1, 20) : 0 });
        if (rng.chance(0.3)) world.network.setLink(from.name, to.name, { bytesPerMs: rng.between(100, 400) });
        from.admit = () => {
          const slowMs = rng.chance(0.5) ? rng.between(1, 600) : 0;
          return new Promise(resolve => from.machine.process?.env.clock.schedule(slowMs, () => resolve(true)));
        };
        world.scheduler.after(rng.between(0, 40), () => from.start([to]));
        for (let at = 0; at < 1_500; at += rng.between(0.2, 8)) {
          world.scheduler.after(at, () => from.send(to, 16 + rng.int(400)));
        }
      }
      await net.run(1_600, 4);
      net.world.scheduler.runFor(6_000);
      const [near, far] = [a.channelTo(b), b.channelTo(a)];
      t.same(b.received, a.sent, `seed ${seed}: from a to b`);
      t.same(a.received, b.sent, `seed ${seed}: from b to a`);
      t.ok(a.sent.length > 50 && b.sent.length > 50);
      t.same(near?.handshakeHash, far?.handshakeHash, 'both use the same channel');
      t.same([near?.closed, far?.closed], [false, false]);
      t.same([...a.ups, ...b.ups], ['up', 'up'], 'and nobody was ever without one');
      if (a.opened > 1 || b.opened > 1) {
        handOvers += 1;
        t.equal(near?.role, 'initiator', 'the smaller PeerId dialled it');
      }
    }
    t.ok(handOvers > 40, `${handOvers} times there were two`);
  },
);

t.test('a peer that lost its channel dials anew: the newer stays, and both take the older for lost', async t => {
  const { net, a, b } = twoEnds(1);
  // The larger PeerId dials, and its channel replaces that of the smaller all the same.
  a.start([b]);
  b.start([a]);
  await net.run(8_000);
  t.same([a.channelTo(b)?.role, b.channelTo(a)?.role], ['initiator', 'responder']);
  const first = a.channelTo(b)?.handshakeHash;
  b.channelTo(a)?.destroy();
  net.world.network.partitionOneWay([b.name], [a.name]); // a hears nothing of it
  net.world.scheduler.runFor(50);
  net.transports.silence(a.name, b.name);
  net.world.network.heal();
  await net.run(8_000);
  t.notSame(a.channelTo(b)?.handshakeHash, first);
  t.same(a.channelTo(b)?.handshakeHash, b.channelTo(a)?.handshakeHash);
  t.same(
    a.ups.map(up => up.split(' ')[0]),
    ['up', 'down', 'up'],
  );
  t.same(b.ups, ['up', 'down CHANNEL_CLOSED', 'up']);
});

t.test(
  'a newer run of the peer replaces the channel of the dead one at once; an older run does not come back',
  async t => {
    const { net, a, b } = twoEnds(2);
    a.start();
    b.start([a]);
    await net.run(8_000);
    net.world.network.setLink(b.name, a.name, { delayMs: 5 });
    b.machine.stop();
    net.transports.silence(a.name, b.name); // no reset reaches a
    b.start([a]);
    await net.run(100);
    t.same(a.ups, ['up', 'down CHANNEL_CLOSED', 'up'], 'long before the old channel times out');
    t.ok(b.send(a));
    await net.run(100);
    t.same(a.received, [0]);
  },
);

t.test('a peer that opens channel after channel and confirms none has eight at most', async t => {
  const env = manualEnv();
  const ignore = (): void => undefined;
  const host = { onUp: ignore, onDown: ignore, onMessage: ignore, onDrain: ignore, onEmpty: ignore };
  const channels = new PeerChannels('hf1a' as PeerId, 'hf1b' as PeerId, env.clock, host);
  const hello = { startedAtUnixMs: 1, runId: new Uint8Array(8), losses: 0, capabilities: new Uint8Array(0) };
  let closed = 0;
  for (let i = 0; i < 20; i++) {
    const channel = {
      role: 'responder',
      handshakeHash: bytes(i),
      confirmed: false,
      ending: false,
      close: () => {
        closed += 1;
      },
    };
    for (const name of ['attach', 'pause', 'resume', 'holdMessages', 'releaseMessages']) {
      Object.assign(channel, { [name]: ignore });
    }
    channels.adopt(channel as unknown as Channel, 0, hello);
  }
  t.equal(closed, 20 - LIMITS.maxChannelsPerPeer);
});

t.test('a node with many addresses gets one channel', async t => {
  const { net, a, b } = twoEnds(7);
  b.start();
  a.start(new Array(12).fill(b.address));
  for (let at = 0; at < 500; at += 1) net.world.scheduler.after(at, () => a.send(b) && b.send(a));
  await net.run(600);
  t.equal(b.opened, 12);
  t.same(b.received, a.sent);
  t.same(a.received, b.sent);
  t.ok(a.sent.length > 400);
  t.same(a.channelTo(b)?.handshakeHash, b.channelTo(a)?.handshakeHash);
  t.same([...a.ups, ...b.ups], ['up', 'up']);
  t.same(new Set(a.neighbours?.connections.map(({ state }) => state)), new Set(['connected']));
  await net.run(60_000);
  t.equal(b.opened, 12, 'nobody dials again');
});

t.test('a refused, a lost and a dead address are retried, and each step is told with cause and next try', async t => {
  const { net, a, b } = twoEnds(3);
  a.start([b]);
  await net.run(20);
  const [dialled, failed] = a.events;
  t.match(dialled, { state: 'connecting', address: b.address, peer: b.peer, failures: 0 });
  t.match(failed, { state: 'waiting', cause: { code: 'DIAL_FAILED' }, failures: 1 });
  t.ok((failed?.nextTryInMs ?? 1e9) < 250, 'nobody was there yet: soon');
  t.equal(failed?.nextTryAtMs, (failed?.atMs ?? 0) + (failed?.nextTryInMs ?? 0));
  b.start();
  await net.run(36_000);
  t.equal(a.states.at(-1), 'connected');
  t.match(a.neighbours?.connections, [{ state: 'connected', address: b.address, peer: b.peer }]);
  t.notOk(a.neighbours?.connections[0]?.cause);

  a.events.length = 0;
  net.transports.silence(a.name, b.name);
  b.machine.crash();
  await net.run(21_000);
  t.match(a.states[0], /^waiting (TIMEOUT|CHANNEL_TRUNCATED)$/);
  t.ok((a.events[0]?.nextTryInMs ?? 1e9) < 5_000, 'spread over five seconds');
  await net.run(120_000);
  const waits = a.events.filter(({ state }) => state === 'waiting').map(({ nextTryInMs = 0 }) => nextTryInMs);
  t.ok(Math.max(...waits) > 10_000, 'it waits longer and longer');
  t.ok(Math.max(...waits) <= 30_000, 'thirty seconds at most');
  t.ok(waits.length < 14);

  a.events.length = 0;
  a.membership.revoke(a.peer);
  b.start();
  await net.run(40_000);
  t.ok(a.states.includes('refused NOT_ADMITTED'), a.states.join());
  t.match(a.neighbours?.connections, [{ state: 'refused', cause: { code: 'NOT_ADMITTED' } }]);
  a.membership.allow(a.peer);
  await net.run(35_000);
  t.equal(a.states.at(-1), 'connected', 'it was tried all the same');
});

t.test('a known peer is dialled with IK; when that fails XX follows at once on a new connection', async t => {
  const { net, a, b } = twoEnds(4);
  a.start([b]);
  b.start();
  await net.run(1_000);
  t.same(b.patterns, ['XX']);
  a.channelTo(b)?.destroy();
  await net.run(6_000);
  t.same(b.patterns, ['XX', 'IK']);
  t.same(a.received, []);
  t.ok(a.send(b));
  await net.run(100);
  t.same(b.received, [0]);

  // The same identity with another static key.
  b.machine.crash();
  b.identity = b.identityWithNewStaticKey();
  b.start();
  a.events.length = 0;
  await net.run(30_000);
  t.equal(a.states.at(-1), 'connected');
  t.same(b.patterns.slice(2), ['IK', 'XX']);
  const connecting = a.states.filter(state => state === 'connecting').length;
  t.equal(connecting, 1, 'one try: the failure of IK did not count');
});

t.test('the newest certificate is learned from a key refresh of a channel that stays', async t => {
  const { net, a, b } = twoEnds(4);
  a.start([b]);
  b.start();
  await net.run(1_000);
  const first = b.identity.certificate;
  a.knownPeers.requireNewest(first, unixMs(first.epoch));
  b.identity.renew(unixMs(first.epoch + 1_000));
  await net.run(LIMITS.keyRefreshIntervalMs + 5_000);
  t.equal(a.states.filter(state => state === 'connected').length, 1, 'the channel stayed');
  t.throws(() => a.knownPeers.requireNewest(first, unixMs(first.epoch)), { code: 'CERTIFICATE_SUPERSEDED' });
});

t.test('a known peer that closes without a word is not dialled again at once', async t => {
  const { net, a, b } = twoEnds(8);
  a.start([b]);
  b.start();
  await net.run(1_000);
  b.isBusy = true;
  a.events.length = 0;
  a.channelTo(b)?.destroy();
  await net.run(6_000);
  t.match(a.states.slice(0, 3), ['waiting CHANNEL_CLOSED', 'connecting', 'waiting HANDSHAKE_FAILED']);
  t.equal(b.turnedAway, a.states.filter(state => state === 'connecting').length, 'one connection each try');
  b.isBusy = false;
  await net.run(30_000);
  t.same(b.patterns, ['XX', 'XX'], 'and it is asked for its key then');
});

t.test('an expired or superseded certificate gives no IK', t => {
  const known = new KnownPeers();
  const now = (days: number): UnixMs => unixMs(1e12 + days * 86_400_000);
  const identity = (days: number): Identity =>
    new Identity({ crypto, seeds: { identity: bytes(1), static: bytes(2) }, networkId: 'x', now: now(days) });
  const { peer, certificate } = identity(0);
  t.equal(known.staticKey(peer, now(0)), undefined);
  known.remember(certificate, now(0));
  t.same(known.staticKey(peer, now(6.9)), certificate.staticKey);
  t.equal(known.staticKey(peer, now(7.01)), undefined, 'expired');
  known.distrustKey(peer);
  t.equal(known.staticKey(peer, now(1)), undefined, 'it failed');
  known.remember(identity(1).certificate, now(1));
  t.ok(known.staticKey(peer, now(1)), 'seen again');
  t.throws(() => known.requireNewest(certificate, now(1)), { code: 'CERTIFICATE_SUPERSEDED' });
  known.remember(certificate, now(1));
  t.throws(
    () => known.requireNewest(certificate, now(1)),
    { code: 'CERTIFICATE_SUPERSEDED' },
    'the older changes nothing',
  );
  known.requireNewest(identity(1).certificate, now(1));
  known.requireNewest(certificate, now(9));
  t.equal(known.size, 0, 'forgotten when the older one has long expired');
  for (let i = 0; i <= LIMITS.maxKnownPeers; i++) known.remember({ ...certificate, peer: `${i}` as PeerId }, now(0));
  t.equal(known.size, LIMITS.maxKnownPeers);
  t.equal(known.staticKey('0' as PeerId, now(0)), undefined, 'the oldest is forgotten');
  t.end();
});

t.test('the certificate of the highest epoch wins; a renewal leaves channels alone', async t => {
  const { net, a, b } = twoEnds(5);
  a.start([b]);
  b.start();
  await net.run(1_000);
  const before = a.channelTo(b);
  b.identity.renew(unixMs(b.identity.certificate.notBefore + 5_000));
  await net.run(2_000);
  t.equal(a.channelTo(b), before);
  t.notOk(before?.closed);
  a.channelTo(b)?.destroy();
  await net.run(6_000);
  t.equal(a.channelTo(b)?.certificate.epoch, b.identity.certificate.epoch, 'a saw the renewed one');
  b.machine.crash();
  b.identity = b.identityAged(1_000);
  a.events.length = 0;
  b.start();
  await net.run(40_000);
  t.ok(a.states.includes('refused CERTIFICATE_SUPERSEDED'), a.states.join());
  t.equal(a.channelTo(b), undefined);
});

t.test('a revocation closes the channel within a second, at both ends, and says why', async t => {
  const { net, a, b } = twoEnds(6);
  a.start([b]);
  b.start();
  await net.run(1_000);
  a.membership.revoke(b.peer);
  await net.run(1_000);
  t.same(
    [a.ups, b.ups],
    [
      ['up', 'down NOT_ADMITTED'],
      ['up', 'down NOT_ADMITTED'],
    ],
  );
});
