import assert from 'node:assert/strict';
import t from 'tap';
import { concat, EMPTY, fromUtf8, toHex } from '../../lib/bytes.js';
import { type CryptoProvider, nobleCrypto, nodeCrypto, systemRandomBytes } from '../../lib/crypto/index.js';
import {
  CipherState,
  Exporter,
  type HandshakeOptions,
  type HandshakeResult,
  HandshakeState,
  PATTERN_NAMES,
  parsePattern,
  parseProtocolName,
} from '../../lib/noise/index.js';

const node = nodeCrypto() ?? assert.fail('no node:crypto');
const noble = nobleCrypto();
const rng = systemRandomBytes;
const CIPHERS = ['ChaChaPoly', 'AESGCM'] as const;
const filled = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);
const PSK = filled(7);

interface Pair {
  readonly initiator: HandshakeState;
  readonly responder: HandshakeState;
}

/** Both ends of a handshake, the initiator on node:crypto and the responder on @noble. */
function pair(protocolName: string, change: Partial<HandshakeOptions> = {}): Pair {
  const { preMessages, messages } = parseProtocolName(protocolName).pattern;
  const staticKeys = { initiator: node.dhKeyPair(rng(32)), responder: noble.dhKeyPair(rng(32)) };
  const knows = (fromInitiator: boolean) =>
    preMessages.some(line => line.fromInitiator === fromInitiator && line.tokens.includes('s'));
  const psks = messages.flatMap(m => m.tokens.filter(token => token === 'psk')).map(() => PSK);
  const side = (initiator: boolean, crypto: CryptoProvider): HandshakeState => {
    const [own, other] = initiator
      ? [staticKeys.initiator, staticKeys.responder]
      : [staticKeys.responder, staticKeys.initiator];
    return new HandshakeState({
      crypto,
      rng,
      protocolName,
      initiator,
      staticKey: own,
      psks,
      ...(knows(!initiator) ? { remoteStatic: other.publicKey } : {}),
      ...(initiator ? {} : change),
    });
  };
  return { initiator: side(true, node), responder: side(false, noble) };
}

/** Runs a handshake; `tamper` may change each message on its way. */
function run(
  { initiator, responder }: Pair,
  tamper: (message: Uint8Array, index: number) => Uint8Array = m => m,
): [HandshakeResult, HandshakeResult] {
  for (let index = 0; !initiator.isFinished || !responder.isFinished; index++) {
    const [writer, reader] = initiator.isMyTurn ? [initiator, responder] : [responder, initiator];
    const message = tamper(writer.writeMessage(fromUtf8(`payload ${index}`)), index);
    reader.readMessage(message);
    message.fill(0); // a transport may use the memory again as soon as the call returns
  }
  return [initiator.split(), responder.split()];
}

function cipherPair(name: 'ChaChaPoly' | 'AESGCM'): [CipherState, CipherState] {
  const key = rng(32);
  const [a, b] = [new CipherState(node.aead(name)), new CipherState(noble.aead(name))];
  a.initializeKey(key);
  b.initializeKey(key);
  return [a, b];
}

t.test('n is exact at every boundary up to 2^64-2, and 2^64-1 is never used', async t => {
  for (const cipher of CIPHERS) {
    const [sealing, opening] = cipherPair(cipher);
    for (const n of [0n, 2n ** 31n - 1n, 2n ** 32n - 1n, 2n ** 53n - 1n, 2n ** 64n - 3n]) {
      sealing.setNonce(n);
      opening.setNonce(n);
      for (const message of ['one', 'two']) {
        const opened = opening.decryptWithAd(EMPTY, sealing.encryptWithAd(EMPTY, fromUtf8(message)));
        t.strictSame(opened, fromUtf8(message), `${cipher} from ${n}`);
      }
      t.equal(sealing.nonce, n + 2n);
      t.equal(opening.nonce, n + 2n);
    }
    t.equal(sealing.nonce, 2n ** 64n - 1n);
    t.throws(() => sealing.encryptWithAd(EMPTY, EMPTY), { code: 'NONCE_EXHAUSTED' });
    t.throws(() => sealing.encryptPartsWithAd(EMPTY, [EMPTY]), { code: 'NONCE_EXHAUSTED' });
    t.throws(() => opening.decryptWithAd(EMPTY, new Uint8Array(16)), { code: 'NONCE_EXHAUSTED' });
    t.throws(() => sealing.encryptAt(0xffff_ffff, 0xffff_ffff, EMPTY, EMPTY), { code: 'NONCE_EXHAUSTED' });
    t.equal(opening.decryptAt(0xffff_ffff, 0xffff_ffff, EMPTY, new Uint8Array(16)), undefined);
    t.equal(sealing.nonce, 2n ** 64n - 1n);
  }
});

