/** Sealing and opening: the sharing, honest and hostile dealers, honest and hostile holders of shares. */
import { combine, split } from 'shamir-secret-sharing';
import t from 'tap';
import { fromUtf8, toHex } from '../../lib/bytes.js';
import { unixMs } from '../../lib/env.js';
import { PinnedCommittee } from '../../lib/order/committee.js';
import { decodeEnvelope, type Envelope, encodeCorePrefix, encodeEnvelope, follows } from '../../lib/order/envelope.js';
import { Opener } from '../../lib/order/opening.js';
import {
  type CheckContext,
  checkEnvelope,
  commitmentTo,
  encodeOrderBatch,
  type OrderDraft,
  type PairKey,
  pairKeyFrom,
  plainOrder,
  sealingRandomnessBytes,
  sealOrder,
  signOrderBatch,
  verifyOrderBatch,
} from '../../lib/order/sealing.js';
import { interpolate, interpolationWeights, splitSecret } from '../../lib/order/shamir.js';
import { deriveKey, taggedHash } from '../../lib/order/tagged-hash.js';
import type { OrderId, ValidatorIndex } from '../../lib/order/types.js';
import { bytesFrom, committeeOf, crypto, peerOf, random, signerOf } from '../fixtures/order.js';

const NOW = unixMs(1_700_000_000_000);
const DRAFT: OrderDraft = {
  sender: peerOf('alice'),
  stream: 'account-7',
  sequence: 1,
  prev: undefined,
  expiry: unixMs(NOW + 1_000),
  payload: fromUtf8('buy 3 at 100'),
};
const pairKeysOf = (n: number): PairKey[] =>
  Array.from({ length: n }, (_, v) => pairKeyFrom(crypto, bytesFrom(`pair ${v}`, 32)));

function seal(committee: PinnedCommittee, draft: Partial<OrderDraft> = {}, label = 'randomness'): Envelope {
  const randomness = bytesFrom(label, sealingRandomnessBytes(committee));
  return sealOrder(crypto, committee, { ...DRAFT, ...draft }, pairKeysOf(committee.tolerance.n), randomness);
}

const contextOf = (validator: ValidatorIndex, now = NOW): CheckContext => ({
  validator,
  now,
  pairKey: (sender, name) => (sender === DRAFT.sender ? pairKeysOf(10).find(key => key.name === name)?.key : undefined),
});
const refusal = (committee: PinnedCommittee, envelope: Envelope, validator = 0, now = NOW) => {
  const check = checkEnvelope(crypto, committee, envelope, contextOf(validator, now));
  return check.ok ? undefined : check.reason;
};

/** The shares that these validators find in the envelope. */
function sharesOf(committee: PinnedCommittee, envelope: Envelope, validators: readonly ValidatorIndex[]) {
  const shares = new Map<ValidatorIndex, Uint8Array>();
  for (const validator of validators) {
    const check = checkEnvelope(crypto, committee, envelope, contextOf(validator));
    if (check.ok && check.share !== undefined) shares.set(validator, check.share);
  }
  return shares;
}

t.test('any t shares give back the secret and all n shares, as an audited package agrees', async t => {
  const draw = random(1);
  for (let round = 0; round < 60; round++) {
    const n = 2 + draw(15);
    const threshold = 2 + draw(n - 1);
    const secret = bytesFrom(`secret ${round}`, 32);
    const shares = splitSecret(secret.slice(), n, threshold, bytesFrom(`coefficients ${round}`, (threshold - 1) * 32));
    const holders = Array.from({ length: n }, (_, i) => i)
      .sort(() => draw(2) - 0.5)
      .slice(0, threshold);
    const held = holders.map(holder => shares[holder] as Uint8Array);
    const whole = interpolate(held, interpolationWeights(holders, n));
    t.strictSame([whole.secret, whole.shares], [secret, shares]);
    // The package's format: the share, then its point.
    const theirs = holders.map((holder, i) => Uint8Array.from([...(held[i] as Uint8Array), holder + 1]));
    t.strictSame(await combine(theirs), secret, 'the package combines our shares');
    const dealt = (await split(secret, n, threshold)).slice(0, threshold);
    const points = dealt.map(share => (share[32] as number) - 1);
    const weights = interpolationWeights(points, 255);
    t.strictSame(
      interpolate(
        dealt.map(share => share.slice(0, 32)),
        weights,
      ).secret,
      secret,
      'we combine theirs',
    );
  }
});

