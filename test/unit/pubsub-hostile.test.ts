/** Publish/subscribe with hostile subscribers, forwarders, fillers and publishers (overlay.md point 19). */
import t from 'tap';
import type { PeerId } from '../../lib/identity/index.js';
import { LIMITS } from '../../lib/limits.js';
import {
  encodeContent,
  encodeFlush,
  encodeFlushHeader,
  encodePubSub,
  flushNonce,
  flushSigningBody,
} from '../../lib/wire/index.js';
import { gapsOf, numbersOf, PubSubWorld, type RawPeer, upTo } from '../support/pubsub-world.js';

const KEY = new Uint8Array(32).fill(7);

/** A flush as a publisher would send it, or somebody who would like to be one. */
function flushOf(
  world: PubSubWorld,
  signer: RawPeer,
  publisher: PeerId,
  first: number,
  messages: Uint8Array[],
): Uint8Array {
  const header = encodeFlushHeader({ publisher, name: 'book', epoch: 9, first, count: messages.length, keyId: 1 });
  const sealed = world.crypto.aead('ChaChaPoly').key(KEY).seal(flushNonce(first), header, encodeContent(messages));
  const body = flushSigningBody(header, world.crypto.hash('SHA256').digest(sealed));
  return encodeFlush(header, signer.identity.sign('publication', 9, body), sealed);
}

/** A publisher that the test plays, with one subscriber of the shipping kind. */
async function played() {
  const world = new PubSubWorld();
  const publisher = world.raw('publisher');
  const other = world.raw('other');
  const reader = world.add('reader');
  await world.run(50);
  const topic = { publisher: publisher.peer, name: 'book' };
  const subscription = world.subscribe(reader, `${publisher.peer}/book`);
  const tell = (fields: object) =>
    publisher.send(reader.peer, encodePubSub({ ...topic, epoch: 9, ...fields } as never));
  tell({ kind: 'key', id: 1, aead: 'ChaChaPoly', key: KEY });
  return { world, publisher, other, reader, topic, subscription, tell };
}

t.test(
  'a forwarder forges nothing: what another key signed, or was altered, is not delivered and is asked for',
  async t => {
    const { world, publisher, other, reader, subscription, tell } = await played();
    tell({ kind: 'subscribed', next: 1, parent: other.peer, helpers: [] });
    await world.run(20);
    other.send(reader.peer, flushOf(world, other, publisher.peer, 1, [Uint8Array.of(0, 66)]));
    const altered = flushOf(world, publisher, publisher.peer, 1, [Uint8Array.of(0, 66)]);
    altered[altered.length - 20] = (altered[altered.length - 20] as number) ^ 1;
    other.send(reader.peer, altered);
    tell({ kind: 'announce', next: 2 });
    await world.run(200);
    t.same(
      subscription.got.filter(({ kind }) => kind === 'message'),
      [],
    );
    t.match(publisher.received.map(({ message }) => message).filter(({ kind }) => kind === 'fill')[0], {
      late: true,
      from: 1,
      to: 1,
    });
    publisher.send(reader.peer, flushOf(world, publisher, publisher.peer, 1, [Uint8Array.of(0, 1)]));
    await world.run(50);
    t.same(numbersOf(subscription), [1]);
  },
);

t.test(
  'what others than the publisher say of a topic is not heard; flushes of strangers cost no signature check',
  async t => {
    const { world, publisher, other, reader, topic, subscription, tell } = await played();
    tell({ kind: 'subscribed', next: 1, parent: undefined, helpers: [] });
    await world.run(20);
    const say = (fields: object) => other.send(reader.peer, encodePubSub({ ...topic, epoch: 9, ...fields } as never));
    say({ kind: 'subscribed', epoch: 99, next: 50, parent: other.peer, helpers: [] });
    say({ kind: 'announce', next: 50 });
    say({ kind: 'key', id: 1, aead: 'ChaChaPoly', key: new Uint8Array(32) });
    say({ kind: 'forward', children: [publisher.peer] });
    say({ kind: 'refused', reason: 'removed' });
    say({ kind: 'unavailable', from: 1, to: 1_000 });
    let checks = 0;
    const { verify } = world.crypto;
    world.crypto.verify = (...args) => {
      checks += 1;
      return verify(...args);
    };
    other.send(reader.peer, flushOf(world, publisher, publisher.peer, 1, [Uint8Array.of(0, 1)]));
    await world.run(50);
    world.crypto.verify = verify;
    t.equal(checks, 0);
    t.same(subscription.got, []);
    publisher.send(reader.peer, flushOf(world, publisher, publisher.peer, 1, [Uint8Array.of(0, 1)]));
    await world.run(50);
    t.same(numbersOf(subscription), [1], 'the subscription goes on as it was');
  },
);

