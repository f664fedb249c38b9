import t from 'tap';
import { concat, EMPTY, fromUtf8 } from '../../lib/bytes.js';
import type { HandshakeDriver, HandshakeOptions, HandshakeResult } from '../../lib/channel/index.js';
import { systemRandomBytes } from '../../lib/crypto/index.js';
import { unixMs } from '../../lib/env.js';
import type { HopfairError } from '../../lib/errors.js';
import { LIMITS } from '../../lib/limits.js';
import {
  ASK,
  END,
  identityAt,
  message,
  NORMAL,
  REFRESH,
  REKEY,
  SWITCH,
  section,
  type Victim,
  type VictimOptions,
  victim,
} from '../support/hand-made-peer.js';

const piece = (number: number, bytes: Uint8Array): Uint8Array => section(REFRESH, Uint8Array.of(number), bytes);

/** The message of this number in what the victim sent last. */
function messageOf({ answers }: Victim, number: number): Uint8Array | undefined {
  for (const record of answers.toReversed()) {
    for (let at = 0; at + 4 <= record.length; ) {
      const length =
        (((record[at + 1] as number) << 16) | ((record[at + 2] as number) << 8)) + (record[at + 3] as number);
      if (record[at] === REFRESH && record[at + 4] === number) return record.subarray(at + 5, at + 4 + length);
      at += 4 + length;
    }
  }
  return undefined;
}

/** A victim that has been open for a minute. */
function aged(options: VictimOptions = {}): Victim {
  const one = victim(options);
  for (let i = 0; i < 6; i++) {
    one.env.advance(10_000);
    one.attack(section(ASK));
  }
  return one;
}

/** Plays the initiator of a refresh to its end. */
function refresh(one: Victim, driver: HandshakeDriver = one.refreshDriver()): HandshakeResult | undefined {
  one.attack(piece(1, driver.start()));
  const answer = messageOf(one, 2);
  const step = answer === undefined ? undefined : driver.receive(answer);
  if (step?.kind !== 'done' || step.reply === undefined) return undefined;
  one.attack(concat(piece(3, step.reply), section(SWITCH)));
  one.useKeys(step.result);
  return step.result;
}

const causeOf = (error: HopfairError | undefined): unknown => (error?.cause as HopfairError | undefined)?.code;

t.test('an honest refresh made by hand is understood, so the cases below fail for what they name', async t => {
  const one = aged();
  t.ok(refresh(one));
  one.attack(section(NORMAL, message('under the new key')));
  t.equal(one.received.length, 1);
  one.channel.send(fromUtf8('x'));
  one.env.settle();
  t.same(one.answers.at(-1), section(NORMAL, message('x')));
  t.equal(one.channel.stats.keyRefreshes, 1);
  t.same(one.closes, []);
});

const psk = new Uint8Array(32).fill(7);
const withPsk = { victim: { psk }, peer: { psk } };
const hybrid = { peer: { postQuantum: 'required' } } as const;

/** Handshakes of a peer that holds the keys of the channel, but not what a refresh needs. */
const forgeries: Record<string, [VictimOptions, (one: Victim) => Partial<HandshakeOptions>, code?: string]> = {
  'of another identity': [{}, one => ({ identity: identityAt(one.env) }), 'HANDSHAKE_FAILED'],
  'that is classical on a hybrid channel': [hybrid, () => ({ postQuantum: 'off', suiteId: 1 }), 'SUITE_DOWNGRADED'],
  'with another cipher': [{}, one => ({ suiteId: one.result.suiteId === 1 ? 2 : 1 }), 'SUITE_DOWNGRADED'],
  'without the pre-shared key': [withPsk, () => ({ psk: new Uint8Array(32) }), 'HANDSHAKE_FAILED'],
  'bound to another channel': [{}, () => ({ binding: systemRandomBytes(32) }), 'HANDSHAKE_FAILED'],
  'bound to an earlier refresh': [
    {},
    one => ({ binding: one.result.exportSecret('hopfair/1 refresh 1', 32) }),
    'HANDSHAKE_FAILED',
  ],
  'not bound at all': [{}, () => ({ binding: EMPTY }), 'HANDSHAKE_FAILED'],
  'for a session': [{}, () => ({ context: 'session' }), 'HANDSHAKE_FAILED'],
  'with a certificate that has expired': [{}, one => ({ identity: expired(one) }), 'CERTIFICATE_INVALID'],
};