t.test('fewer than t shares fit every secret, so they say nothing', async t => {
  const share = splitSecret(bytesFrom('s', 32), 4, 2, bytesFrom('r', 32))[0] as Uint8Array;
  const other = bytesFrom('other secret', 32);
  // With the share of validator 0 and any secret at 0 there is a line through both: slope = (share - secret) / 1.
  const slope = share.map((byte, i) => byte ^ (other[i] as number));
  t.strictSame(splitSecret(other, 4, 2, slope)[0], share);
});

t.test('a sealed order passes at every validator and opens alike from every subset of t shares', async t => {
  for (const n of [1, 2, 3, 4, 7]) {
    const committee = committeeOf(n);
    const envelope = seal(committee);
    const all = sharesOf(committee, envelope, [...Array(n).keys()]);
    t.equal(all.size, n);
    const opener = new Opener(crypto, committee);
    for (const first of all.keys()) {
      const rotated = [...all].map((_, i, entries) => entries[(i + first) % n] as [number, Uint8Array]);
      const enough = new Map(rotated.slice(0, committee.tolerance.t));
      const step = opener.open(envelope, enough);
      t.match(step, { kind: 'verdict', verdict: { opening: { kind: 'opened', payload: DRAFT.payload } }, bad: [] });
      if (n > 1) t.match(opener.open(envelope, new Map(rotated.slice(0, committee.tolerance.t - 1))), { kind: 'wait' });
    }
    t.notOk(toHex(envelope.bytes).includes(toHex(DRAFT.payload)), 'the payload does not show');
    t.notOk(
      [...all.values()].some(share => toHex(envelope.bytes).includes(toHex(share))),
      'no share shows',
    );
  }
});

t.test('payloads of one size class give ciphertexts of one length, and each length opens as it was', async t => {
  const committee = committeeOf(4);
  const opener = new Opener(crypto, committee);
  const lengths = new Map<number, Set<number>>();
  for (const length of [0, 1, 255, 256, 257, 1024, 1025, 4096, 16_384]) {
    const payload = bytesFrom(`payload ${length}`, length);
    const envelope = seal(committee, { payload });
    const seen = lengths.get(envelope.sizeClass) ?? new Set();
    lengths.set(envelope.sizeClass, seen.add(envelope.ciphertext.length));
    const step = opener.open(envelope, sharesOf(committee, envelope, [1, 3]));
    t.match(step, { verdict: { opening: { kind: 'opened' } } });
    if (step.kind === 'verdict' && step.verdict.opening.kind === 'opened')
      t.strictSame(step.verdict.opening.payload, payload);
  }
  t.strictSame(
    [...lengths.values()].map(({ size }) => size),
    [1, 1, 1, 1],
  );
  t.throws(() => seal(committee, { payload: new Uint8Array(16_385) }), { code: 'INVALID_ARGUMENT' });
});

t.test('a validator refuses what it can see is wrong, and says what', async t => {
  const committee = committeeOf(4);
  const envelope = seal(committee);
  t.equal(refusal(committee, envelope), undefined);
  t.equal(refusal(committee, seal(committeeOf(4, { holdCuts: 9 }))), 'committee');
  t.equal(refusal(committeeOf(4, { mode: 'open' }), envelope), 'committee');
  t.equal(refusal(committee, envelope, 0, unixMs(NOW + 1_000)), 'expired');
  t.equal(refusal(committee, seal(committee, { expiry: unixMs(NOW + 60_001) })), 'ttl');
  t.equal(refusal(committee, decodeEnvelope(crypto, replaced(envelope, { sizeClass: 1 }))), 'size');
  t.equal(refusal(committee, decodeEnvelope(crypto, replaced(envelope, { sizeClass: 9 }))), 'size');
  const flipped = envelope.ciphertext.slice();
  flipped[0] = (flipped[0] as number) ^ 1;
  const torn = encodeEnvelope(envelope.associatedData, envelope.ciphertextHash, flipped, envelope.sealedShares);
  t.equal(refusal(committee, decodeEnvelope(crypto, torn)), 'ciphertext');
  t.equal(refusal(committee, seal(committee, { sender: peerOf('mallory') })), 'pair-key');
  const share = bytesFrom('garbage', 32);
  const garbled = encodeEnvelope(envelope.associatedData, envelope.ciphertextHash, envelope.ciphertext, [
    share,
    ...envelope.sealedShares.slice(1),
  ]);
  t.equal(refusal(committee, decodeEnvelope(crypto, garbled), 0), 'share');
  t.equal(refusal(committee, decodeEnvelope(crypto, garbled), 1), undefined, 'others have good shares');
});

