/** Publish/subscribe between honest peers: trees, fills, keys, runs (overlay.md point 19). */
import t from 'tap';
import type { PeerId } from '../../lib/identity/index.js';
import { gapsOf, numbersOf, PubSubWorld, type PubSubWorldOptions, upTo } from '../support/pubsub-world.js';

async function scene(subscribers: number, options: PubSubWorldOptions = {}) {
  const world = new PubSubWorld(options);
  const publisher = world.add('publisher');
  const hosts = Array.from({ length: subscribers }, (_, i) => world.add(`s${i}`));
  await world.run(50);
  const topic = `${publisher.peer}/book`;
  const subscriptions = hosts.map(host => world.subscribe(host, topic));
  await world.run(50);
  return { world, publisher, hosts, topic, subscriptions };
}

/** What the publisher told: who forwards to whom. */
const treeOf = (publisher: {
  sent: readonly { to: PeerId; message: { kind: string } }[];
}): Map<PeerId, PeerId | undefined> => {
  const parents = new Map<PeerId, PeerId | undefined>();
  for (const { to, message } of publisher.sent) {
    if (message.kind === 'subscribed') parents.set(to, (message as unknown as { parent: PeerId | undefined }).parent);
  }
  return parents;
};

t.test(
  'everybody gets every publication once and in order, though no node sends a flush to more than the fan-out',
  async t => {
    const { world, publisher, hosts, subscriptions } = await scene(14, { publisher: { publicationFanOut: 2 } });
    await world.publish(publisher, 'book', 1, 40);
    await world.run(200);
    for (const subscription of subscriptions) t.same(numbersOf(subscription), upTo(40));
    t.ok(
      subscriptions.every(subscription => gapsOf(subscription).length === 0),
      'nothing was missed on the way',
    );
    for (const { name, sent } of [publisher, ...hosts]) {
      const receivers = new Set(sent.filter(({ message }) => message.kind === 'flush').map(({ to }) => to));
      t.ok(receivers.size <= 2, `${name} sends to ${receivers.size}`);
    }
  },
);

t.test('a forwarder that drops everything is left within 8 RTT; nothing is lost, and the order is kept', async t => {
  const { world, publisher, hosts, subscriptions } = await scene(6, { publisher: { publicationFanOut: 2 } });
  const children = (peer: PeerId) =>
    [...treeOf(publisher)].filter(([, parent]) => parent === peer).map(([child]) => child);
  await world.publish(publisher, 'book', 1, 60);
  const bad = hosts.find(({ peer }) => children(peer).length === 2);
  const victims = children(bad?.peer as PeerId);
  if (bad !== undefined) bad.onSend = (_to, { kind }) => kind !== 'flush';
  const since = world.world.scheduler.nowMs;
  await world.publish(publisher, 'book', 61, 160);
  await world.run(500);
  for (const subscription of subscriptions) t.same(numbersOf(subscription), upTo(160));
  for (const victim of victims) {
    const moved = publisher.sent.find(
      ({ to, message, atMs }) => to === victim && message.kind === 'subscribed' && atMs > since,
    );
    t.ok(moved && moved.atMs - since <= 80, `moved after ${moved && moved.atMs - since} ms`);
  }
  t.same(children(bad?.peer as PeerId), [], 'it serves nobody any more');
});

t.test('whoever is the only one that its forwarder drops for gets another, and the others stay', async t => {
  const { world, publisher, hosts, subscriptions } = await scene(6, { publisher: { publicationFanOut: 2 } });
  await world.publish(publisher, 'book', 1, 60);
  const before = treeOf(publisher);
  const [victim, parent] = [...before].find(([, of]) => of !== undefined) as [PeerId, PeerId];
  const bad = hosts.find(({ peer }) => peer === parent);
  if (bad !== undefined) bad.onSend = (to, { kind }) => kind !== 'flush' || to !== victim;
  await world.publish(publisher, 'book', 61, 160);
  await world.run(500);
  for (const subscription of subscriptions) t.same(numbersOf(subscription), upTo(160));
  const after = treeOf(publisher);
  t.not(after.get(victim), parent, 'the victim has another forwarder');
  for (const [peer, of] of before) if (peer !== victim) t.equal(after.get(peer), of, 'all others have the same');
});