/** The peer's identity as it was three years ago. */
function expired(one: Victim): HandshakeOptions['identity'] {
  const { env } = one;
  const past = { ...env, clock: { ...env.clock, unix: () => unixMs(1_700_000_000_000) } };
  return identityAt(past);
}

for (const [name, [options, overrides, code]] of Object.entries(forgeries)) {
  t.test(`a refresh ${name} closes the channel, and its keys open nothing`, async t => {
    const one = aged(options);
    const forged = one.refreshDriver(overrides(one));
    // Who cannot read the answer can only guess the last message.
    if (refresh(one, forged) === undefined) one.attack(piece(3, concat(Uint8Array.of(1), systemRandomBytes(300))));
    t.equal(one.closes[0]?.code, 'KEY_REFRESH_FAILED');
    t.equal(causeOf(one.closes[0]), code);
    t.equal(one.channel.stats.keyRefreshes, 0);
    one.attack(section(NORMAL, message('x')));
    t.equal(one.received.length, 0);
  });
}

t.test('a certificate older than the last is refused', async t => {
  const one = aged();
  const { certificate } = one.identity;
  one.identity.renew(one.env.clock.unix());
  t.ok(refresh(one));
  for (let i = 0; i < 2; i++) {
    one.env.advance(8_000);
    one.attack(section(ASK));
  }
  const { peer, staticKey } = one.identity;
  refresh(one, one.refreshDriver({ identity: { peer, staticKey, certificate } }));
  t.equal(one.closes[0]?.code, 'KEY_REFRESH_FAILED');
});

t.test('a refresh by IK is refused', async t => {
  const one = aged();
  const remoteStatic = one.result.remoteStatic;
  one.attack(piece(1, one.refreshDriver({ remoteStatic }).start()));
  t.equal(one.closes[0]?.code, 'KEY_REFRESH_FAILED');
});

const first = (one: Victim): Uint8Array => piece(1, one.refreshDriver().start());

const violations: Record<string, (one: Victim) => void> = {
  'a second one at once': one => {
    refresh(one);
    one.attack(first(one));
  },
  'a second one after nine seconds': one => {
    refresh(one);
    one.env.advance(9_000);
    one.attack(first(one));
  },
  'a second first message': one => {
    one.attack(first(one));
    one.attack(first(one));
  },
  'an answer that nobody asked for': one => one.attack(piece(2, new Uint8Array(100))),
  'a last message without a first': one => one.attack(piece(3, new Uint8Array(100))),
  'a message of no number': one => one.attack(piece(0, new Uint8Array(100))),
  'a message of a higher number': one => one.attack(piece(4, new Uint8Array(100))),
  'pieces of two messages': one => {
    one.attack(piece(0x81, new Uint8Array(100)));
    one.attack(piece(2, new Uint8Array(100)));
  },
  'a first message that never ends': one => {
    for (let i = 0; i < 50; i++) one.attack(piece(0x81, new Uint8Array(100)));
  },
  'a last message above the limit': one => {
    one.attack(first(one));
    one.attack(piece(3, new Uint8Array(LIMITS.maxHandshakeBytes + 1)));
  },
  garbage: one => one.attack(piece(1, systemRandomBytes(1_000))),
};

for (const [name, violate] of Object.entries(violations)) {
  t.test(`${name}: the channel is closed`, async t => {
    const one = aged();
    violate(one);
    t.equal(one.closes[0]?.code, 'KEY_REFRESH_FAILED');
  });
}

t.test('a refresh on a channel that has just opened is a flood as well', async t => {
  const one = victim();
  one.attack(first(one));
  t.equal(one.closes[0]?.code, 'KEY_REFRESH_FAILED');
});

