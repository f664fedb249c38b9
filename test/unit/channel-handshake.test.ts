import t from 'tap';
import { concat, fromUtf8 } from '../../lib/bytes.js';
import {
  HandshakeDriver,
  type HandshakeOptions,
  type HandshakeResult,
  type HandshakeStep,
} from '../../lib/channel/index.js';
import { nobleCrypto, reproducibleCrypto, systemRandomBytes } from '../../lib/crypto/index.js';
import { unixMs } from '../../lib/env.js';
import { Identity } from '../../lib/identity/index.js';

const crypto = reproducibleCrypto();
const now = unixMs(1_800_000_000_000);
const random = systemRandomBytes;

function identity(networkId = 'test', issued = now): Identity {
  return new Identity({ crypto, seeds: { identity: random(32), static: random(32) }, networkId, now: issued });
}

const alice = identity();
const bob = identity();

type Overrides = Partial<HandshakeOptions>;

function ends(a: Overrides = {}, b: Overrides = {}): [HandshakeDriver, HandshakeDriver] {
  const common = { crypto, networkId: 'test', context: 'channel', random, now } as const;
  return [
    new HandshakeDriver({ ...common, role: 'initiator', identity: alice, ...a }),
    new HandshakeDriver({ ...common, role: 'responder', identity: bob, ...b }),
  ];
}

interface Run {
  readonly initiator: HandshakeStep;
  readonly responder: HandshakeStep;
  readonly messages: readonly Uint8Array[];
}

/** Carries messages between two ends until both are done or one has failed. */
function run(
  [a, b]: [HandshakeDriver, HandshakeDriver],
  change = (m: Uint8Array, _index: number): Uint8Array => m,
): Run {
  const messages: Uint8Array[] = [];
  let initiator: HandshakeStep | undefined;
  let responder: HandshakeStep | undefined;
  let message: Uint8Array | undefined = a.start();
  for (let turn = 0; message !== undefined; turn++) {
    messages.push(message);
    const step: HandshakeStep = (turn % 2 === 0 ? b : a).receive(change(message, turn));
    if (turn % 2 === 0) responder = step;
    else initiator = step;
    message = step.reply;
  }
  if (initiator === undefined || responder === undefined) throw new Error('the handshake did not run');
  return { initiator, responder, messages };
}

function done(step: HandshakeStep): HandshakeResult {
  if (step.kind !== 'done') throw step.kind === 'failed' ? step.error : new Error('still under way');
  return step.result;
}

const codeOf = (step: HandshakeStep): string => (step.kind === 'failed' ? step.error.code : step.kind);

const psk = random(32);
const remoteStatic = bob.staticKey.publicKey;
const forms: readonly [string, Overrides, Overrides, string][] = [
  ['hybrid XX', {}, {}, 'Noise_XXhfs_25519+MLKEM768_AESGCM_SHA256'],
  ['hybrid IK', { remoteStatic }, {}, 'Noise_IKhfs_25519+MLKEM768_AESGCM_SHA256'],
  ['classical XX', { postQuantum: 'off' }, { postQuantum: 'off' }, 'Noise_XX_25519_AESGCM_SHA256'],
  [
    'classical IK with ChaChaPoly',
    { postQuantum: 'off', remoteStatic, ciphers: ['ChaChaPoly'] },
    { postQuantum: 'off' },
    'Noise_IK_25519_ChaChaPoly_SHA256',
  ],
  ['hybrid XX with a pre-shared key', { psk }, { psk }, 'Noise_XXhfs+psk3_25519+MLKEM768_AESGCM_SHA256'],
  ['hybrid IK with a pre-shared key', { psk, remoteStatic }, { psk }, 'Noise_IKhfs+psk2_25519+MLKEM768_AESGCM_SHA256'],
  ['node:crypto against @noble', {}, { crypto: nobleCrypto() }, 'Noise_XXhfs_25519+MLKEM768_AESGCM_SHA256'],
];

for (const [name, a, b, suite] of forms) {
  t.test(`${name}: both ends learn who the other is and share keys and exported secrets`, async t => {
    const { initiator, responder, messages } = run(ends({ ...a, capabilities: fromUtf8('trade') }, b));
    const [here, there] = [done(initiator), done(responder)];
    t.equal(here.suite, suite);
    t.equal(there.suite, suite);
    t.equal(here.peer, bob.peer);
    t.equal(there.peer, alice.peer);
    t.same(there.capabilities, fromUtf8('trade'));
    t.same(here.handshakeHash, there.handshakeHash);
    t.same(here.exportSecret('label', 48), there.exportSecret('label', 48));
    t.notSame(here.exportSecret('label', 32), there.exportSecret('other', 32));
    for (const [tx, rx] of [
      [here.tx, there.rx],
      [there.tx, here.rx],
    ] as const) {
      const sealed = concat(...tx.encryptPartsWithAd(new Uint8Array(0), [fromUtf8('order')]));
      t.same(rx.decryptWithAd(new Uint8Array(0), sealed), fromUtf8('order'));
    }
    t.equal(there.confirmed, a.remoteStatic === undefined, 'only IK leaves its initiator unproven');
    t.ok((messages[0]?.length ?? 0) <= 4_096);
    t.ok(messages.length === (a.remoteStatic === undefined ? 3 : 2));
  });
}