t.test(
  'a publisher that seals what does not open, or holds back a key, stops nothing but its own publication',
  async t => {
    const { world, publisher, reader, subscription, tell } = await played();
    tell({ kind: 'subscribed', next: 1, parent: undefined, helpers: [] });
    const bad = encodeFlushHeader({ publisher: publisher.peer, name: 'book', epoch: 9, first: 1, count: 2, keyId: 1 });
    const junk = new Uint8Array(40);
    const body = flushSigningBody(bad, world.crypto.hash('SHA256').digest(junk));
    publisher.send(reader.peer, encodeFlush(bad, publisher.identity.sign('publication', 9, body), junk));
    publisher.send(reader.peer, flushOf(world, publisher, publisher.peer, 3, [Uint8Array.of(0, 3)]));
    await world.run(50);
    t.same(gapsOf(subscription), [{ kind: 'gap', epoch: 9, from: 1, to: 2, recovered: false }]);
    t.same(numbersOf(subscription), [3]);
  },
);

t.test('announcements and flushes far ahead make a subscriber keep and ask for no more than the bounds', async t => {
  const { world, publisher, reader, subscription, tell } = await played();
  tell({ kind: 'subscribed', next: 1, parent: undefined, helpers: [] });
  const message = new Uint8Array(400_000);
  for (let i = 0; i < 60; i++)
    publisher.send(reader.peer, flushOf(world, publisher, publisher.peer, 10 + 2 * i, [message]));
  await world.run(500);
  const asked = publisher.received.filter(({ message: { kind } }) => kind === 'fill').length;
  t.ok(asked <= LIMITS.maxEarlyPublicationBytes / 400_000 + 5, `${asked} questions`);
  tell({ kind: 'announce', next: 2 ** 50 });
  await world.run(500);
  t.same(numbersOf(subscription), []);
});

t.test(
  'subscribers cannot make topics: what nobody opened waits, bounded per peer, and is told once it exists',
  async t => {
    const world = new PubSubWorld();
    const publisher = world.add('publisher');
    const greedy = world.raw('greedy');
    const reader = world.add('reader');
    await world.run(50);
    for (let i = 0; i < 2_000; i++) {
      const request = { kind: 'subscribe', publisher: publisher.peer, name: `t${i}`, from: undefined } as const;
      greedy.send(publisher.peer, encodePubSub(request));
    }
    await world.run(50);
    const refused = greedy.received.filter(({ message }) => message.kind === 'refused');
    t.equal(refused.length, 2_000 - LIMITS.maxPendingSubscriptionsPerPeer);
    const subscription = world.subscribe(reader, `${publisher.peer}/real`);
    await world.run(50);
    for (let i = 0; i < LIMITS.maxTopics - 1; i++) publisher.pubsub.publisher.openTopic(`own${i}`);
    publisher.pubsub.publisher.publish('real', Uint8Array.of(0, 1));
    t.throws(() => publisher.pubsub.publisher.openTopic('one too many'), { code: 'INVALID_ARGUMENT' });
    await world.run(50);
    t.same(numbersOf(subscription), [1], 'whoever waited for it has it from its first publication');
  },
);

