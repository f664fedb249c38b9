/** Whatever a handshake derives and does not hand out is zeroed when it ends, however it ends. */
import t from 'tap';
import { EMPTY, fromUtf8 } from '../../lib/bytes.js';
import { HandshakeDriver, type HandshakeOptions } from '../../lib/channel/index.js';
import { type CryptoProvider, defaultCrypto, nobleCrypto, systemRandomBytes } from '../../lib/crypto/index.js';
import { unixMs } from '../../lib/env.js';
import { Identity } from '../../lib/identity/index.js';
import { Exporter, HandshakeState, parseProtocolName } from '../../lib/noise/index.js';

interface Recorded {
  readonly what: string;
  readonly bytes: Uint8Array;
}

/** A provider, and a source of randomness, that keep every secret array which they gave out or made a key of. */
class Recorder {
  readonly secrets: Recorded[] = [];
  readonly crypto: CryptoProvider;

  constructor(base: CryptoProvider) {
    const keep = this.#keep;
    const { mlKem768 } = base;
    const { encapsulateRandomly } = mlKem768;
    this.crypto = {
      ...base,
      hash: name => {
        const hash = base.hash(name);
        return { ...hash, hmac: (key, ...parts) => keep('output of HKDF', hash.hmac(key, ...parts)) };
      },
      dhKeyPair: secret => {
        const pair = base.dhKeyPair(secret);
        return {
          publicKey: pair.publicKey,
          dh: publicKey => keep('DH result', pair.dh(publicKey)),
          destroy: () => pair.destroy(),
        };
      },
      mlKem768: {
        ...mlKem768,
        keyPair: seed => {
          const pair = mlKem768.keyPair(seed);
          keep('KEM secret key', pair.secretKey);
          return pair;
        },
        encapsulate: (publicKey, seed) => {
          const made = mlKem768.encapsulate(publicKey, seed);
          keep('KEM shared secret', made.sharedSecret);
          return made;
        },
        ...(encapsulateRandomly && {
          encapsulateRandomly: (publicKey: Uint8Array) => {
            const made = encapsulateRandomly(publicKey);
            keep('KEM shared secret', made.sharedSecret);
            return made;
          },
        }),
        decapsulate: (ciphertext, secretKey) => keep('KEM shared secret', mlKem768.decapsulate(ciphertext, secretKey)),
      },
    };
  }

  readonly rng = (length: number): Uint8Array => this.#keep('random secret', systemRandomBytes(length));

  /** What was left. */
  get left(): readonly string[] {
    return this.secrets.filter(({ bytes }) => bytes.some(byte => byte !== 0)).map(({ what }) => what);
  }

  readonly #keep = (what: string, bytes: Uint8Array): Uint8Array => {
    this.secrets.push({ what, bytes });
    return bytes;
  };
}

const PROTOCOLS = [
  'Noise_XX_25519_ChaChaPoly_SHA256',
  'Noise_IKpsk2_25519_AESGCM_BLAKE2s',
  'Noise_XXhfs+psk3_25519+MLKEM768_ChaChaPoly_SHA256',
  'Noise_IKhfs_25519+MLKEM768_AESGCM_SHA512',
];

function pair(protocolName: string, recorder: Recorder): [HandshakeState, HandshakeState] {
  const { crypto, rng } = recorder;
  const { preMessages, messages } = parseProtocolName(protocolName).pattern;
  const psks = messages.flatMap(m => m.tokens.filter(token => token === 'psk')).map(() => new Uint8Array(32).fill(7));
  const [ofInitiator, ofResponder] = [1, 2].map(n => crypto.dhKeyPair(new Uint8Array(32).fill(n)));
  if (ofInitiator === undefined || ofResponder === undefined) throw new Error('two key pairs');
  const common = { crypto, rng, protocolName, psks };
  const known = preMessages.length > 0 ? { remoteStatic: ofResponder.publicKey } : {};
  return [
    new HandshakeState({ ...common, initiator: true, staticKey: ofInitiator, ...known }),
    new HandshakeState({ ...common, initiator: false, staticKey: ofResponder }),
  ];
}

/** Writes and reads the first `count` messages; `tamper` changes the last of them. */
function run([initiator, responder]: [HandshakeState, HandshakeState], count: number, tamper = false): void {
  for (let i = 0; i < count; i++) {
    const [writer, reader] = initiator.isMyTurn ? [initiator, responder] : [responder, initiator];
    const message = writer.writeMessage(fromUtf8('payload'));
    if (tamper && i === count - 1) message[message.length - 1] = (message.at(-1) ?? 0) ^ 1;
    reader.readMessage(message);
  }
}