t.test('n reaches the cipher in the byte order of the specification', async t => {
  const key = rng(32);
  const orders = { ChaChaPoly: [0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1], AESGCM: [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8] };
  for (const cipher of CIPHERS) {
    const state = new CipherState(noble.aead(cipher));
    state.initializeKey(key);
    state.setNonce(0x0102030405060708n);
    const expected = node.aead(cipher).key(key).seal(Uint8Array.from(orders[cipher]), EMPTY, fromUtf8('x'));
    t.strictSame(state.encryptWithAd(EMPTY, fromUtf8('x')), expected);
    t.strictSame(state.encryptAt(0x01020304, 0x05060708, EMPTY, fromUtf8('x')), expected);
  }
});

t.test('a message that does not open leaves n where it was, so that the right one opens after it', async t => {
  for (const cipher of CIPHERS) {
    const [sealing, opening] = cipherPair(cipher);
    const sealed = sealing.encryptWithAd(fromUtf8('ad'), fromUtf8('text'));
    for (let i = 0; i < sealed.length; i++) {
      const flipped = sealed.slice();
      flipped[i] = (flipped[i] ?? 0) ^ 1;
      t.equal(opening.decryptWithAd(fromUtf8('ad'), flipped), undefined);
      t.equal(opening.decryptWithAd(fromUtf8('ad'), sealed.subarray(0, i)), undefined);
    }
    t.equal(opening.decryptWithAd(fromUtf8('da'), sealed), undefined);
    t.equal(opening.nonce, 0n);
    t.strictSame(opening.decryptWithAd(fromUtf8('ad'), sealed), fromUtf8('text'));
  }
});

t.test('parts are sealed as their concatenation, counted or under an explicit n', async t => {
  for (const cipher of CIPHERS) {
    const [sealing, opening] = cipherPair(cipher);
    const parts = [rng(5), EMPTY, rng(1000), rng(3)];
    t.strictSame(opening.decryptWithAd(EMPTY, concat(...sealing.encryptPartsWithAd(EMPTY, parts))), concat(...parts));
    const packet = concat(...sealing.encryptPartsAt(1, 2, EMPTY, parts));
    t.strictSame(opening.decryptAt(1, 2, EMPTY, packet), concat(...parts));
    t.equal(opening.decryptAt(2, 1, EMPTY, packet), undefined);
    t.equal(sealing.nonce, 1n, 'an explicit n does not count');
  }
});

t.test('rekeying keeps n, agrees at both ends, and makes what was sealed before unreadable', async t => {
  for (const cipher of CIPHERS) {
    const [sealing, opening] = cipherPair(cipher);
    const before = sealing.encryptWithAd(EMPTY, fromUtf8('before'));
    sealing.rekey();
    t.equal(sealing.nonce, 1n);
    const after = sealing.encryptWithAd(EMPTY, fromUtf8('after'));
    opening.rekey();
    t.equal(opening.decryptWithAd(EMPTY, before), undefined);
    opening.setNonce(1n);
    t.strictSame(opening.decryptWithAd(EMPTY, after), fromUtf8('after'));
  }
});