t.test('one peer cannot make a node send history without end, nor can whoever is not subscribed', async t => {
  const world = new PubSubWorld();
  const publisher = world.add('publisher');
  const greedy = world.raw('greedy');
  const stranger = world.raw('stranger');
  await world.run(50);
  const { epoch } = publisher.pubsub.publisher.publish('book', new Uint8Array(400_000));
  for (let i = 0; i < 20; i++) {
    publisher.pubsub.publisher.publish('book', new Uint8Array(400_000));
    await world.run(5);
  }
  const topic = { publisher: publisher.peer, name: 'book' };
  greedy.send(publisher.peer, encodePubSub({ kind: 'subscribe', ...topic, from: undefined }));
  for (let i = 0; i < 100; i++) {
    const fill = encodePubSub({ kind: 'fill', ...topic, late: false, epoch, from: 1, to: 2 ** 40 });
    greedy.send(publisher.peer, fill);
    stranger.send(publisher.peer, fill);
    await world.run(10);
  }
  const bytes = greedy.received.reduce(
    (sum, { message }) => sum + (message.kind === 'flush' ? message.encoded.length : 0),
    0,
  );
  t.ok(bytes > 0 && bytes <= LIMITS.fillBurstBytes + 1.5 * LIMITS.fillBytesPerSecond, `${bytes} bytes`);
  t.same(stranger.received, []);
});

t.test('one liar among the subscribers moves itself and nobody else', async t => {
  const world = new PubSubWorld({ publisher: { publicationFanOut: 2 } });
  const publisher = world.add('publisher');
  const hosts = ['a', 'b', 'c', 'd', 'e'].map(name => world.add(name));
  const liar = world.raw('liar');
  await world.run(50);
  const topic = { publisher: publisher.peer, name: 'book' };
  publisher.pubsub.publisher.openTopic('book');
  const subscriptions = hosts.map(host => world.subscribe(host, `${publisher.peer}/book`));
  liar.send(publisher.peer, encodePubSub({ kind: 'subscribe', ...topic, from: undefined }));
  await world.run(50);
  await world.publish(publisher, 'book', 1, 5);
  const { epoch } = publisher.pubsub.publisher.publish('book', Uint8Array.of(0, 6));
  const moved = () =>
    publisher.sent.filter(({ to, message }) => message.kind === 'subscribed' && to !== liar.peer).length;
  await world.run(50);
  const before = moved();
  for (let i = 0; i < 20; i++) {
    liar.send(publisher.peer, encodePubSub({ kind: 'fill', ...topic, late: true, epoch, from: 1, to: 1 }));
    await world.run(200);
  }
  t.equal(moved(), before, 'nobody else got another forwarder');
  await world.publish(publisher, 'book', 7, 20);
  await world.run(200);
  for (const subscription of subscriptions) t.same(numbersOf(subscription), upTo(20));
});

t.test('a reader that does not read is told what it lost, with the next that it reads', async t => {
  const world = new PubSubWorld();
  const [publisher, reader] = [world.add('publisher'), world.add('reader')];
  await world.run(50);
  const publications = reader.pubsub.subscriber.subscribe(`${publisher.peer}/book`, {});
  await world.run(50);
  const fits = LIMITS.maxUnreadPublications;
  for (let i = 1; i <= fits + 10; i++) {
    publisher.pubsub.publisher.publish('book', new Uint8Array(0));
    if (i % 1_000 === 0) await world.run(5);
  }
  await world.run(50);
  const got = [];
  for (let i = 0; i <= fits; i++) got.push((await publications.next()).value);
  t.equal(got.filter(event => event?.kind === 'message').length, fits);
  t.match(got.at(-1), { kind: 'gap', from: fits + 1, to: fits + 10, recovered: false });
  const next = publications.next();
  publisher.pubsub.publisher.publish('book', Uint8Array.of(1));
  await world.run(20);
  t.match((await next).value, { kind: 'message', sequence: fits + 11 });
});

t.test('a member that is revoked is removed and the key changes', async t => {
  const world = new PubSubWorld({ lossDetectionMs: 100 });
  const publisher = world.add('publisher');
  const [gone, stays] = [world.add('gone'), world.add('stays')];
  await world.run(50);
  const subscriptions = [gone, stays].map(host => world.subscribe(host, `${publisher.peer}/book`));
  await world.run(50);
  await world.publish(publisher, 'book', 1, 3);
  await world.run(20);
  world.revoke(gone.peer);
  world.world.network.partition([['gone'], ['publisher', 'stays']]);
  await world.run(300);
  await world.publish(publisher, 'book', 4, 6);
  await world.run(20);
  const keys = publisher.sent.filter(({ to, message }) => to === stays.peer && message.kind === 'key');
  t.equal(keys.length, 2);
  t.same(subscriptions.map(numbersOf), [upTo(3), upTo(6)]);
});
