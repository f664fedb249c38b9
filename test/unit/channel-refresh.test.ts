import t from 'tap';
import { concat, EMPTY, equalBytes, fromUtf8, toUtf8 } from '../../lib/bytes.js';
import type { ChannelOptions, Priority } from '../../lib/channel/index.js';
import { HandshakeDriver, HandshakeGate, openChannel } from '../../lib/channel/index.js';
import { KeyRefresh, type RefreshOutput } from '../../lib/channel/key-refresh.js';
import { ReceiveCredit } from '../../lib/channel/receive-credit.js';
import { RecordSender } from '../../lib/channel/record-sender.js';
import { RefreshOutbox } from '../../lib/channel/refresh-outbox.js';
import { systemRandomBytes } from '../../lib/crypto/index.js';
import { type Env, instant, unixMs } from '../../lib/env.js';
import { nodeEnv } from '../../lib/env-node.js';
import type { Identity } from '../../lib/identity/index.js';
import { LIMITS } from '../../lib/limits.js';
import { CipherState } from '../../lib/noise/cipher-state.js';
import type { Connection } from '../../lib/transport.js';
import { tcpTransport } from '../../transports/tcp.js';
import { webSocketTransport } from '../../transports/websocket.js';
import { Application, crypto, type Ends, ends, fast, identityAt, networkId } from '../support/channel-ends.js';
import { manualEnv } from '../support/manual-env.js';

const HOUR_MS = 3_600_000;

/** Two identities, the first one's PeerId the lower. */
function inOrder(): [Identity, Identity] {
  const env = manualEnv();
  const [a, b] = [identityAt(env), identityAt(env)];
  return a.peer < b.peer ? [a, b] : [b, a];
}

const refreshesOf = ({ alice, bob }: Ends): number[] => [alice, bob].map(end => end.open.stats.keyRefreshes);

t.test(
  'an idle channel gets fresh keys within the hour, whoever has the lower PeerId, with all that it was made of',
  async t => {
    const psk = systemRandomBytes(32);
    const [lower, higher] = inOrder();
    for (const [near, far] of [
      [lower, higher],
      [higher, lower],
    ] as const) {
      const channel = ends({ identity: near, psk }, { identity: far, psk });
      const { env, alice, bob } = channel;
      const before = alice.open.exportSecret('x', 32);
      const hash = alice.open.handshakeHash;
      env.advance(0.7 * HOUR_MS);
      t.same(refreshesOf(channel), [0, 0]);
      env.advance(0.3 * HOUR_MS);
      t.same(refreshesOf(channel), [1, 1]);
      for (let hour = 2; hour <= 4; hour++) {
        env.advance(HOUR_MS);
        alice.open.send(fromUtf8(`a${hour}`));
        bob.open.send(fromUtf8(`b${hour}`));
        env.settle();
      }
      t.ok(alice.open.stats.keyRefreshes >= 4);
      t.same(bob.texts, ['a2', 'a3', 'a4']);
      t.same(alice.texts, ['b2', 'b3', 'b4']);
      t.same([alice.open.exportSecret('x', 32), bob.open.exportSecret('x', 32)], [before, before]);
      t.same([alice.open.handshakeHash, bob.open.handshakeHash], [hash, hash]);
      t.same([alice.closes, bob.closes], [[], []]);
    }
  },
);

t.test(
  'under load in both directions, in all priorities and with records under way, nothing is lost or reordered',
  async t => {
    const [lower, higher] = inOrder();
    const delayMs = 20;
    const limits = { keyRefreshIntervalMs: 60_000 };
    const classical = { postQuantum: 'off', limits } as const;
    const channel = ends({ ...classical, identity: lower }, { ...classical, identity: higher }, undefined, delayMs);
    const { env, alice, bob } = channel;
    env.advance(50_000);
    const priorities: readonly Priority[] = ['urgent', 'normal', 'bulk'];
    const sent = new Map<string, string[]>();
    for (let ms = 0; ms < 12_000; ms++) {
      for (const [name, end] of Object.entries({ alice, bob })) {
        const priority = priorities[ms % 3] ?? 'normal';
        const text = `${ms} `.padEnd(priority === 'bulk' ? 3_000 : 100, '.');
        const key = `${name} ${priority}`;
        if (end.open.send(fromUtf8(text), { priority })) sent.set(key, [...(sent.get(key) ?? []), text]);
      }
      env.advance(1);
    }
    env.advance(1_000);
    t.same(refreshesOf(channel), [1, 1]);
    for (const [key, texts] of sent) {
      const receiver = key.startsWith('alice') ? bob : alice;
      const got = receiver.texts.filter((_, i) => key.endsWith(receiver.priorities[i] as string));
      t.ok(texts.length > 3_900 && got.length === texts.length && got.every((text, i) => text === texts[i]), key);
    }
    t.same([alice.closes, bob.closes], [[], []]);
  },
);