t.test('every flipped byte of every message fails the handshake at one end or the other', async t => {
  for (const a of [{}, { remoteStatic }]) {
    const { messages } = run(ends(a));
    for (const [index, message] of messages.entries()) {
      for (let at = 0; at < message.length; at += message.length > 300 ? 97 : 13) {
        const { initiator, responder } = run(ends(a), (m, turn) => {
          const changed = new Uint8Array(m);
          if (turn === index) changed[at] = (changed[at] ?? 0) ^ 0x10;
          return changed;
        });
        t.ok(initiator.kind === 'failed' || responder.kind === 'failed', `message ${index}, byte ${at}`);
      }
    }
  }
});

t.test('a truncated, an empty and an oversized message fail without an exception', async t => {
  for (const cut of [0, 1, 5, 40, 1_000]) {
    const { responder } = run(ends(), m => m.subarray(0, cut));
    t.equal(codeOf(responder), 'HANDSHAKE_FAILED');
  }
  const first = run(ends(), m => concat(m, new Uint8Array(4_096)));
  t.equal(codeOf(first.responder), 'LIMIT_EXCEEDED');
  const second = run(ends(), (m, turn) => (turn === 1 ? concat(m, new Uint8Array(16_384)) : m));
  t.equal(codeOf(second.initiator), 'LIMIT_EXCEEDED');
});

t.test(
  'a classical proposal is a downgrade where the policy requires the hybrid, and is refused before any DH',
  async t => {
    const silent = {
      ...bob,
      peer: bob.peer,
      certificate: bob.certificate,
      staticKey: { ...bob.staticKey, dh: () => t.fail() },
    };
    const { responder } = run(ends({ postQuantum: 'off' }, { identity: silent as unknown as Identity }));
    t.equal(codeOf(responder), 'SUITE_DOWNGRADED');
  },
);

t.test('a weaker suite that somebody on the path puts into the proposal is found', async t => {
  // Both sides accept AESGCM and ChaChaPoly: the attacker makes the responder see the other preference.
  const { initiator } = run(ends(), (m, turn) => {
    const changed = new Uint8Array(m);
    if (turn === 0) changed[4] = changed[7] ?? 0;
    return changed;
  });
  t.equal(initiator.kind, 'failed');
});

t.test('another network, another context, another key or a missing one fail', async t => {
  const other = identity('other');
  const cases: readonly [Overrides, Overrides][] = [
    [{ networkId: 'other', identity: other }, {}],
    [{ context: 'session' }, {}],
    [{ psk }, { psk: random(32) }],
    [{ psk }, {}],
    [{}, { psk }],
    [{ remoteStatic: random(32) }, {}],
    [{ remoteStatic, context: 'session' }, {}],
  ];
  for (const [a, b] of cases) {
    const { initiator, responder } = run(ends(a, b));
    t.ok([codeOf(initiator), codeOf(responder)].includes('HANDSHAKE_FAILED'));
  }
});

t.test('certificates that are expired, of another network or of another key are refused', async t => {
  const expired = identity('test', unixMs(now - 8 * 86_400_000));
  t.equal(codeOf(run(ends({ identity: expired })).responder), 'CERTIFICATE_INVALID');
  const elsewhere = identity('other');
  t.equal(codeOf(run(ends({ identity: elsewhere })).responder), 'CERTIFICATE_INVALID');
  const borrowed = { peer: alice.peer, staticKey: identity().staticKey, certificate: alice.certificate };
  t.equal(codeOf(run(ends({ identity: borrowed })).responder), 'CERTIFICATE_INVALID');
});

t.test('an initiator that expects one peer refuses another, and a peer refuses itself', async t => {
  t.equal(codeOf(run(ends({ expectedPeer: alice.peer })).initiator), 'HANDSHAKE_FAILED');
  t.equal(codeOf(run(ends({ identity: bob })).initiator), 'HANDSHAKE_FAILED');
});

t.test('an IK that fails is refused in one byte, and the initiator knows that XX may succeed', async t => {
  const { initiator, messages } = run(ends({ remoteStatic: identity().staticKey.publicKey }));
  t.same(messages[1], Uint8Array.of(0));
  t.ok(initiator.kind === 'failed' && initiator.error.retryable);
  t.equal(run(ends()).initiator.kind, 'done');
});