t.test('a destroyed cipher state never passes plaintext through', async t => {
  const [state] = cipherPair('ChaChaPoly');
  state.destroy();
  t.throws(() => state.encryptWithAd(EMPTY, fromUtf8('secret')), { code: 'INVALID_STATE' });
  t.throws(() => state.decryptWithAd(EMPTY, new Uint8Array(32)), { code: 'INVALID_STATE' });
  t.throws(() => state.encryptAt(0, 0, EMPTY, EMPTY), { code: 'INVALID_STATE' });
  t.throws(() => state.initializeKey(rng(32)), { code: 'INVALID_STATE' });
});

t.test('modifiers change patterns as the specification writes them', async t => {
  const written = (name: string) =>
    parsePattern(name).messages.map(m => `${m.fromInitiator ? '->' : '<-'} ${m.tokens.join(', ')}`);
  t.strictSame(written('IKpsk2'), ['-> e, es, s, ss', '<- e, ee, se, psk']);
  t.strictSame(written('NNpsk0+psk2'), ['-> psk, e', '<- e, ee, psk']);
  t.strictSame(written('XXfallback'), ['-> e, ee, s, se', '<- s, es']);
  t.strictSame(parsePattern('XXfallback').preMessages, [{ fromInitiator: false, tokens: ['e'] }]);
  t.strictSame(written('XXhfs'), ['-> e, e1', '<- e, ee, ekem1, s, es', '-> s, se']);
  t.strictSame(written('IKhfs'), ['-> e, es, e1, s, ss', '<- e, ee, ekem1, se']);
  t.strictSame(written('XXhfs+psk3'), ['-> e, e1', '<- e, ee, ekem1, s, es', '-> s, se, psk']);
  t.equal(PATTERN_NAMES.length, 38);
});

t.test('a protocol name that is malformed or not offered is refused before anything is sent', async t => {
  for (const name of [
    '',
    'Noise_XX_25519_ChaChaPoly',
    'Noise_XX_25519_ChaChaPoly_SHA256_',
    'noise_XX_25519_ChaChaPoly_SHA256',
    'Noise_XX_448_ChaChaPoly_SHA256',
    'Noise_XXhfs_25519_ChaChaPoly_SHA256',
    'Noise_XX_25519+MLKEM768_ChaChaPoly_SHA256',
    'Noise_XXpsk4_25519_ChaChaPoly_SHA256',
    'Noise_XXnoauth_25519_ChaChaPoly_SHA256',
    'Noise_NKfallback_25519_ChaChaPoly_SHA256',
    'Noise_Nhfs_25519+MLKEM768_ChaChaPoly_SHA256',
  ]) {
    t.throws(() => parseProtocolName(name), { code: 'INVALID_ARGUMENT' }, name);
  }
});

const TAMPERED = [
  'Noise_XX_25519_ChaChaPoly_SHA256',
  'Noise_IK_25519_AESGCM_BLAKE2s',
  'Noise_IKpsk2_25519_ChaChaPoly_SHA256',
  'Noise_XXpsk3_25519_AESGCM_SHA256',
  'Noise_XXhfs_25519+MLKEM768_ChaChaPoly_SHA256',
  'Noise_IKhfs_25519+MLKEM768_AESGCM_SHA256',
];

t.test('both backends agree on every handshake that a channel uses, payloads and keys of both directions', async t => {
  for (const protocolName of TAMPERED) {
    const ends = pair(protocolName);
    const [ofInitiator, ofResponder] = run(ends);
    for (const direction of ['initiatorToResponder', 'responderToInitiator'] as const) {
      const sealed = ofInitiator[direction].encryptWithAd(EMPTY, fromUtf8('hello'));
      t.strictSame(ofResponder[direction].decryptWithAd(EMPTY, sealed), fromUtf8('hello'));
    }
    t.strictSame(ofInitiator.handshakeHash, ofResponder.handshakeHash);
    t.strictSame(ofInitiator.exporter.export('a', 80), ofResponder.exporter.export('a', 80));
    t.not(toHex(ofInitiator.exporter.export('a', 32)), toHex(ofInitiator.exporter.export('b', 32)));
    t.throws(() => ends.initiator.split(), { code: 'INVALID_STATE' });
  }
});