t.test('of two begun at once the one of the lower PeerId stands', async t => {
  const [lower, higher] = inOrder();
  // With the spread of the test's clock the lower begins at 0.85 of its interval, the other one at the end of its own.
  const early = { keyRefreshIntervalMs: 100_000 };
  const sooner = { keyRefreshIntervalMs: 85_000 };
  const a = { postQuantum: 'off', identity: lower, limits: early } as const;
  const b = { postQuantum: 'off', identity: higher, limits: sooner } as const;
  const channel = ends(a, b, undefined, 30);
  const { env, alice, bob } = channel;
  for (let i = 0; i < 100; i++) {
    env.advance(1_000);
    alice.open.send(fromUtf8(`${i}`));
    bob.open.send(fromUtf8(`${i}`));
  }
  env.advance(100);
  t.same(refreshesOf(channel), [1, 1]);
  t.same([alice.messages.length, bob.messages.length], [100, 100]);

  const [low, high] = machines();
  const now = instant(HOUR_MS);
  const [first, second] = [low.tick(now)?.message, high.tick(now)?.message];
  t.equal(low.onPiece(1, true, second?.bytes ?? new Uint8Array(), now), undefined, 'the lower passes over the other');
  const answer = high.onPiece(1, true, first?.bytes ?? new Uint8Array(), now);
  t.equal(answer?.message?.number, 2, 'the higher drops its own');
  t.equal(low.onPiece(1, true, second?.bytes ?? new Uint8Array(), now)?.error?.code, 'KEY_REFRESH_FAILED', 'only once');
});

/** The machines of both ends, the lower first, an hour ago. */
function machines(): [KeyRefresh, KeyRefresh] {
  const identities = inOrder();
  const binding = systemRandomBytes(32);
  return [0, 1].map(i => {
    const [identity, other] = [identities[i], identities[1 - i]] as [Identity, Identity];
    const newDriver: ConstructorParameters<typeof KeyRefresh>[0]['newDriver'] = role =>
      new HandshakeDriver({
        ...{ crypto, networkId, identity, role, binding, suiteId: 1, postQuantum: 'off' },
        ...{ context: 'channel', expectedPeer: other.peer, random: systemRandomBytes, now: unixMs(1_800_000_001_000) },
      });
    return new KeyRefresh(
      {
        ...{ self: identity.peer, peer: other.peer, limits: LIMITS, newDriver },
        ...{ answerTimeoutMs: 5_000, epoch: 0, minIntervalMs: 10_000, spread: 0.5 },
      },
      instant(0),
    );
  }) as [KeyRefresh, KeyRefresh];
}

t.test('messages go in pieces where records are small; both ends come to keys that open each other', async t => {
  const [low, high] = machines();
  const now = instant(HOUR_MS);
  const relay = (output: RefreshOutput | undefined, to: KeyRefresh): RefreshOutput | undefined => {
    if (output?.message === undefined) throw new Error(`no message: ${output?.error?.message}`);
    const outbox = new RefreshOutbox();
    outbox.push(output.message.number, output.message.bytes);
    let answer: RefreshOutput | undefined;
    while (!outbox.isEmpty) {
      const parts: Uint8Array[] = [];
      t.ok(outbox.take(262, parts) <= 262);
      const [header, piece] = parts as [Uint8Array, Uint8Array];
      const number = header[4] as number;
      answer = to.onPiece(number & 0x7f, number < 0x80, piece, now);
    }
    return answer;
  };
  const second = relay({ message: { number: 1, bytes: low.tick(now)?.message?.bytes as Uint8Array } }, high);
  const third = relay(second, low);
  const last = relay(third, high);
  const [lowRx, highRx] = [low.onSwitch(now), high.onSwitch(now)];
  const empty = new Uint8Array();
  t.equal(toUtf8(highRx?.decryptWithAd(empty, third?.tx?.encryptWithAd(empty, fromUtf8('a')) ?? empty) ?? empty), 'a');
  t.equal(toUtf8(lowRx?.decryptWithAd(empty, last?.tx?.encryptWithAd(empty, fromUtf8('b')) ?? empty) ?? empty), 'b');
  t.same([low.refreshes, high.refreshes], [1, 1]);
  t.equal(low.onSwitch(now), undefined, 'once');
});

