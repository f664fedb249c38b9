import t from 'tap';
import { fromUtf8 } from '../../lib/bytes.js';
import { powerOfTwoBuckets } from '../../lib/channel/index.js';
import { KeyUse } from '../../lib/channel/rekey-schedule.js';
import { nodeEnv } from '../../lib/env-node.js';
import { createIdentity, createNode, type Identity, openMembership } from '../../lib/index.js';
import type { Transport } from '../../lib/transport.js';
import { MemoryHub, memoryTransport } from '../../transports/memory.js';
import { ends, fast, networkId } from '../support/channel-ends.js';
import { PADDING, section, victim } from '../support/hand-made-peer.js';

const address = 'memory://far';

t.test('with buckets, lengths on the wire take few values, whatever is sent; everything arrives', async t => {
  const lengthBuckets = powerOfTwoBuckets();
  t.same(lengthBuckets, [256, 512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 65_536]);
  const lengths = { near: new Map<number, number>(), far: new Map<number, number>() };
  let isOpen = false;
  const identical = { lengthBuckets, limits: { keyRefreshIntervalMs: 60_000 } };
  const { env, alice, bob } = ends(identical, {}, (message, from) => {
    if (isOpen) lengths[from].set(message.length, (lengths[from].get(message.length) ?? 0) + 1);
    return message;
  });
  env.advance(100);
  isOpen = true;
  let sent = 0;
  for (let length = 0; length < 70_000; length = Math.ceil((length + 1) * 1.02)) {
    alice.open.send(new Uint8Array(length));
    sent++;
    env.settle();
    if (sent % 10 === 0) bob.open.send(fromUtf8('back'));
    env.advance(1);
  }
  for (let i = 0; i < 100; i++) alice.open.send(new Uint8Array(100 * i), { priority: 'bulk' });
  alice.open.send(new Uint8Array(1_000_000), { priority: 'bulk' });
  env.advance(150_000);
  t.equal(bob.messages.length, sent + 101);
  t.ok(alice.open.stats.keyRefreshes > 0, 'rekeys and refreshes are padded too');
  alice.open.close();
  env.advance(10);
  t.same([alice.closes, bob.closes], [[undefined], [undefined]]);
  const odd = [...lengths.near.keys()].filter(length => !lengthBuckets.includes(length));
  t.same(odd, [], 'only lengths of the list');
  t.equal(lengths.near.size, lengthBuckets.length, 'all of them');
  const others = [...lengths.far.keys()].filter(length => !lengthBuckets.includes(length));
  t.ok(others.length > 0, 'the end without buckets does not pad');
});

t.test('a lone message of 64 bytes and one of 200 cannot be told apart by length', async t => {
  const lengths = new Set<number>();
  let isOpen = false;
  const { env, alice } = fast({ lengthBuckets: [512, 16_000] }, {}, (message, from) => {
    if (isOpen && from === 'near') lengths.add(message.length);
    return message;
  });
  env.advance(10);
  isOpen = true;
  for (const length of [64, 200, 484, 485, 15_000]) {
    alice.open.send(new Uint8Array(length));
    env.settle();
  }
  t.same([...lengths], [512, 16_000]);
});

t.test('a list of lengths that cannot be kept to is refused', async t => {
  for (const lengthBuckets of [[], [256], [16_384, 8_192], [8_192.5], [0, 8_192], [65_601], [8_192, 8_192]]) {
    t.throws(() => fast({ lengthBuckets }), { code: 'INVALID_ARGUMENT' }, `${lengthBuckets}`);
  }
  t.throws(() => fast({ lengthBuckets: Array.from({ length: 65 }, (_, i) => 8_192 + i) }), {
    code: 'INVALID_ARGUMENT',
  });
});

t.test('the channels of a node pad as its options say, and options that cannot be kept to are refused', async t => {
  // Timers of a node do not keep the process alive.
  const alive = setInterval(() => undefined, 1_000);
  t.teardown(() => clearInterval(alive));
  const lengths = new Set<number>();
  const hub = new MemoryHub(nodeEnv().clock);
  const { dial, ...rest } = memoryTransport(hub);
  const watched: Transport = {
    ...rest,
    dial: (address, limits, events) =>
      dial(address, limits, {
        ...events,
        onConnection: connection => {
          const send = connection.send.bind(connection);
          connection.send = parts => {
            lengths.add(parts.reduce((sum, part) => sum + part.length, 0));
            return send(parts);
          };
          events.onConnection(connection);
        },
      }),
  };
  const identity = (): Identity => createIdentity({ networkId });
  const shared = { networkId, membership: openMembership({ mayRelay: false }) };
  const far = await createNode({
    ...shared,
    identity: identity(),
    transports: [memoryTransport(hub)],
    listen: [address],
  });
  const near = await createNode({
    ...{ ...shared, identity: identity(), transports: [watched], lengthBuckets: [10_007, 20_011] },
    peers: [{ peer: far.peerId, address }],
  });
  const session = await near.session(far.peerId);
  await session.send(fromUtf8('hello'));
  t.ok(lengths.delete(10_007));
  lengths.delete(20_011);
  t.ok(lengths.size <= 2, 'besides, the two messages of its handshake');
  await Promise.all([near.close(), far.close()]);
  for (const bad of [{ lengthBuckets: [1] }, { channelLimits: { keyRefreshIntervalMs: 1_000 } }]) {
    const options = { ...shared, identity: identity(), transports: [memoryTransport(hub)], ...bad };
    await t.rejects(createNode(options), { code: 'INVALID_ARGUMENT' });
  }
});

t.test('a peer that never rekeys is cut off', async t => {
  const one = victim();
  const record = section(PADDING, new Uint8Array(65_532));
  let sent = 0;
  while (!one.channel.closed && sent < 2 ** 31) {
    one.attack(record);
    sent += record.length;
  }
  t.ok(sent > 2 ** 30 && sent < 1.1 * 2 ** 30, `after ${sent} bytes`);
  t.equal(one.closes[0]?.code, 'DECODE_FAILED');

  const use = new KeyUse();
  let records = 0;
  while (use.onOpened(0)) records++;
  t.ok(records >= 2 ** 20 && records < 1.1 * 2 ** 20, `after ${records} records`);
  use.onRekeyed();
  t.ok(use.onOpened(0));
});
