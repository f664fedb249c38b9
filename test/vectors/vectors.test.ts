import assert from 'node:assert/strict';
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
    { protocol_name: 'Noise_NN_448_ChaChaPoly_SHA256', messages: [] },
  ]);
  const { passed, failed, excluded } = runSuite(suite, nobleCrypto());
  t.strictSame({ passed, failed, excluded }, { passed: 0, failed: 2, excluded: 1 });
});