/** The same envelope with other fields in its core. */
const replaced = (envelope: Envelope, fields: Partial<Envelope>): Uint8Array =>
  encodeEnvelope(
    encodeCorePrefix({ ...envelope, ...fields }),
    envelope.ciphertextHash,
    envelope.ciphertext,
    envelope.sealedShares,
  );

t.test('the id changes with every byte of an envelope that it must bind, and nothing malformed is decoded', async t => {
  const committee = committeeOf(4);
  const envelope = seal(committee, { sequence: 2, prev: toHex(bytesFrom('prev', 32)) as OrderId });
  const ciphertextAt = envelope.associatedData.length + 32;
  const ids = new Set([envelope.id]);
  let decoded = 0;
  for (let at = 0; at < envelope.bytes.length; at++) {
    if (at >= ciphertextAt && at < ciphertextAt + 4 + envelope.ciphertext.length) continue; // bound by its hash
    const bytes = envelope.bytes.slice();
    bytes[at] = (bytes[at] as number) ^ 1;
    try {
      ids.add(decodeEnvelope(crypto, bytes).id);
      decoded++;
    } catch (error) {
      t.match(error, { code: 'DECODE_FAILED' }, `byte ${at}`);
    }
  }
  t.equal(ids.size, decoded + 1);
  for (let length = 0; length < envelope.bytes.length; length++)
    if (length % 7 === 0)
      t.throws(() => decodeEnvelope(crypto, envelope.bytes.subarray(0, length)), { code: 'DECODE_FAILED' });
  t.throws(() => decodeEnvelope(crypto, Uint8Array.of(...envelope.bytes, 0)), { code: 'DECODE_FAILED' });
  t.strictSame(decodeEnvelope(crypto, envelope.bytes), envelope);
});

/** A dealer that departs from the protocol in one place and seals everything else correctly. */
function badlyDealt(
  committee: PinnedCommittee,
  deal: {
    readonly shares?: (honest: Uint8Array[]) => Uint8Array[];
    readonly padded?: Uint8Array;
    readonly sizeClass?: number;
    readonly cipher?: (honest: Uint8Array) => Uint8Array;
  },
): Envelope {
  const { n, t: threshold } = committee.tolerance;
  const secret = bytesFrom('K', 32);
  const honest = splitSecret(secret.slice(), n, threshold, bytesFrom('coefficients', (threshold - 1) * 32));
  const shares = deal.shares?.(honest) ?? honest;
  const keys = pairKeysOf(n);
  const prefix = encodeCorePrefix({
    ...DRAFT,
    mode: 'sealed',
    committeeHash: committee.hash,
    sizeClass: deal.sizeClass ?? 0,
    pairKeyNames: keys.map(({ name }) => name),
    commitments: shares.map((share, i) => commitmentTo(crypto, i, share)),
  });
  const padded = deal.padded ?? Uint8Array.from([0, 1, 65, ...new Uint8Array(255)]);
  const key = crypto.aead('ChaChaPoly').key(deriveKey(crypto, 'payload-key', secret));
  const sealed = key.seal(new Uint8Array(12), prefix, padded);
  const ciphertext = deal.cipher?.(sealed) ?? sealed;
  const hash = taggedHash(crypto, 'ciphertext', ciphertext);
  const coreHash = taggedHash(crypto, 'core', prefix, hash);
  const masked = keys.map(({ key: pair }, i) =>
    deriveKey(crypto, 'share-mask', pair, coreHash).map((byte, j) => byte ^ (shares[i]?.[j] as number)),
  );
  return decodeEnvelope(crypto, encodeEnvelope(prefix, hash, ciphertext, masked));
}