t.test('a sender changes over behind the last piece, not before', async t => {
  const env = manualEnv();
  const states = (): [CipherState, CipherState] => {
    const key = systemRandomBytes(32);
    const both = [0, 1].map(() => new CipherState(crypto.aead('AESGCM'))) as [CipherState, CipherState];
    for (const state of both) state.initializeKey(key);
    return both;
  };
  const [[tx, rx], [nextTx, nextRx]] = [states(), states()];
  const records: Uint8Array[] = [];
  const connection = { bufferedBytes: 0, send: (parts: Uint8Array[]) => records.push(concat(...parts)) > 0 };
  const limits = { ...LIMITS, maxMessageBytes: 8_192 };
  const sender = new RecordSender({
    ...{ env, tx, limits, buckets: undefined, connection: connection as unknown as Connection },
    credit: new ReceiveCredit(limits.maxChannelReceiveBytes, () => 0),
    onRoom: () => undefined,
    onEndSent: () => undefined,
  });
  sender.sendRefresh(3, new Uint8Array(16_000));
  sender.switchTo(nextTx);
  sender.uncork();
  env.settle();
  sender.ask();
  env.settle();
  const opened = records.map(record => rx.decryptWithAd(EMPTY, record) ?? nextRx.decryptWithAd(EMPTY, record) ?? EMPTY);
  const [switches, ask] = [Uint8Array.of(13, 0, 0, 0), Uint8Array.of(9, 0, 0, 0)];
  t.same(
    opened.map(record => equalBytes(record.subarray(-4), switches)),
    [false, true, false],
  );
  t.same(
    opened.slice(0, 2).map(record => record[4]),
    [0x83, 3],
    'the message in two pieces',
  );
  t.same(opened.at(-1), ask, 'under the next key');
});

t.test('a renewed certificate takes the place of the old one; an expired one ends the channel', async t => {
  const [lower, higher] = inOrder();
  const channel = fast({ identity: lower }, { identity: higher });
  const { env, alice, bob } = channel;
  env.advance(10);
  const { epoch } = alice.open.certificate;
  higher.renew(env.clock.unix());
  env.advance(HOUR_MS);
  t.ok(alice.open.certificate.epoch > epoch);
  t.same(bob.closes, []);
  const start = manualEnv();
  const past = unixMs(start.clock.unix() - LIMITS.maxCertificateLifetimeMs + HOUR_MS / 2);
  const old = identityAt({ ...start, clock: { ...start.clock, unix: () => past } });
  const late = fast({ identity: old });
  t.ok(late.bob.channel, 'valid for half an hour yet');
  late.env.advance(HOUR_MS);
  const codes = [late.alice.closes[0]?.code, late.bob.closes[0]?.code];
  t.ok(codes.includes('KEY_REFRESH_FAILED'), `${codes}`);
});

t.test('the suite of the channel stays, whoever begins and whatever else its policy would take', async t => {
  const [lower, higher] = inOrder();
  const channel = ends({ identity: higher }, { identity: lower, postQuantum: 'off' });
  channel.env.advance(HOUR_MS);
  t.same(refreshesOf(channel), [1, 1], 'the end that would offer classical suites began');
});

t.test('a refresh costs the budget of handshakes; its interval is between a minute and an hour', async t => {
  let charged = 0;
  const env = manualEnv();
  const gate = new HandshakeGate(env.clock);
  gate.charge = () => {
    charged++;
  };
  let asked = 0;
  const admit = (): boolean => {
    asked++;
    return true;
  };
  const channel = fast({}, { gate, admit });
  channel.env.advance(HOUR_MS);
  t.same(refreshesOf(channel), [1, 1]);
  t.ok(charged >= 2);
  t.equal(asked, 1, 'admit is asked about the first handshake alone');
  for (const keyRefreshIntervalMs of [59_999, HOUR_MS + 1, Number.NaN]) {
    t.throws(() => fast({ limits: { keyRefreshIntervalMs } } as Partial<ChannelOptions>), { code: 'INVALID_ARGUMENT' });
  }
});

