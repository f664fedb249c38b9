/** Runs the vectors of Project Wycheproof: X25519, the two AEADs and Ed25519. */
import assert from 'node:assert/strict';
import { fromHex, toHex } from '../../lib/bytes.js';
import type { AeadName, CryptoProvider } from '../../lib/crypto/interface.js';
import type { Suite, Vector } from './suite.js';

interface WycheproofTest {
  readonly tcId: number;
  readonly comment: string;
  readonly result: 'valid' | 'invalid' | 'acceptable';
}

interface DhTest extends WycheproofTest {
  readonly public: string;
  readonly private: string;
  readonly shared: string;
}

interface AeadTest extends WycheproofTest {
  readonly key: string;
  readonly iv: string;
  readonly aad: string;
  readonly msg: string;
  readonly ct: string;
  readonly tag: string;
}

interface SignatureTest extends WycheproofTest {
  readonly msg: string;
  readonly sig: string;
}

export interface DhGroup {
  readonly curve: string;
  readonly tests: readonly DhTest[];
}

export interface AeadGroup {
  readonly ivSize: number;
  readonly keySize: number;
  readonly tagSize: number;
  readonly tests: readonly AeadTest[];
}

export interface SignatureGroup {
  readonly publicKey: { readonly pk: string };
  readonly tests: readonly SignatureTest[];
}

const named = ({ tcId, comment }: WycheproofTest): string => `tcId ${tcId} (${comment})`;

/** An all-zero result must be refused, everything else computed. */
function runDh(crypto: CryptoProvider, test: DhTest): void {
  const agree = (): Uint8Array => crypto.dhKeyPair(fromHex(test.private)).dh(fromHex(test.public));
  if (/^0*$/.test(test.shared) || test.result === 'invalid') assert.throws(agree, { code: 'HANDSHAKE_FAILED' });
  else assert.equal(toHex(agree()), test.shared);
}

function runAead(crypto: CryptoProvider, name: AeadName, test: AeadTest): void {
  const key = crypto.aead(name).key(fromHex(test.key));
  const [nonce, aad, plaintext] = [fromHex(test.iv), fromHex(test.aad), fromHex(test.msg)];
  const sealed = fromHex(test.ct + test.tag);
  if (nonce.length !== 12) {
    assert.throws(() => key.open(nonce, aad, sealed), { code: 'INVALID_ARGUMENT' });
    assert.throws(() => key.seal(nonce, aad, plaintext), { code: 'INVALID_ARGUMENT' });
    return;
  }
  const opened = key.open(nonce, aad, sealed);
  if (test.result === 'invalid') {
    assert.equal(opened, undefined);
    return;
  }
  const half = plaintext.length >>> 1;
  const parts = key.sealParts(nonce, aad, [plaintext.subarray(0, half), plaintext.subarray(half)]);
  assert.equal(opened && toHex(opened), test.msg);
  assert.equal(toHex(key.seal(nonce, aad, plaintext)), test.ct + test.tag);
  assert.equal(parts.map(toHex).join(''), test.ct + test.tag);
}

function runSignature(crypto: CryptoProvider, publicKey: string, test: SignatureTest): void {
  const verified = crypto.verify(fromHex(publicKey), fromHex(test.msg), fromHex(test.sig));
  assert.equal(verified, test.result === 'valid');
}

export function dhSuite(groups: readonly DhGroup[]): Suite {
  const offered = groups.filter(group => group.curve === 'curve25519').flatMap(group => group.tests);
  const vectors = offered.map((test): Vector => ({ name: named(test), run: crypto => runDh(crypto, test) }));
  return { name: 'wycheproof-x25519', vectors, excluded: groups.flatMap(group => group.tests).length - vectors.length };
}

/** Noise has keys of 256 bits, nonces of 96 and tags of 128. Invalid tests of other nonces must be refused all the same. */
export function aeadSuite(name: AeadName, groups: readonly AeadGroup[]): Suite {
  const isOffered = ({ keySize, ivSize, tagSize, tests }: AeadGroup): boolean =>
    keySize === 256 && tagSize === 128 && (ivSize === 96 || tests.every(test => test.result === 'invalid'));
  const offered = groups.filter(isOffered).flatMap(group => group.tests);
  const vectors = offered.map((test): Vector => ({ name: named(test), run: crypto => runAead(crypto, name, test) }));
  const excluded = groups.flatMap(group => group.tests).length - vectors.length;
  return { name: name === 'ChaChaPoly' ? 'wycheproof-chacha20-poly1305' : 'wycheproof-aes-gcm', vectors, excluded };
}

export function signatureSuite(groups: readonly SignatureGroup[]): Suite {
  const vectors = groups.flatMap(({ publicKey, tests }) =>
    tests.map((test): Vector => ({ name: named(test), run: crypto => runSignature(crypto, publicKey.pk, test) })),
  );
  return { name: 'wycheproof-ed25519', vectors, excluded: 0 };
}