t.test('whatever a dealer does, every subset of good shares gives the same verdict', async t => {
  const committee = committeeOf(7);
  const cases = {
    opened: badlyDealt(committee, {}),
    commitment: badlyDealt(committee, { shares: ([, ...others]) => [bytesFrom('off the polynomial', 32), ...others] }),
    cipher: badlyDealt(committee, { cipher: honest => honest.map(byte => byte ^ 1) }),
    padding: badlyDealt(committee, { padded: Uint8Array.from([0, 1, 65, ...new Uint8Array(254), 1]) }),
    class: badlyDealt(committee, { padded: Uint8Array.from([0, 1, 65, ...new Uint8Array(1023)]), sizeClass: 1 }),
  };
  const overlong = badlyDealt(committee, { padded: Uint8Array.from([1, 1, ...new Uint8Array(256)]) });
  for (const [outcome, envelope] of [...Object.entries(cases), ['padding', overlong] as const]) {
    const all = [...sharesOf(committee, envelope, [0, 1, 2, 3, 4, 5, 6])];
    t.equal(all.length, 7, `${outcome}: every validator lists it`);
    const verdicts = new Set<string>();
    for (let mask = 0; mask < 128; mask++) {
      const subset = new Map(all.filter((_, i) => (mask >> i) & 1));
      const step = new Opener(crypto, committee).open(envelope, subset);
      if (subset.size < committee.tolerance.t) t.equal(step.kind, 'wait');
      else if (step.kind === 'verdict') {
        const { opening } = step.verdict;
        verdicts.add(opening.kind === 'void' ? opening.reason : opening.kind);
      }
    }
    t.strictSame([...verdicts], [outcome]);
  }
});

t.test('bad shares are named and the order opens from the others', async t => {
  const committee = committeeOf(4);
  const envelope = seal(committee);
  const shares = sharesOf(committee, envelope, [2, 3]);
  const hostile = new Map([
    [0, bytesFrom('lie', 32)],
    [1, new Uint8Array(31)],
    [9, bytesFrom('nobody', 32)],
    ...shares,
  ]);
  t.match(new Opener(crypto, committee).open(envelope, hostile), { kind: 'verdict', bad: [0, 1, 9] });
  hostile.delete(2);
  t.match(new Opener(crypto, committee).open(envelope, hostile), { kind: 'wait', bad: [0, 1, 9] });
});

t.test('open mode: plaintext under the same id rules, opened without shares', async t => {
  const committee = committeeOf(4, { mode: 'open' });
  const envelope = plainOrder(crypto, committee, DRAFT);
  t.strictSame([refusal(committee, envelope), envelope.ciphertext], [undefined, DRAFT.payload]);
  t.match(new Opener(crypto, committee).open(envelope, new Map()), {
    verdict: { secret: undefined, opening: { kind: 'opened', payload: DRAFT.payload } },
  });
  t.equal(refusal(committeeOf(4), envelope), 'committee');
  t.throws(() => seal(committee), { code: 'INVALID_ARGUMENT' });
  t.throws(() => plainOrder(crypto, committeeOf(4), DRAFT), { code: 'INVALID_ARGUMENT' });
});

t.test('a batch signature covers exactly its list of ids, its sender, network and epoch', async t => {
  const committee = committeeOf(4);
  const ids = [1, 2, 3].map(i => seal(committee, {}, `randomness ${i}`).id);
  const signature = signOrderBatch(committee, signerOf('alice'), ids);
  const verify = (by: string, list: readonly OrderId[], among = committee) =>
    verifyOrderBatch(crypto, among, peerOf(by), list, signature);
  t.ok(verify('alice', ids));
  t.notOk(verify('bob', ids));
  t.notOk(verify('alice', ids.slice(1)));
  t.notOk(verify('alice', ids.toReversed()));
  const { descriptor } = committee;
  const later = new PinnedCommittee(crypto, { ...descriptor, epoch: 2 });
  t.notOk(verify('alice', ids, later));
  t.notOk(verify('alice', []));
  t.throws(() => encodeOrderBatch([]), { code: 'INVALID_ARGUMENT' });
});

t.test('a successor names its predecessor, in the same stream and with the next sequence', async t => {
  const committee = committeeOf(4);
  const first = seal(committee);
  const second = seal(committee, { sequence: 2, prev: first.id });
  t.ok(follows(second, first));
  for (const wrong of [
    seal(committee, { sequence: 3, prev: first.id }),
    seal(committee, { sequence: 2, prev: first.id, stream: 'other' }),
    seal(committee, { sequence: 2, prev: second.id }),
  ])
    t.notOk(follows(wrong, first));
  t.throws(() => seal(committee, { sequence: 2 }), { code: 'INVALID_ARGUMENT' });
});