t.test('an end in the middle of a refresh is an ordinary end', async t => {
  const [lower, higher] = inOrder();
  for (let ms = 0; ms <= 150; ms += 10) {
    for (const closer of ['alice', 'bob'] as const) {
      const limits = { keyRefreshIntervalMs: 100_000 };
      const a = { postQuantum: 'off', identity: lower, limits } as const;
      const b = { postQuantum: 'off', identity: higher, limits } as const;
      const channel = ends(a, b, undefined, 20);
      const { env, alice, bob } = channel;
      // 200 ms have passed for the handshake, which was over after 60.
      env.advance(84_840 + ms);
      alice.open.send(fromUtf8('last'));
      bob.open.send(fromUtf8('last'));
      channel[closer].open.close();
      env.advance(1_000);
      t.same([alice.texts, bob.texts], [['last'], ['last']]);
      t.same([alice.closes, bob.closes], [[undefined], [undefined]], `${closer} after ${ms} ms`);
    }
  }
});

/** Real sockets, but an hour passes in no time. */
function hasty(factor: number): Env {
  const env = nodeEnv();
  const { clock } = env;
  return {
    ...env,
    clock: {
      now: () => instant(clock.now() * factor),
      unix: () => clock.unix(),
      schedule: (delayMs, fn) => clock.schedule(delayMs / factor, fn),
      defer: fn => clock.defer(fn),
    },
  };
}

for (const [name, transport, address] of [
  ['tcp', tcpTransport(), 'tcp://127.0.0.1:0'],
  ['websocket', webSocketTransport(), 'ws://127.0.0.1:0'],
] as const) {
  t.test(`over ${name}: refresh after refresh, while both ends send as much as they may`, async t => {
    const env = hasty(100);
    const patience = 1_000_000_000;
    const limits = {
      ...{ keyRefreshIntervalMs: 60_000, maxChannelQueueBytes: 1_048_576, maxChannelMessageBytes: 262_144 },
      ...{ handshakeTimeoutMs: patience, firstHandshakeTimeoutMs: patience, deadPeerTimeoutMs: patience },
      ...{ stallTimeoutMs: patience, closeTimeoutMs: patience },
    };
    const options = { env, crypto, networkId, limits } as const;
    const [alice, bob] = [new Application(), new Application()];
    const listener = await transport.listen?.(address, LIMITS, connection => {
      openChannel(connection, { ...options, role: 'responder', identity: identityAt(env) }, bob.events);
    });
    transport.dial(listener?.address ?? '', LIMITS, {
      onConnection: connection => {
        openChannel(connection, { ...options, role: 'initiator', identity: identityAt(env) }, alice.events);
      },
      onError: error => alice.events.onFailed(error),
    });
    await alice.until(() => alice.channel !== undefined);
    await bob.until(() => bob.channel !== undefined);

    const sent = new Map([alice, bob].map(end => [end, 0]));
    const flow = (end: Application): void => {
      for (;;) {
        const number = sent.get(end) as number;
        const message = new Uint8Array(number % 5 === 0 ? 100_000 : 1_000);
        new DataView(message.buffer).setUint32(0, number);
        if (!end.open.send(message, { priority: 'bulk' })) return;
        sent.set(end, number + 1);
      }
    };
    let torn = 0;
    for (const [end, other] of [
      [alice, bob],
      [bob, alice],
    ] as const) {
      let next = 0;
      end.onMessage = message => {
        end.messages.length = 0;
        end.priorities.length = 0;
        if (new DataView(message.buffer, message.byteOffset).getUint32(0) !== next++) torn++;
        if (other.open.stats.keyRefreshes < 3) flow(other);
        if (end.open.stats.keyRefreshes >= 3 && other.open.stats.keyRefreshes >= 3) end.open.close();
      };
    }
    flow(alice);
    flow(bob);
    await alice.until(() => alice.closes.length > 0);
    await bob.until(() => bob.closes.length > 0);
    t.same([alice.closes, bob.closes], [[undefined], [undefined]]);
    t.equal(torn, 0, 'all in order');
    t.same(
      [bob.open.stats.receivedMessages, alice.open.stats.receivedMessages],
      [alice.open.stats.sentMessages, bob.open.stats.sentMessages],
      'and all of them',
    );
    await listener?.close();
  });
}
