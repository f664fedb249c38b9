import assert from 'node:assert/strict';
import { ED25519_TORSION_SUBGROUP, ed25519 } from '@noble/curves/ed25519.js';
import { sha512 } from '@noble/hashes/sha2.js';
import t from 'tap';
import { concat, EMPTY, fromHex, fromUtf8, toHex } from '../../lib/bytes.js';
import {
  type AeadName,
  type CryptoProvider,
  calibrateAeads,
  defaultCrypto,
  type HashName,
  nobleCrypto,
  nodeCrypto,
  reproducibleCrypto,
  systemRandomBytes,
} from '../../lib/crypto/index.js';

const node = nodeCrypto() ?? assert.fail('no node:crypto');
const noble = nobleCrypto();
const BACKENDS = [node, noble];
const { Point } = ed25519;
const L = Point.Fn.ORDER;

const littleEndian = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes.toReversed())}`);
const scalarBytes = (value: bigint): Uint8Array => fromHex(value.toString(16).padStart(64, '0')).toReversed();

t.test('in Node the default backend is node:crypto', async t => {
  t.equal(defaultCrypto(), node);
});

t.test('both backends derive the same keys, hashes and signatures from the same secrets', async t => {
  const [secret, message] = [systemRandomBytes(32), systemRandomBytes(100)];
  const same = <T>(of: (crypto: typeof node) => T) => t.strictSame(of(node), of(noble));
  const peer = noble.dhKeyPair(systemRandomBytes(32)).publicKey;
  same(crypto => crypto.dhKeyPair(secret).publicKey);
  same(crypto => crypto.dhKeyPair(secret).dh(peer));
  same(crypto => crypto.signer(secret).publicKey);
  same(crypto => crypto.signer(secret).sign(message));
  for (const name of ['SHA256', 'SHA512', 'BLAKE2s', 'BLAKE2b'] satisfies HashName[]) {
    same(crypto => crypto.hash(name).digest(message, secret));
    same(crypto => crypto.hash(name).hmac(secret, message, secret));
    same(crypto => crypto.hash(name).hmac(secret, EMPTY));
    t.strictSame(node.hash(name).digest(message, secret), node.hash(name).digest(concat(message, secret)));
    t.equal(node.hash(name).digest().length, node.hash(name).hashLength);
  }
});

t.test('what a backend returns is a plain Uint8Array, whose slice is a copy', async t => {
  const key = node.aead('AESGCM').key(systemRandomBytes(32));
  const nonce = new Uint8Array(12);
  const sealed = key.seal(nonce, EMPTY, fromUtf8('text'));
  const results = [
    sealed,
    ...key.sealParts(nonce, EMPTY, [fromUtf8('text')]),
    key.open(nonce, EMPTY, sealed),
    node.hash('SHA256').digest(EMPTY),
    node.hash('SHA256').hmac(EMPTY, EMPTY),
    node.dhKeyPair(systemRandomBytes(32)).publicKey,
    node.signer(systemRandomBytes(32)).sign(EMPTY),
  ];
  for (const bytes of results) t.equal(bytes?.constructor, Uint8Array);
});

t.test('keys of a wrong length and destroyed keys are refused by both backends alike', async t => {
  for (const crypto of BACKENDS) {
    const wrong = new Uint8Array(31);
    for (const use of [crypto.dhKeyPair, crypto.signer, crypto.aead('AESGCM').key, crypto.aead('ChaChaPoly').key]) {
      t.throws(() => use(wrong), { code: 'INVALID_ARGUMENT' });
    }
    const [pair, signer, key] = [
      crypto.dhKeyPair(systemRandomBytes(32)),
      crypto.signer(systemRandomBytes(32)),
      crypto.aead('ChaChaPoly').key(systemRandomBytes(32)),
    ];
    for (const secret of [pair, signer, key]) secret.destroy();
    t.throws(() => pair.dh(pair.publicKey), { code: 'INVALID_STATE' });
    t.throws(() => signer.sign(EMPTY), { code: 'INVALID_STATE' });
    t.throws(() => key.seal(new Uint8Array(12), EMPTY, EMPTY), { code: 'INVALID_STATE' });
    t.throws(() => key.open(new Uint8Array(12), EMPTY, new Uint8Array(16)), { code: 'INVALID_STATE' });
  }
});

t.test('a key is copied: zeroing or changing the bytes it came from changes nothing', async t => {
  for (const crypto of BACKENDS) {
    const secret = systemRandomBytes(32);
    const again = secret.slice();
    const [pair, signer, key] = [crypto.dhKeyPair(secret), crypto.signer(secret), crypto.aead('AESGCM').key(secret)];
    secret.fill(0);
    const { publicKey } = crypto.dhKeyPair(systemRandomBytes(32));
    t.strictSame(pair.dh(publicKey), crypto.dhKeyPair(again).dh(publicKey));
    t.strictSame(signer.sign(EMPTY), crypto.signer(again).sign(EMPTY));
    const seal = (sealing: typeof key) => sealing.seal(new Uint8Array(12), EMPTY, EMPTY);
    t.strictSame(seal(key), seal(crypto.aead('AESGCM').key(again)));
  }
});

t.test('a signature whose length is not 64, or whose S is not reduced, is refused by both backends', async t => {
  const signer = node.signer(systemRandomBytes(32));
  const message = fromUtf8('message');
  const signature = signer.sign(message);
  const s = littleEndian(signature.subarray(32));
  const malleable = concat(signature.subarray(0, 32), scalarBytes(s + L));
  for (const crypto of BACKENDS) {
    t.ok(crypto.verify(signer.publicKey, message, signature));
    t.notOk(crypto.verify(signer.publicKey, message, malleable));
    t.notOk(crypto.verify(signer.publicKey, message, concat(signature, EMPTY, Uint8Array.of(0))));
    t.notOk(crypto.verify(signer.publicKey, message, signature.subarray(0, 63)));
    t.notOk(crypto.verify(signer.publicKey, message, EMPTY));
    t.notOk(crypto.verify(signer.publicKey.subarray(0, 31), message, signature));
  }
});

t.test('both backends give one verdict for keys and signatures with a component of small order', async t => {
  const torsion = ED25519_TORSION_SUBGROUP.map(hex => Point.fromHex(hex, true));
  let refusedByOne = 0;
  for (const [index, point] of torsion.entries()) {
    const a = 1000n + BigInt(index);
    const r = 2000n + BigInt(index);
    // A key of mixed order, and a commitment of mixed order: valid only where the cofactor is multiplied away.
    const publicKey = Point.BASE.multiply(a).add(point).toBytes();
    for (const commitment of [Point.BASE.multiply(r), Point.BASE.multiply(r).add(point)]) {
      for (let counter = 0; counter < 8; counter++) {
        const message = Uint8Array.of(index, counter);
        const encoded = commitment.toBytes();
        const k = littleEndian(sha512(concat(encoded, publicKey, message))) % L;
        const signature = concat(encoded, scalarBytes((r + k * a) % L));
        const verdicts = BACKENDS.map(crypto => crypto.verify(publicKey, message, signature));
        t.equal(verdicts[0], verdicts[1], `torsion ${index}, message ${counter}`);
        if (ed25519.verify(signature, message, publicKey) !== verdicts[0]) refusedByOne++;
      }
    }
  }
  t.ok(refusedByOne > 0, 'the cofactored equation would have judged some of them differently');
});

t.test('keys of small order and keys that are not canonical verify nothing', async t => {
  const p = 2n ** 255n - 19n;
  const sign = (encoded: Uint8Array): Uint8Array => {
    const signed = encoded.slice();
    signed[31] = (signed[31] ?? 0) | 0x80;
    return signed;
  };
  const small = ED25519_TORSION_SUBGROUP.map(fromHex).flatMap(encoded => [encoded, sign(encoded)]);
  const notCanonical = [p, p + 1n, p + 3n, p + 18n].map(scalarBytes).flatMap(encoded => [encoded, sign(encoded)]);
  // With R the identity and S = 0, the equation holds for every message that gives k = 0 mod the order of A.
  const signature = concat(Uint8Array.of(1), new Uint8Array(63));
  for (const key of [...small, ...notCanonical]) {
    for (const crypto of BACKENDS) {
      for (let i = 0; i < 16; i++) t.notOk(crypto.verify(key, Uint8Array.of(i), signature), toHex(key));
    }
  }
});

t.test(
  'ML-KEM-768 refuses keys and ciphertexts of a wrong size or form, and rejects implicitly what was changed',
  async t => {
    const { mlKem768 } = noble;
    const { publicKey, secretKey } = mlKem768.keyPair(systemRandomBytes(64));
    const { ciphertext, sharedSecret } = mlKem768.encapsulate(publicKey, systemRandomBytes(32));
    t.equal(publicKey.length, mlKem768.publicKeyLength);
    t.equal(ciphertext.length, mlKem768.ciphertextLength);
    t.strictSame(mlKem768.decapsulate(ciphertext, secretKey), sharedSecret);
    const changed = ciphertext.slice();
    changed[0] = (changed[0] ?? 0) ^ 1;
    t.not(toHex(mlKem768.decapsulate(changed, secretKey)), toHex(sharedSecret));
    const notReduced = publicKey.slice().fill(0xff, 0, 3);
    t.throws(() => mlKem768.encapsulate(notReduced, systemRandomBytes(32)));
    t.throws(() => mlKem768.encapsulate(publicKey.subarray(1), systemRandomBytes(32)));
    t.throws(() => mlKem768.decapsulate(ciphertext.subarray(1), secretKey));
  },
);

t.test('random bytes come in any length', async t => {
  t.equal(systemRandomBytes(0).length, 0);
  const large = systemRandomBytes(200_000);
  t.ok(new Set(large.subarray(-1000)).size > 100, 'the last part was filled too');
});

t.test('the AEADs are ordered by what they take, each in its best batch, within a bound', async t => {
  let [now, sealed] = [0, 0];
  /** Seals take `costMs[name]`, every third one ten times that, as if something else had run in between. */
  const timed = (costMs: Record<AeadName, number>): Pick<CryptoProvider, 'aead'> => ({
    aead: name => ({
      name,
      key: () => ({
        ...node.aead(name).key(new Uint8Array(32)),
        seal: () => {
          sealed++;
          now += costMs[name] * (sealed % 3 === 0 && sealed > 20 ? 10 : 1);
          return EMPTY;
        },
        destroy: () => undefined,
      }),
    }),
  });
  const order = (ChaChaPoly: number, AESGCM: number) => {
    [now, sealed] = [0, 0];
    return calibrateAeads(timed({ ChaChaPoly, AESGCM }), () => now)[0];
  };
  t.equal(order(0.01, 0.005), 'AESGCM');
  t.equal(order(0.005, 0.01), 'ChaChaPoly');
  t.equal(order(0, 0), 'ChaChaPoly', 'a clock that cannot tell');
  t.ok(sealed <= 82, 'never more than so many');
  order(1, 1);
  t.ok(sealed <= 18, 'and only one batch of each where they are slow');
});

t.test('the order is measured once a process, and AES in JavaScript never comes first', async t => {
  t.strictSame(noble.aeadOrder(), ['ChaChaPoly', 'AESGCM']);
  t.equal(noble.aeadOrder(), noble.aeadOrder());
  t.equal(node.aeadOrder(), node.aeadOrder());
  t.strictSame([...node.aeadOrder()].sort(), ['AESGCM', 'ChaChaPoly']);
  t.strictSame(reproducibleCrypto().aeadOrder(), reproducibleCrypto().aeadOrder());
});

t.test('the ML-KEM of the default backend and that of @noble understand one another', async t => {
  const [a, b] = [defaultCrypto().mlKem768, noble.mlKem768];
  for (const [ofKeys, ofSender] of [
    [a, b],
    [b, a],
    [a, a],
  ] as const) {
    const seed = systemRandomBytes(64);
    const { publicKey, secretKey } = ofKeys.keyPair(seed);
    t.strictSame(publicKey, b.keyPair(seed).publicKey);
    const { ciphertext, sharedSecret } =
      ofSender.encapsulateRandomly?.(publicKey) ?? ofSender.encapsulate(publicKey, systemRandomBytes(32));
    t.strictSame(ofKeys.decapsulate(ciphertext, secretKey), sharedSecret);
    const changed = ciphertext.slice();
    changed[5] = (changed[5] ?? 0) ^ 1;
    t.strictSame(ofKeys.decapsulate(changed, secretKey), b.decapsulate(changed, b.keyPair(seed).secretKey));
    const notReduced = publicKey.slice().fill(0xff, 0, 3);
    t.throws(() => ofSender.encapsulate(notReduced, systemRandomBytes(32)));
    if (ofSender.encapsulateRandomly) t.throws(() => ofSender.encapsulateRandomly?.(notReduced));
    t.throws(() => ofKeys.decapsulate(ciphertext.subarray(1), secretKey));
  }
});

t.test('the reproducible provider gives the same for the same seeds, whatever the platform offers', async t => {
  const { mlKem768 } = reproducibleCrypto();
  const { publicKey } = mlKem768.keyPair(new Uint8Array(64));
  t.equal(mlKem768.encapsulateRandomly, undefined);
  const seed = systemRandomBytes(32);
  t.strictSame(mlKem768.encapsulate(publicKey, seed), mlKem768.encapsulate(publicKey, seed));
});
