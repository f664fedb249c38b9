import t from 'tap';
import { concat, EMPTY, equalBytes, fromUtf8, toUtf8 } from '../../lib/bytes.js';
import { HandshakeGate, openChannel } from '../../lib/channel/index.js';
import { systemRandomBytes } from '../../lib/crypto/index.js';
import { nodeEnv } from '../../lib/env-node.js';
import { LIMITS } from '../../lib/limits.js';
import type { Transport } from '../../lib/transport.js';
import { MemoryHub, memoryTransport } from '../../transports/memory.js';
import { tcpTransport } from '../../transports/tcp.js';
import { webSocketTransport } from '../../transports/websocket.js';
import { Application, crypto, fast, identityAt, networkId, type Tap } from '../support/channel-ends.js';
import { manualEnv } from '../support/manual-env.js';

function numbered(count: number, length: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => {
    const message = new Uint8Array(length).fill(i & 0xff);
    new DataView(message.buffer).setUint32(0, i);
    return message;
  });
}

const transports: Record<string, [() => Transport, string]> = {
  memory: [() => memoryTransport(new MemoryHub(nodeEnv().clock)), 'memory://bob'],
  tcp: [() => tcpTransport(), 'tcp://127.0.0.1:0'],
  websocket: [() => webSocketTransport(), 'ws://127.0.0.1:0'],
};

for (const [name, [makeTransport, address]] of Object.entries(transports)) {
  t.test(`over ${name}: post-quantum handshake, 100,000 small and some large messages, authenticated end`, async t => {
    const env = nodeEnv();
    const transport = makeTransport();
    const [alice, bob] = [new Application(), new Application()];
    const gate = new HandshakeGate(env.clock);
    const bobIdentity = identityAt(env);
    const aliceIdentity = identityAt(env);
    const options = { env, crypto, networkId };
    const listener = await transport.listen?.(address, LIMITS, connection => {
      openChannel(connection, { ...options, role: 'responder', identity: bobIdentity, gate }, bob.events);
    });
    transport.dial(listener?.address ?? '', LIMITS, {
      onConnection: connection => {
        const expectedPeer = bobIdentity.peer;
        openChannel(connection, { ...options, role: 'initiator', identity: aliceIdentity, expectedPeer }, alice.events);
      },
      onError: error => alice.events.onFailed(error),
    });
    await alice.until(() => alice.channel !== undefined || alice.failures.length > 0);
    await bob.until(() => bob.channel !== undefined || bob.failures.length > 0);
    t.equal(alice.open.peer, bobIdentity.peer);
    t.equal(bob.open.peer, aliceIdentity.peer);
    t.same(alice.open.exportSecret('x', 32), bob.open.exportSecret('x', 32));

    const small = numbered(100_000, 64);
    let next = 0;
    const pump = (): void => {
      while (next < small.length && alice.open.send(small[next] as Uint8Array)) next++;
    };
    pump();
    await bob.until(() => {
      if (next < small.length) pump();
      return bob.messages.length === small.length;
    });
    t.ok(
      bob.messages.every((message, i) => new DataView(message.buffer, message.byteOffset).getUint32(0) === i),
      'all arrived, once and in order',
    );
    t.ok(bob.open.stats.receivedRecords < 5_000, 'many messages share a record');

    const large = [65_536, 16_385, 1_048_576, 100_000, 0, 1].map(length => systemRandomBytes(length));
    for (const message of large) t.ok(bob.open.send(message, { priority: 'bulk' }));
    await alice.until(() => alice.messages.length === large.length);
    t.ok(large.every((message, i) => equalBytes(alice.messages[i] ?? EMPTY, message)));

    alice.open.close();
    t.notOk(alice.open.send(fromUtf8('too late')));
    await alice.until(() => alice.closes.length > 0);
    await bob.until(() => bob.closes.length > 0);
    t.same([alice.closes, bob.closes], [[undefined], [undefined]]);
    t.throws(() => alice.open.exportSecret('x', 32), { code: 'INVALID_STATE' });
    await listener?.close();
  });
}

t.test('messages of one turn leave as one record, a lone one at once', async t => {
  const { env, alice, bob } = fast();
  env.advance(100);
  const before = alice.open.stats.sentRecords;
  for (let i = 0; i < 500; i++) alice.open.send(fromUtf8(`order ${i}`));
  env.settle();
  t.equal(alice.open.stats.sentRecords, before + 1);
  t.equal(bob.messages.length, 500);
  alice.open.send([fromUtf8('a'), fromUtf8('lone '), fromUtf8('one')]);
  env.settle();
  t.equal(bob.texts.at(-1), 'alone one');
});