t.test('a forwarder that dies, and one that becomes slow, are left too', async t => {
  for (const fault of ['dies', 'slow'] as const) {
    const { world, publisher, hosts, subscriptions } = await scene(6, { publisher: { publicationFanOut: 2 } });
    const children = (peer: PeerId) => [...treeOf(publisher)].filter(([, parent]) => parent === peer);
    await world.publish(publisher, 'book', 1, 60);
    const bad = hosts.findIndex(({ peer }) => children(peer).length === 2);
    if (fault === 'dies') world.crash(`s${bad}`);
    else
      for (const [child] of children(hosts[bad]?.peer as PeerId)) {
        const name = hosts.find(({ peer }) => peer === child)?.name ?? '';
        world.world.network.setLink(`s${bad}`, name, { delayMs: 400 });
      }
    await world.publish(publisher, 'book', 61, 200);
    await world.run(1_000);
    for (const [i, subscription] of subscriptions.entries()) {
      if (fault === 'dies' && i === bad) continue;
      t.same(numbersOf(subscription), upTo(200), `${fault}: s${i}`);
    }
    t.same(children(hosts[bad]?.peer as PeerId), [], `${fault}: it serves nobody any more`);
  }
});

t.test('a forwarder is chosen by region first, then by the order of its depth', async t => {
  const world = new PubSubWorld({ publisher: { publicationFanOut: 2 } });
  const publisher = world.add('publisher');
  const regions = ['east', 'west', 'west', 'east', 'west'];
  const hosts = regions.map((region, i) => world.add(`s${i}`, { region }));
  await world.run(50);
  for (const host of hosts) {
    world.subscribe(host, `${publisher.peer}/book`);
    publisher.pubsub.publisher.openTopic('book');
    await world.run(30);
  }
  const parents = treeOf(publisher);
  const nameOf = (peer: PeerId | undefined) => hosts.find(host => host.peer === peer)?.name;
  t.same(
    hosts.map(({ peer }) => nameOf(parents.get(peer))),
    [undefined, undefined, 's1', 's0', 's1'],
  );
});

t.test('what was published before is filled from history; an alias of the roster names the topic', async t => {
  const { world, publisher, hosts, topic } = await scene(1);
  world.aliases.set('book', topic);
  await world.publish(publisher, 'book', 1, 30);
  const late = world.add('late');
  await world.run(50);
  const epoch = publisher.sent.find(({ message }) => message.kind === 'subscribed')?.message as unknown as {
    epoch: number;
  };
  const subscription = world.subscribe(late, 'book', { from: { epoch: epoch.epoch, sequence: 11 } });
  await world.run(100);
  t.match(subscription.got[0], { kind: 'gap', from: 11, to: 30, recovered: true });
  t.same(numbersOf(subscription), upTo(30, 11));
  t.throws(() => world.subscribe(hosts[0] as (typeof hosts)[0], 'unknown'), { code: 'INVALID_ARGUMENT' });
  t.throws(() => world.subscribe(publisher, topic), { code: 'INVALID_ARGUMENT' }, 'a topic of its own');
  t.throws(() => world.subscribe(late, topic), { code: 'INVALID_ARGUMENT' }, 'the alias is the topic');
});

t.test('what the publisher forgot comes from another subscriber; what nobody holds is said to be lost', async t => {
  const options = { publisher: { publicationHistory: 10 } };
  const { world, publisher, hosts, topic, subscriptions } = await scene(2, options);
  await world.publish(publisher, 'book', 1, 40);
  const epoch = (subscriptions[0]?.got[0]?.epoch ?? 0) as number;
  const late = world.add('late');
  await world.run(50);
  const subscription = world.subscribe(late, topic, { from: { epoch, sequence: 5 } });
  await world.run(3_000);
  t.same(numbersOf(subscription), upTo(40, 5), 'publications 5 to 30 came from who had them');
  t.ok(hosts.some(({ sent }) => sent.some(({ to, message }) => to === late.peer && message.kind === 'flush')));

  const bare = new PubSubWorld(options);
  const alone = bare.add('publisher');
  const reader = bare.add('reader');
  await bare.publish(alone, 'book', 1, 40);
  const run = alone.pubsub.publisher.publish('book', Uint8Array.of(0, 41)).epoch;
  const lost = bare.subscribe(reader, `${alone.peer}/book`, { from: { epoch: run, sequence: 5 } });
  await bare.run(3_000);
  t.same(numbersOf(lost), upTo(41, 32));
  t.same(gapsOf(lost).at(-1), { kind: 'gap', epoch: run, from: 5, to: 31, recovered: false });
});

t.test('a run that ended is filled by those who got more of it, and its end is told', async t => {
  const { world, publisher, hosts, topic, subscriptions } = await scene(2);
  const [a, b] = subscriptions;
  await world.publish(publisher, 'book', 1, 10);
  // The second misses the last flushes of the run.
  publisher.onSend = (to, { kind }) => kind !== 'flush' || to !== hosts[1]?.peer;
  await world.publish(publisher, 'book', 11, 20, 1);
  world.crash('publisher');
  await world.run(100);
  publisher.onSend = () => true;
  world.start('publisher');
  await world.run(2_000);
  await world.publish(publisher, 'book', 21, 25);
  await world.run(2_000);
  for (const subscription of [a, b]) {
    t.same(subscription && numbersOf(subscription), upTo(25), 'nothing is lost');
    t.match(subscription && gapsOf(subscription).filter(gap => gap.kind === 'gap' && !gap.recovered), [
      { from: 21, to: undefined },
    ]);
  }
  t.ok(topic);
});