for (const base of [defaultCrypto(), nobleCrypto()]) {
  for (const protocolName of PROTOCOLS) {
    const messages = parseProtocolName(protocolName).pattern.messages.length;

    t.test(
      `${base.name} ${protocolName}: a finished handshake leaves the exporter's secret alone, and then nothing`,
      async t => {
        const recorder = new Recorder(base);
        const ends = pair(protocolName, recorder);
        run(ends, messages);
        const results = ends.map(end => end.split());
        t.strictSame(recorder.left, ['output of HKDF', 'output of HKDF'], 'one exporter at each end');
        for (const { exporter, initiatorToResponder, responderToInitiator } of results) {
          for (const it of [exporter, initiatorToResponder, responderToInitiator]) it.destroy();
        }
        t.strictSame(recorder.left, []);
        const kinds = new Set(recorder.secrets.map(({ what }) => what));
        t.ok(kinds.has('DH result') && kinds.has('output of HKDF') && kinds.has('random secret'));
        if (protocolName.includes('hfs')) t.ok(kinds.has('KEM secret key') && kinds.has('KEM shared secret'));
      },
    );

    t.test(`${base.name} ${protocolName}: so do one that is given up at any point and one that fails`, async t => {
      for (let count = 0; count <= messages; count++) {
        const recorder = new Recorder(base);
        const ends = pair(protocolName, recorder);
        run(ends, count);
        for (const end of ends) end.destroy();
        t.strictSame(recorder.left, [], `after ${count} messages`);
      }
      const recorder = new Recorder(base);
      const ends = pair(protocolName, recorder);
      t.throws(() => run(ends, messages, true), { code: 'HANDSHAKE_FAILED' });
      for (const end of ends) end.destroy();
      t.strictSame(recorder.left, []);
    });
  }
}

const now = unixMs(1_800_000_000_000);

function drivers(recorder: Recorder, psk: Uint8Array): [HandshakeDriver, HandshakeDriver] {
  const { crypto, rng } = recorder;
  const end = (role: HandshakeOptions['role']) => {
    const seeds = { identity: systemRandomBytes(32), static: systemRandomBytes(32) };
    const identity = new Identity({ crypto, seeds, networkId: 'test', now });
    return new HandshakeDriver({
      crypto,
      identity,
      networkId: 'test',
      role,
      context: 'channel',
      random: rng,
      now,
      psk,
    });
  };
  return [end('initiator'), end('responder')];
}

t.test(
  'the handshake of a channel leaves nothing once its result is destroyed, and spares the psk of the caller',
  async t => {
    const recorder = new Recorder(defaultCrypto());
    const psk = new Uint8Array(32).fill(7);
    const [initiator, responder] = drivers(recorder, psk);
    let message: Uint8Array | undefined = initiator.start();
    const results = [];
    for (let receiver = responder; message !== undefined; receiver = receiver === responder ? initiator : responder) {
      const step = receiver.receive(message);
      if (step.kind === 'failed') throw step.error;
      if (step.kind === 'done') results.push(step.result);
      message = step.reply;
    }
    t.equal(results.length, 2);
    for (const result of results) result.destroy();
    t.strictSame(recorder.left, []);
    t.strictSame(psk, new Uint8Array(32).fill(7));
  },
);

t.test(
  'a handshake of a channel that fails leaves nothing at the end that noticed, nor at the other once destroyed',
  async t => {
    const recorder = new Recorder(defaultCrypto());
    const [initiator, responder] = drivers(recorder, new Uint8Array(32).fill(7));
    const answer = responder.receive(initiator.start());
    const changed = new Uint8Array(answer.reply ?? EMPTY);
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
    t.equal(initiator.receive(changed).kind, 'failed');
    responder.destroy();
    t.strictSame(recorder.left, []);
  },
);

t.test('a key of a cipher is bytes that are zeroed when it is destroyed, by both backends', async t => {
  for (const crypto of [defaultCrypto(), nobleCrypto()]) {
    for (const name of ['ChaChaPoly', 'AESGCM'] as const) {
      const key = crypto.aead(name).key(systemRandomBytes(32));
      key.destroy();
      t.throws(() => key.seal(new Uint8Array(12), EMPTY, EMPTY), { code: 'INVALID_STATE' });
    }
  }
});

t.test('an exported secret has nothing behind it in its buffer', async t => {
  const exporter = new Exporter(defaultCrypto().hash('SHA256'), new Uint8Array(32).fill(1), new Uint8Array(32).fill(2));
  const exported = exporter.export('label', 20);
  t.ok(new Uint8Array(exported.buffer).subarray(20).every(byte => byte === 0));
});
