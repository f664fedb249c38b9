import t from 'tap';
import { concat, EMPTY, fromUtf8 } from '../../lib/bytes.js';
import { type Channel, HandshakeDriver, type HandshakeResult, openChannel } from '../../lib/channel/index.js';
import { defaultCrypto, systemRandomBytes } from '../../lib/crypto/index.js';
import type { HopfairError } from '../../lib/errors.js';
import { Identity } from '../../lib/identity/index.js';
import { LIMITS } from '../../lib/limits.js';
import type { Connection } from '../../lib/transport.js';
import { MemoryHub } from '../../transports/memory.js';
import { type ManualEnv, manualEnv } from '../support/manual-env.js';

const crypto = defaultCrypto();
const common = { crypto, networkId: 'test', postQuantum: 'off' } as const;

interface Victim {
  readonly env: ManualEnv;
  readonly received: Uint8Array[];
  readonly closes: (HopfairError | undefined)[];
  readonly channel: Channel;
  /** Seals whatever a peer that passed the handshake likes to send. */
  readonly attack: (plaintext: Uint8Array) => void;
  /** What the victim answered, opened; empty where it did not open. */
  readonly answers: Uint8Array[];
  /** Follows a rekey of the victim. */
  readonly followRekey: () => void;
}

/** A real channel whose peer is driven by hand, record by record. */
function victim(): Victim {
  const env = manualEnv();
  const hub = new MemoryHub(env.clock);
  const identity = (): Identity => {
    const seeds = { identity: systemRandomBytes(32), static: systemRandomBytes(32) };
    return new Identity({ crypto, seeds, networkId: 'test', now: env.clock.unix() });
  };
  const received: Uint8Array[] = [];
  const closes: (HopfairError | undefined)[] = [];
  const answers: Uint8Array[] = [];
  let channel: Channel | undefined;
  hub.bind('memory://victim', {
    limits: LIMITS,
    onConnection: connection => {
      openChannel(
        connection,
        { ...common, env, role: 'responder', identity: identity() },
        {
          onChannel: opened => {
            channel = opened;
            opened.attach({
              onMessage: message => received.push(message),
              onDrain: () => undefined,
              onClose: cause => closes.push(cause),
            });
          },
          onFailed: error => closes.push(error),
        },
      );
    },
  });
  const connection = hub.connect('memory://victim', LIMITS) as Connection;
  const random = systemRandomBytes;
  const now = env.clock.unix();
  const options = { ...common, role: 'initiator', context: 'channel', random, now } as const;
  const driver = new HandshakeDriver({ ...options, identity: identity() });
  let result: HandshakeResult | undefined;
  connection.attach({
    onMessage: message => {
      if (result !== undefined) {
        answers.push(result.rx.decryptWithAd(EMPTY, message) ?? EMPTY);
        return;
      }
      const step = driver.receive(message);
      if (step.reply !== undefined) connection.send([step.reply]);
      if (step.kind === 'done') result = step.result;
    },
    onDrain: () => undefined,
    onClose: () => undefined,
  });
  connection.send([driver.start()]);
  env.settle();
  if (channel === undefined || result === undefined) throw new Error('the handshake failed');
  const { tx, rx } = result;
  const attack = (plaintext: Uint8Array): void => {
    connection.send(tx.encryptPartsWithAd(EMPTY, [plaintext]));
    env.settle();
  };
  return { env, received, closes, channel, attack, answers, followRekey: () => rx.rekey() };
}

const NORMAL = 1;
const ACK = 8;
const ASK = 9;
const REKEY = 10;
const END = 11;

function section(kind: number, ...body: readonly Uint8Array[]): Uint8Array {
  const bytes = concat(...body);
  return concat(Uint8Array.of(kind, bytes.length >>> 16, bytes.length >>> 8, bytes.length), bytes);
}

function u32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

const message = (text: string): Uint8Array => concat(u32(text.length), fromUtf8(text));
const ackOf = (received: number, credit: number): Uint8Array =>
  section(ACK, u32(0), u32(received), u32(0), u32(credit));

t.test('an honest peer made by hand is understood, so the cases below fail for what they name', async t => {
  const { attack, received, closes, answers, channel, env } = victim();
  attack(section(NORMAL, message('one'), message('two')));
  attack(concat(section(ASK), section(NORMAL, message('three').subarray(0, 2))));
  attack(section(NORMAL, message('three').subarray(2)));
  attack(EMPTY);
  t.equal(received.length, 3);
  t.equal(answers.at(-1)?.[0], ACK);
  channel.send(fromUtf8('hello'));
  env.settle();
  t.same(answers.at(-1), section(NORMAL, message('hello')));
  attack(ackOf(9, 200_000));
  attack(section(END, Uint8Array.of(0)));
  t.same(closes, [undefined]);
});