t.test('a publisher whose clock went back is heard by those who hold a position of its newer run', async t => {
  const { world, publisher, subscriptions } = await scene(1);
  await world.publish(publisher, 'book', 1, 5);
  world.crash('publisher');
  world.world.machine('publisher')?.jumpClock(-3_600_000);
  world.start('publisher');
  await world.run(6_000);
  await world.publish(publisher, 'book', 6, 9);
  await world.run(2_000);
  const [subscription] = subscriptions;
  t.same(subscription && numbersOf(subscription), upTo(9));
  const epochs = subscription?.got.flatMap(event => (event.kind === 'message' ? [event.epoch] : [])) ?? [];
  t.ok((epochs.at(-1) ?? 0) < (epochs[0] ?? 0), 'the epoch is lower');
});

t.test('whoever is removed reads nothing that follows, the others go on under another key', async t => {
  const { world, publisher, hosts, subscriptions } = await scene(3, { realCrypto: true });
  await world.publish(publisher, 'book', 1, 3);
  const [first] = hosts;
  t.equal(publisher.pubsub.publisher.removeSubscriber('book', first?.peer as PeerId), true);
  await world.publish(publisher, 'book', 4, 6);
  await world.run(50);
  t.same(subscriptions[0] && numbersOf(subscriptions[0]), upTo(3));
  t.match(subscriptions[0]?.error, { code: 'SUBSCRIPTION_REFUSED', retryable: false });
  for (const subscription of subscriptions.slice(1)) t.same(numbersOf(subscription), upTo(6));
  const keysOf = (peer: PeerId | undefined) =>
    publisher.sent.flatMap(({ to, message }) => (to === peer && message.kind === 'key' ? [message.id] : []));
  const used = publisher.sent.flatMap(({ message }) => (message.kind === 'flush' ? [message.keyId] : []));
  t.notOk(keysOf(first?.peer).includes(used.at(-1) ?? 0), 'the key of what follows was never handed to it');
  t.ok(keysOf(hosts[1]?.peer).includes(used.at(-1) ?? 0));
  t.equal(publisher.pubsub.publisher.removeSubscriber('book', first?.peer as PeerId), false, 'it is gone already');
});

t.test('whoever comes and goes cannot make the key change more often than once in a second', async t => {
  const { world, publisher, hosts, topic } = await scene(2);
  for (let i = 0; i < 50; i++) {
    const visit = world.subscribe(world.add(`v${i}`), topic);
    await world.run(15);
    publisher.pubsub.publisher.publish('book', Uint8Array.of(0, i));
    visit.abort.abort();
    await world.run(5);
  }
  const keys = publisher.sent.filter(({ to, message }) => to === hosts[0]?.peer && message.kind === 'key');
  t.ok(keys.length <= 3, `${keys.length} keys in a second`);
});

t.test('the application decides who may have a topic; an answer that does not come is a refusal', async t => {
  const answers: Record<string, () => boolean | Promise<boolean>> = {
    yes: () => Promise.resolve(true),
    no: () => false,
    throws: () => {
      throw new Error('a mistake of the application');
    },
    rejects: () => Promise.reject(new Error('not today')),
    silent: () => new Promise(() => undefined),
  };
  let calls = 0;
  const admitSubscriber = (_peer: PeerId, name: string): boolean | Promise<boolean> => {
    calls += 1;
    return answers[name]?.() ?? false;
  };
  const world = new PubSubWorld({ publisher: { admitSubscriber } });
  const [publisher, reader] = [world.add('publisher'), world.add('reader')];
  const names = Object.keys(answers);
  await world.run(50);
  for (const name of names) publisher.pubsub.publisher.openTopic(name);
  const subscriptions = names.map(name => world.subscribe(reader, `${publisher.peer}/${name}`));
  await world.run(100);
  for (const name of names) publisher.pubsub.publisher.publish(name, Uint8Array.of(0, 1));
  await world.run(6_000, 10);
  t.same(
    subscriptions.map(subscription => subscription.error?.code ?? numbersOf(subscription)),
    [[1], ...names.slice(1).map(() => 'SUBSCRIPTION_REFUSED')],
  );
  t.equal(calls, names.length, 'each is asked about once');
});