/** With a bit flipped or its end cut off, a message is refused at once or, where it was unauthenticated, at the end. */
t.test('no handshake finishes at both ends when a bit of any message was flipped or its end cut off', async t => {
  for (const protocolName of TAMPERED) {
    const messages = parseProtocolName(protocolName).pattern.messages.length;
    for (let target = 0; target < messages; target++) {
      for (const place of [0, 0.01, 0.25, 0.5, 0.75, 0.99]) {
        const flip = (message: Uint8Array, index: number): Uint8Array => {
          if (index !== target) return message;
          const flipped = message.slice();
          const at = Math.floor(place * message.length);
          flipped[at] = (flipped[at] ?? 0) ^ 1;
          return flipped;
        };
        const cut = (message: Uint8Array, index: number): Uint8Array =>
          index === target ? message.subarray(0, Math.floor(place * message.length)) : message;
        t.throws(
          () => run(pair(protocolName), flip),
          { code: 'HANDSHAKE_FAILED' },
          `${protocolName} ${target} ${place}`,
        );
        t.throws(
          () => run(pair(protocolName), cut),
          { code: 'HANDSHAKE_FAILED' },
          `${protocolName} ${target} ${place}`,
        );
      }
    }
  }
});

t.test('different prologues, pre-shared keys or expected static keys end the handshake', async t => {
  const other = node.dhKeyPair(rng(32)).publicKey;
  const fails = (protocolName: string, change: Partial<HandshakeOptions>) =>
    t.throws(() => run(pair(protocolName, change)), { code: 'HANDSHAKE_FAILED' });
  fails('Noise_XX_25519_ChaChaPoly_SHA256', { prologue: fromUtf8('other') });
  fails('Noise_IKpsk2_25519_ChaChaPoly_SHA256', { psks: [rng(32)] });
  fails('Noise_KK_25519_ChaChaPoly_SHA256', { remoteStatic: other });
  fails('Noise_IK_25519_ChaChaPoly_SHA256', { staticKey: noble.dhKeyPair(rng(32)) });
});

t.test('keys of small order are refused by both backends, in a handshake and alone', async t => {
  for (const crypto of [node, noble]) {
    const smallOrder = new Uint8Array(32);
    t.throws(() => crypto.dhKeyPair(rng(32)).dh(smallOrder), { code: 'HANDSHAKE_FAILED' });
    t.throws(() => crypto.dhKeyPair(rng(32)).dh(new Uint8Array(31)), { code: 'HANDSHAKE_FAILED' });
    const responder = new HandshakeState({
      crypto,
      rng,
      protocolName: 'Noise_NK_25519_ChaChaPoly_SHA256',
      initiator: false,
      staticKey: crypto.dhKeyPair(rng(32)),
    });
    t.throws(() => responder.readMessage(new Uint8Array(48)), { code: 'HANDSHAKE_FAILED' });
    t.throws(() => responder.readMessage(new Uint8Array(48)), { code: 'INVALID_STATE' }, 'a failed handshake is over');
  }
});

t.test('mistakes of the caller are found when the handshake is created or at the wrong turn', async t => {
  const protocolName = 'Noise_IKpsk2_25519_ChaChaPoly_SHA256';
  const staticKey = node.dhKeyPair(rng(32));
  const good = { crypto: node, rng, protocolName, initiator: true, staticKey, remoteStatic: rng(32), psks: [PSK] };
  const { staticKey: _s, ...withoutStatic } = good;
  const { remoteStatic: _r, ...withoutRemote } = good;
  const bad: HandshakeOptions[] = [
    withoutStatic,
    withoutRemote,
    { ...good, remoteStatic: rng(31) },
    { ...good, psks: [] },
    { ...good, psks: [rng(31)] },
    { ...good, initiator: false },
  ];
  for (const options of bad) t.throws(() => new HandshakeState(options), { code: 'INVALID_ARGUMENT' });
  const state = new HandshakeState(good);
  t.throws(() => state.readMessage(EMPTY), { code: 'INVALID_STATE' });
  t.throws(() => state.split(), { code: 'INVALID_STATE' });
  state.writeMessage(EMPTY);
  t.throws(() => state.writeMessage(EMPTY), { code: 'INVALID_STATE' });
});