t.test('urgent passes normal, normal passes bulk, and a large bulk message does not stand in the way', async t => {
  const { env, alice, bob } = fast();
  alice.open.send(new Uint8Array(1_000_000), { priority: 'bulk' });
  alice.open.send(fromUtf8('normal'));
  alice.open.send(fromUtf8('urgent'), { priority: 'urgent' });
  bob.onMessage = () => {
    if (bob.messages.length === 2) alice.open.send(fromUtf8('late'), { priority: 'urgent' });
  };
  env.advance(50);
  t.same(bob.priorities, ['urgent', 'normal', 'urgent', 'bulk']);
  t.same(bob.texts.slice(0, 3), ['urgent', 'normal', 'late']);
  t.equal(bob.messages[3]?.length, 1_000_000);
});

t.test('a full queue refuses, keeps room for urgent messages, and says when there is room again', async t => {
  const limits = { maxChannelQueueBytes: 65_536, maxChannelMessageBytes: 16_384 };
  const { env, alice, bob } = fast({ limits }, {});
  let accepted = 0;
  while (alice.open.send(numbered(1, 1_020)[0] as Uint8Array)) accepted++;
  t.equal(accepted, 56, 'seven eighths of the queue');
  t.ok(alice.open.stats.queuedBytes <= 65_536);
  t.ok(alice.open.send(fromUtf8('cancel'), { priority: 'urgent' }));
  t.throws(() => alice.open.send(new Uint8Array(16_385)), { code: 'INVALID_ARGUMENT' });
  t.equal(alice.drains, 0);
  env.settle();
  t.equal(alice.drains, 1);
  t.equal(bob.messages.length, 57);
  t.equal(bob.texts[0], 'cancel');
});

t.test('a paused receiver bounds what it holds and what the sender may send, and loses nothing', async t => {
  const limits = { maxChannelReceiveBytes: 262_144 };
  const { env, alice, bob } = fast({}, { limits });
  bob.open.pause();
  const sent = numbered(4_000, 1_000);
  let next = 0;
  for (let round = 0; round < 100; round++) {
    while (next < sent.length && alice.open.send(sent[next] as Uint8Array)) next++;
    env.advance(1);
  }
  t.equal(bob.messages.length, 0, 'nothing is delivered while paused');
  t.ok(bob.open.stats.heldBytes <= 262_144, `held ${bob.open.stats.heldBytes}`);
  t.ok(bob.open.stats.heldBytes > 200_000, 'the credit is used');
  t.ok(alice.open.stats.queuedBytes > 3_000_000, 'the rest waits at the sender');
  t.notOk(alice.open.send(new Uint8Array(1_000_000)), 'whose queue has an end as well');
  bob.open.resume();
  env.advance(100);
  t.equal(bob.messages.length, next);
  t.ok(bob.messages.every((message, i) => new DataView(message.buffer, message.byteOffset).getUint32(0) === i));
});

t.test('a peer that answers but takes nothing is given up, one that is silent sooner', async t => {
  const stalled = fast();
  stalled.bob.open.pause();
  for (let i = 0; i < 200; i++) stalled.alice.open.send(new Uint8Array(20_000));
  stalled.env.advance(50_000);
  while (stalled.alice.open.send(new Uint8Array(20_000)));
  t.same(stalled.alice.closes, []);
  stalled.env.advance(120_000);
  t.equal(stalled.alice.closes[0]?.code, 'TIMEOUT');

  let isCut = false;
  const silent = fast({}, {}, message => (isCut ? undefined : message));
  silent.env.advance(60_000);
  t.same(silent.alice.closes, [], 'an idle channel lives');
  isCut = true;
  silent.env.advance(20_000);
  const codes = [silent.alice.closes[0]?.code, silent.bob.closes[0]?.code];
  t.same(codes, ['TIMEOUT', 'CHANNEL_TRUNCATED'], 'the one who notices first closes for both');
});

t.test('a message past its ttl never leaves; one that has begun to leave does', async t => {
  const { env, alice, bob } = fast({}, { limits: { maxChannelReceiveBytes: 262_144 } });
  bob.open.pause();
  for (let i = 0; i < 200; i++) alice.open.send(new Uint8Array(20_000));
  env.advance(10);
  alice.open.send(fromUtf8('short'), { ttlMs: 20 });
  alice.open.send(fromUtf8('long'), { ttlMs: 2_000 });
  alice.open.send(fromUtf8('for ever'));
  env.advance(1_000);
  bob.open.resume();
  env.advance(100);
  t.same(bob.messages.filter(message => message.length < 20).map(toUtf8), ['long', 'for ever']);
  t.equal(alice.open.stats.expiredMessages, 1);
  t.equal(alice.open.stats.queuedBytes, 0);
});