t.test('sections of a refresh that cannot be are refused', async t => {
  for (const record of [
    section(SWITCH),
    section(SWITCH, Uint8Array.of(0)),
    concat(section(SWITCH), section(ASK)),
    section(REFRESH),
    section(REFRESH, Uint8Array.of(1)),
    concat(section(END, Uint8Array.of(0)), piece(1, new Uint8Array(100))),
    concat(section(END, Uint8Array.of(0)), section(SWITCH)),
  ]) {
    const one = aged();
    one.attack(record);
    t.equal(one.closes[0]?.code, 'DECODE_FAILED');
  }
});

t.test('a peer that lives but does not answer, or does not change over, is given up', async t => {
  const limits = { keyRefreshIntervalMs: 60_000 };
  for (const lower of ['victim', 'peer'] as const) {
    const one = victim({ lower, victim: { limits } });
    let asked: number | undefined;
    for (let ms = 0; ms < 70_000 && one.closes.length === 0; ms += 1_000) {
      one.env.advance(1_000);
      one.attack(section(ASK));
      if (messageOf(one, 1) !== undefined) asked ??= ms;
    }
    t.ok(asked !== undefined && asked <= 60_000, 'the victim begins at the latest after its interval');
    t.equal(one.closes[0]?.code, 'KEY_REFRESH_FAILED');
  }
  const lazy = aged();
  const driver = lazy.refreshDriver();
  lazy.attack(piece(1, driver.start()));
  const step = driver.receive(messageOf(lazy, 2) ?? EMPTY);
  lazy.attack(piece(3, step.reply ?? EMPTY));
  if (step.kind === 'done') lazy.useKeys({ rx: step.result.rx });
  for (let i = 0; i < 4; i++) {
    lazy.env.advance(1_000);
    lazy.attack(section(ASK));
    t.same(lazy.closes, []);
  }
  lazy.env.advance(2_000);
  t.equal(lazy.closes[0]?.code, 'KEY_REFRESH_FAILED', 'the old key of one direction is not kept');
});

t.test('a peer that declared throttled timers has ninety seconds to answer', async t => {
  const victimLimits = { limits: { keyRefreshIntervalMs: 60_000 } };
  const one = victim({ victim: victimLimits, peer: { throttledTimers: true } });
  let asked: number | undefined;
  let closed: number | undefined;
  for (let ms = 0; ms < 200_000 && closed === undefined; ms += 1_000) {
    one.env.advance(1_000);
    one.attack(section(ASK));
    if (messageOf(one, 1) !== undefined) asked ??= ms;
    if (one.channel.closed) closed = ms;
  }
  const waitedMs = (closed ?? 0) - (asked ?? 0);
  t.ok(waitedMs >= 89_000 && waitedMs <= 96_000, `${waitedMs} ms`);
  t.equal(one.closes[0]?.code, 'KEY_REFRESH_FAILED');
});

t.test('whoever holds the old keys after a refresh can neither send nor read', async t => {
  const one = aged();
  const { tx, rx } = one.result;
  refresh(one);
  const before = one.answers.length;
  one.channel.send(fromUtf8('secret'));
  one.env.settle();
  t.ok(one.answers.length > before);
  one.useKeys({ tx, rx });
  one.channel.send(fromUtf8('secret'));
  one.env.settle();
  t.same(one.answers.at(-1), EMPTY, 'the old key opens nothing');
  one.attack(section(NORMAL, message('forged')));
  t.equal(one.closes[0]?.code, 'DECRYPT_FAILED');
  t.equal(one.received.length, 0);
});

t.test('a thousand random sections of a refresh never throw', async t => {
  let random = 99;
  const next = (below: number): number => {
    random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0;
    return (random >>> 8) % below;
  };
  const bytes = systemRandomBytes(4_000);
  let closed = 0;
  let one = aged();
  const opening = one.refreshDriver().start();
  for (let i = 0; i < 1_000; i++) {
    if (one.channel.closed) {
      closed++;
      one = aged();
    }
    const number = [1, 2, 3, 0x81, 0x82, next(256)][next(6)] ?? 1;
    const body =
      [opening, opening.subarray(0, next(opening.length)), bytes.subarray(0, 1 + next(3_999))][next(3)] ?? EMPTY;
    one.attack(next(5) === 0 ? section([SWITCH, REKEY][next(2)] ?? SWITCH) : piece(number, body));
  }
  t.ok(closed > 500);
});