t.test('after two minutes the key is replaced: the old one opens nothing any more, the next one does', async t => {
  for (const follows of [true, false]) {
    const { env, attack, answers, followRekey, channel } = victim();
    const isRekey = (answer: Uint8Array | undefined): boolean => answer?.at(-4) === REKEY && answer.at(-1) === 0;
    for (let elapsedMs = 0; elapsedMs < 118_000; elapsedMs += 2_000) {
      env.advance(2_000);
      attack(section(ASK));
      t.notOk(isRekey(answers.at(-1)));
    }
    env.advance(4_000);
    attack(section(ASK));
    t.ok(isRekey(answers.at(-1)), 'the last record under the old key says so');
    if (follows) followRekey();
    channel.send(fromUtf8('next'));
    env.settle();
    t.same(answers.at(-1), follows ? section(NORMAL, message('next')) : EMPTY);
  }
});

const violations: Record<string, readonly Uint8Array[]> = {
  'an unknown section': [section(3)],
  'an unknown control section': [section(200, u32(1))],
  'half a section header': [Uint8Array.of(NORMAL, 0)],
  'a section longer than its record': [Uint8Array.of(NORMAL, 0, 1, 0, 1)],
  'a message above the limit': [section(NORMAL, u32(LIMITS.maxChannelMessageBytes + 1))],
  'a message of 4 GiB': [section(NORMAL, u32(0xffff_ffff))],
  'an ack of bytes never sent': [ackOf(1_000, 200_000)],
  'credit taken back': [ackOf(0, 1_000)],
  'an ack above 2^53': [section(ACK, u32(0xffff_ffff), u32(0), u32(0), u32(0))],
  'an ack that is too short': [section(ACK, u32(0))],
  'an ask that carries something': [section(ASK, u32(1))],
  'a rekey that carries something': [section(REKEY, u32(1))],
  'an end of an unknown reason': [section(END, Uint8Array.of(3))],
  'something after a rekey in one record': [concat(section(REKEY), section(ASK))],
  'an end without a reason': [section(END)],
  'a message after the end': [concat(section(END, Uint8Array.of(0)), section(NORMAL, message('x')))],
  'two ends': [concat(section(END, Uint8Array.of(0)), section(END, Uint8Array.of(0)))],
};

for (const [name, records] of Object.entries(violations)) {
  t.test(`${name} closes the channel and delivers nothing`, async t => {
    const { attack, received, closes } = victim();
    for (const record of records) attack(record);
    t.equal(closes.length, 1);
    t.equal(closes[0]?.code, 'DECODE_FAILED');
    t.equal(received.length, 0);
  });
}

t.test('who sends more than it was granted is cut off before the application has to hold it', async t => {
  const { attack, channel, closes } = victim();
  channel.pause();
  const kilobyte = concat(u32(1_020), new Uint8Array(1_020));
  let held = 0;
  for (let i = 0; i < 8_192 && closes.length === 0 && !channel.closed; i++) {
    attack(section(NORMAL, kilobyte));
    held = Math.max(held, channel.stats.heldBytes);
  }
  t.ok(channel.closed);
  t.ok(held <= LIMITS.maxChannelReceiveBytes, `${held} bytes were held`);
});

t.test('a claimed length pins no more than twice what has arrived', async t => {
  const { attack, closes } = victim();
  const before = process.memoryUsage().arrayBuffers;
  const many = Array.from({ length: 50 }, victim);
  for (const one of many) for (const lane of [0, 1, 2]) one.attack(section(lane, u32(1_000_000), new Uint8Array(16)));
  attack(section(NORMAL, message('x')));
  t.ok(process.memoryUsage().arrayBuffers - before < 50_000_000, '150 claims of a megabyte would be 150 MB');
  t.same(closes, []);
});

t.test('a flood of empty messages is held for what it was charged', async t => {
  const { attack, channel } = victim();
  channel.pause();
  const before = process.memoryUsage();
  const record = section(NORMAL, new Uint8Array(60_000));
  for (let i = 0; i < 100 && !channel.closed; i++) attack(record);
  const after = process.memoryUsage();
  t.ok(channel.closed, 'a million of them is more than the credit');
  t.ok(after.heapUsed - before.heapUsed < 64_000_000, 'a million views would be twice as much');
});

t.test('a thousand random records of an authenticated peer never throw', async t => {
  let random = 12_345;
  const next = (below: number): number => {
    random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0;
    return (random >>> 8) % below;
  };
  let closed = 0;
  let one = victim();
  for (let i = 0; i < 1_000; i++) {
    if (one.channel.closed) {
      closed++;
      one = victim();
    }
    const sections = Array.from({ length: next(4) }, () => {
      const body = Uint8Array.from({ length: next(40) }, () => (next(3) === 0 ? next(256) : 0));
      return section([0, 1, 2, 8, 9, 10, 11, next(256)][next(8)] ?? 0, body);
    });
    const record = concat(...sections);
    one.attack(next(10) === 0 ? record.subarray(0, next(record.length + 1)) : record);
    // A rekey is followed by records under the next key, which this peer by hand does not make.
  }
  t.ok(closed > 50);
});