t.test('a flipped bit, a repeated, a reflected or a missing record closes the channel', async t => {
  const changes: Record<string, Tap> = {
    flipped: message => message.map((byte, i) => (i === 3 ? byte ^ 1 : byte)),
    short: message => message.subarray(0, 7),
    missing: () => undefined,
  };
  for (const [name, change] of Object.entries(changes)) {
    let isActive = false;
    const { env, alice, bob } = fast({}, {}, (message, from, index) => {
      if (!isActive || from === 'far') return message;
      isActive = false;
      return change(message, from, index);
    });
    env.advance(10);
    isActive = true;
    alice.open.send(fromUtf8('one'));
    env.settle();
    alice.open.send(fromUtf8('two'));
    env.settle();
    t.same(bob.texts, [], name);
    t.equal(bob.closes[0]?.code, 'DECRYPT_FAILED', name);
    t.equal(alice.closes[0]?.code, 'CHANNEL_TRUNCATED', name);
  }
  for (const way of ['near', 'far'] as const) {
    let last: Uint8Array | undefined;
    const { env, alice, bob, near, far } = fast({}, {}, (message, from) => {
      if (from === 'near') last = message;
      return message;
    });
    env.advance(10);
    alice.open.send(fromUtf8('once'));
    env.settle();
    if (way === 'near') near.send([last ?? new Uint8Array()]);
    else far.send([last ?? new Uint8Array()]);
    env.settle();
    t.same(bob.texts, ['once'], 'a record counts once');
    t.equal((way === 'near' ? bob : alice).closes[0]?.code, 'DECRYPT_FAILED');
  }
});

t.test('an end of the connection without the authenticated end is a truncation at both ends', async t => {
  const { env, alice, bob, far } = fast();
  alice.open.send(fromUtf8('last words'));
  env.settle();
  far.close();
  env.settle();
  t.equal(alice.closes[0]?.code, 'CHANNEL_TRUNCATED');
  t.equal(bob.closes[0]?.code, 'CHANNEL_TRUNCATED');
  const other = fast();
  other.alice.open.destroy();
  other.env.settle();
  t.same(other.alice.closes, [undefined]);
  t.equal(other.bob.closes[0]?.code, 'CHANNEL_TRUNCATED');
});

t.test('close sends what is queued, in both directions, and both ends see an ordinary end', async t => {
  const { env, alice, bob } = fast();
  for (let i = 0; i < 100; i++) {
    alice.open.send(new Uint8Array(30_000));
    bob.open.send(new Uint8Array(30_000));
  }
  alice.open.close();
  env.advance(100);
  t.equal(bob.messages.length, 100);
  t.equal(alice.messages.length, 100);
  t.same([alice.closes, bob.closes], [[undefined], [undefined]]);
});

t.test('held messages wait while acks pass, and leave when they are released or the channel ends', async t => {
  const { env, alice, bob } = fast();
  env.advance(100);
  alice.open.holdMessages();
  t.ok(alice.open.send(fromUtf8('held')));
  bob.open.send(new Uint8Array(100_000));
  env.advance(6_000);
  t.same(bob.texts, []);
  t.equal(alice.messages.length, 1, 'the other direction goes on');
  t.equal(bob.open.stats.unacknowledgedBytes, 0, 'and is acknowledged');
  alice.open.releaseMessages();
  env.settle();
  t.same(bob.texts, ['held']);
  alice.open.holdMessages();
  alice.open.send(fromUtf8('last'));
  bob.open.close();
  t.ok(bob.open.ending && !alice.open.ending);
  env.settle();
  t.ok(alice.open.ending);
  t.same(bob.texts, ['held', 'last']);
  t.equal(alice.endings, 1, 'told once, by the end that did not begin it');
  t.equal(bob.endings, 0);
});

t.test('what a paused application has not taken is delivered before the end is told', async t => {
  const { env, alice, bob } = fast();
  bob.open.pause();
  for (let i = 0; i < 10; i++) alice.open.send(fromUtf8(`${i}`));
  alice.open.close();
  env.advance(10);
  t.same(bob.closes, []);
  bob.open.resume();
  env.advance(10);
  t.same(bob.texts.join(''), '0123456789');
  t.same(bob.closes, [undefined]);
});