t.test('a message of more than 65,535 bytes is neither written nor read', async t => {
  const { initiator, responder } = pair('Noise_XX_25519_ChaChaPoly_SHA256');
  t.throws(() => initiator.writeMessage(new Uint8Array(65_535 - 31)), { code: 'INVALID_ARGUMENT' });
  t.throws(() => responder.readMessage(new Uint8Array(65_536)), { code: 'HANDSHAKE_FAILED' });
  const fits = pair('Noise_XX_25519_ChaChaPoly_SHA256');
  t.equal(fits.responder.readMessage(fits.initiator.writeMessage(new Uint8Array(65_535 - 32))).length, 65_535 - 32);
});

t.test(
  'a handshake keeps nothing of the Buffer that it read a message from, which is overwritten afterwards',
  async t => {
    for (const protocolName of [...TAMPERED, 'Noise_IX_25519_ChaChaPoly_SHA256']) {
      const [ofInitiator, ofResponder] = run(pair(protocolName), message => Buffer.from(message));
      t.strictSame(ofInitiator.handshakeHash, ofResponder.handshakeHash);
    }
  },
);

t.test('after a failed IK both ends fall back to XX, with new keys known to both', async t => {
  const ends = pair('Noise_IK_25519_ChaChaPoly_SHA256', { staticKey: noble.dhKeyPair(rng(32)) });
  const first = ends.initiator.writeMessage(EMPTY);
  t.throws(() => ends.responder.readMessage(first), { code: 'HANDSHAKE_FAILED' });
  const protocolName = 'Noise_XXfallback_25519_ChaChaPoly_SHA256';
  const [alice, bob] = [node.dhKeyPair(rng(32)), noble.dhKeyPair(rng(32))];
  const initiator = ends.responder.fallback({ protocolName, staticKey: bob });
  const responder = ends.initiator.fallback({ protocolName, staticKey: alice });
  const [ofBob, ofAlice] = run({ initiator, responder });
  t.strictSame(ofBob.remoteStatic, alice.publicKey);
  t.strictSame(ofAlice.remoteStatic, bob.publicKey);
  t.strictSame(ofBob.exporter.export('x', 32), ofAlice.exporter.export('x', 32));
});

t.test('the exporter depends on secrets that the public handshake hash does not give', async t => {
  const [{ exporter, handshakeHash }] = run(pair('Noise_XX_25519_ChaChaPoly_SHA256'));
  const exported = exporter.export('label', 32);
  t.not(toHex(exported), toHex(handshakeHash));
  t.equal(exporter.export('label', 1000).length, 1000);
  t.throws(() => exporter.export('label', 255 * 32 + 1), { code: 'INVALID_ARGUMENT' });
  exporter.destroy();
  t.throws(() => exporter.export('label', 32), { code: 'INVALID_STATE' });
  const exported32 = (chainingKey: number, hash: number) =>
    toHex(new Exporter(node.hash('SHA256'), filled(chainingKey), filled(hash)).export('label', 32));
  t.equal(exported32(1, 2), exported32(1, 2));
  t.not(exported32(1, 2), exported32(3, 2), 'another chaining key, the same public hash');
  t.not(exported32(1, 2), exported32(1, 3), 'another handshake hash');
});

t.test('a handshake that is destroyed midway zeroes the pre-shared key it copied, not the caller’s', async t => {
  const psk = rng(32);
  const before = toHex(psk);
  const { initiator } = pair('Noise_NNpsk0_25519_ChaChaPoly_SHA256');
  initiator.destroy();
  t.throws(() => initiator.writeMessage(EMPTY), { code: 'INVALID_STATE' });
  t.equal(toHex(psk), before);
});
