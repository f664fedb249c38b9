import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { type CryptoProvider, nobleCrypto, nodeCrypto } from '../../lib/crypto/index.js';
import { loadSuite, VECTOR_FILES, vectorsArePresent } from './files.js';
import { cacophonySuite } from './noise.js';
import { runSuite } from './suite.js';

const backends: readonly CryptoProvider[] = [nodeCrypto() ?? assert.fail('no node:crypto'), nobleCrypto()];
const skip =
  vectorsArePresent() || process.env['CI'] !== undefined ? false : 'the folder of vectors is not beside this one';

/** How many vectors of each suite are for what this package offers: a filter that hides some is noticed. */
const EXPECTED: Readonly<Record<string, number>> = {
  cacophony25519: 472,
  fallback: 8,
  xxhfs: 5,
  'wycheproof-x25519': 518,
  'wycheproof-chacha20-poly1305': 325,
  'wycheproof-aes-gcm': 68,
  'wycheproof-ed25519': 151,
};

t.test('both backends pass every published vector of what is offered', { skip }, async t => {
  const seen = new Set<string>();
  for (const file of VECTOR_FILES) {
    const suite = loadSuite(file);
    seen.add(suite.name);
    for (const crypto of backends) {
      const { passed, failures } = runSuite(suite, crypto);
      t.strictSame(failures, [], `${suite.name} on ${crypto.name}`);
      t.equal(passed, EXPECTED[suite.name], `number of vectors of ${suite.name}`);
    }
  }
  t.strictSame([...seen], Object.keys(EXPECTED));
});

t.test('a vector that asks for a pattern or a cipher that is not known is a failure, not an exclusion', async t => {
  const suite = cacophonySuite([
    { protocol_name: 'Noise_ZZ_25519_ChaChaPoly_SHA256', messages: [] },
    { protocol_name: 'Noise_NN_25519_DES_SHA256', messages: [] },
    { messages: [] },
    { protocol_name: 'Noise_NN_448_ChaChaPoly_SHA256', messages: [] },
  ]);
  const { passed, failed, excluded } = runSuite(suite, nobleCrypto());
  t.strictSame({ passed, failed, excluded }, { passed: 0, failed: 3, excluded: 1 });
});

/** A member of the first vector of each file, which is one that must pass: its change must not go unnoticed. */
const CHANGED: readonly [file: RegExp, member: string][] = [
  [/cacophony/, 'handshake_hash'],
  [/cacophony/, 'ciphertext'],
  [/fallback/, 'handshake_hash'],
  [/xxhfs/, 'cs2_k'],
  [/xxhfs/, 'msg_c'],
  [/x25519/, 'shared'],
  [/chacha20/, 'tag'],
  [/ed25519/, 'sig'],
];

t.test('one changed digit in a file is one failed vector, on both backends', { skip }, async t => {
  const folder = mkdtempSync(join(tmpdir(), 'hopfair-vectors-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  for (const [pattern, member] of CHANGED) {
    const file = VECTOR_FILES.find(({ pathname }) => pattern.test(pathname)) ?? assert.fail('no such file');
    const text = readFileSync(file, 'utf8');
    const digit = text.indexOf('"', text.indexOf(':', text.indexOf(`"${member}"`))) + 1;
    const changed = text.slice(0, digit) + (text[digit] === '0' ? '1' : '0') + text.slice(digit + 1);
    writeFileSync(join(folder, 'changed.json'), changed);
    const suite = loadSuite(join(folder, 'changed.json'));
    const beginning = { ...suite, vectors: suite.vectors.slice(0, 10) };
    for (const crypto of backends) t.equal(runSuite(beginning, crypto).failed, 1, `${member} on ${crypto.name}`);
  }
});

t.test('a file of another schema, or that is no JSON, is refused by name', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'hopfair-vectors-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'other.json');
  for (const content of ['', '[]', '{"vectors":[{}]}', '{"schema":"aead_test_schema_v1.json","algorithm":"AES-CCM"}']) {
    writeFileSync(path, content);
    t.throws(() => loadSuite(path), { message: /other\.json/ });
  }
});