t.test('keys are replaced on the way: after two minutes, and channels live on', async t => {
  const { env, alice, bob } = fast();
  for (let minute = 0; minute < 10; minute++) {
    env.advance(60_000);
    alice.open.send(fromUtf8('a'));
    bob.open.send(fromUtf8('b'));
    env.settle();
  }
  t.equal(alice.messages.length, 10);
  t.equal(bob.messages.length, 10);
});

t.test('admission: refused, thrown, rejected or too late, and nothing is released before it', async t => {
  for (const [admit, code] of [
    [() => false, 'NOT_ADMITTED'],
    [
      () => {
        throw new Error('no');
      },
      'NOT_ADMITTED',
    ],
    [() => Promise.reject(new Error('no')), 'NOT_ADMITTED'],
    [() => new Promise<boolean>(() => undefined), 'ADMISSION_UNDECIDED'],
  ] as const) {
    const { env, alice, bob } = fast({}, { admit });
    alice.channel?.send(fromUtf8('early'));
    env.settle();
    await Promise.resolve();
    await Promise.resolve();
    env.advance(6_000);
    t.equal(bob.failures[0]?.code, code);
    t.equal(bob.channel, undefined);
    t.equal(alice.closes[0]?.code, code, 'the peer is told in an authenticated end');
  }
  let decide: (admitted: boolean) => void = () => undefined;
  const verdict = new Promise<boolean>(resolve => {
    decide = resolve;
  });
  const { env, alice, bob } = fast(
    { capabilities: fromUtf8('c') },
    {
      admit: (_peer, evidence) => toUtf8(evidence.capabilities) === 'c' && verdict,
    },
  );
  alice.open.send(fromUtf8('early'));
  env.advance(100);
  t.same(bob.channel, undefined);
  decide(true);
  await verdict;
  await Promise.resolve();
  env.settle();
  t.same(bob.texts, ['early']);
});

t.test('the first message has a second, the whole handshake five', async t => {
  let allowed = 0;
  for (const [messages, code] of [
    [0, 'HANDSHAKE_TIMEOUT'],
    [1, 'HANDSHAKE_TIMEOUT'],
  ] as const) {
    allowed = messages;
    const { env, alice, bob } = fast({}, {}, (message, from) =>
      from === 'far' || allowed-- > 0 ? message : undefined,
    );
    env.advance(999);
    t.same(bob.failures, []);
    if (messages === 1) env.advance(3_900);
    t.same(bob.failures, []);
    env.advance(200);
    t.equal(bob.failures[0]?.code, code);
    env.advance(5_000);
    t.equal(alice.failures.length + alice.closes.length, 1);
  }
});

t.test('an oversized first message, garbage and another network are refused', async t => {
  for (const change of [
    (message: Uint8Array) => concat(message, new Uint8Array(5_000)),
    () => fromUtf8('GET / HTTP/1.1'),
    () => new Uint8Array(0),
  ]) {
    const { env, alice, bob } = fast({}, {}, (message, from, i) =>
      from === 'near' && i === 0 ? change(message) : message,
    );
    env.advance(10);
    t.ok(['HANDSHAKE_FAILED', 'LIMIT_EXCEEDED'].includes(bob.failures[0]?.code ?? ''));
    t.equal(alice.failures[0]?.code, 'HANDSHAKE_FAILED');
  }
  const env = manualEnv();
  const elsewhere = fast({ networkId: 'other', identity: identityAt(env, 'other') });
  elsewhere.env.advance(10_000);
  t.equal(elsewhere.alice.channel, undefined);
  t.equal(elsewhere.bob.channel, undefined);
});

t.test('a replayed first message of IK never becomes a channel; the real one does', async t => {
  const bobIdentity = identityAt(manualEnv());
  const remoteStatic = bobIdentity.staticKey.publicKey;
  let first: Uint8Array | undefined;
  const real = fast({ remoteStatic }, { identity: bobIdentity }, (message, from) => {
    if (from === 'near') first ??= message;
    return message;
  });
  t.equal(real.alice.open.peer, bobIdentity.peer);
  t.ok(real.bob.channel);
  const replay = fast({ remoteStatic }, { identity: bobIdentity }, (message, from, index) => {
    if (from === 'far') return message;
    return index === 0 ? first : undefined;
  });
  replay.env.advance(10_000);
  t.equal(replay.bob.channel, undefined);
  t.equal(replay.bob.failures.length, 1);
});
