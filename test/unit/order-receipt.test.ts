/** The committee descriptor, the Merkle log, fairness receipts and inclusion promises. */
import t from 'tap';
import { toHex } from '../../lib/bytes.js';
import { checkCommittee, decodeCommittee, defaultParameters, PinnedCommittee } from '../../lib/order/committee.js';
import {
  decodeFairnessReceipt,
  encodeFairnessReceipt,
  type FairnessReceipt,
  type RootStatement,
  signRoot,
  verifyFairnessReceipt,
} from '../../lib/order/fairness-receipt.js';
import { appendLeaves, EMPTY_LOG, logLeaf, logPath, logRoot, verifyLogPath } from '../../lib/order/log-root.js';
import { decodePromise, encodePromise, signPromise, verifyPromise } from '../../lib/order/promise.js';
import { toleranceOf } from '../../lib/order/tolerance.js';
import type { CommitteeParameters, HashHex, OrderId } from '../../lib/order/types.js';
import { bytesFrom, committeeOf, crypto, peerOf, signerOf } from '../fixtures/order.js';

const idOf = (i: number): OrderId => toHex(bytesFrom(`order ${i}`, 32)) as OrderId;
const hashOf = (label: string): HashHex => toHex(bytesFrom(label, 32)) as HashHex;

t.test('quorums share an honest member, n-f suffice for one, and t honest members can open', async t => {
  for (let n = 1; n <= 64; n++) {
    const { f, q, t: threshold } = toleranceOf(n);
    t.ok(3 * f < n && 3 * (f + 1) >= n, `f of ${n} is the largest below a third`);
    t.ok(2 * q - n > f, `two quorums of ${n} share more than f`);
    t.ok(q <= n - f, `a quorum of ${n} needs no faulty member`);
    t.ok(threshold > f && threshold <= Math.max(n - 2 * f, 1), `t of ${n}`);
  }
  t.strictSame(
    [1, 2, 3, 4, 7, 16].map(n => Object.values(toleranceOf(n))),
    [
      [1, 0, 1, 1],
      [2, 0, 2, 2],
      [3, 0, 2, 2],
      [4, 1, 3, 2],
      [7, 2, 5, 3],
      [16, 5, 11, 6],
    ],
  );
  t.equal(toleranceOf(6, 4).t, 4);
});

t.test('an unsound committee is refused with a text that says why', async t => {
  const { descriptor } = committeeOf(4);
  const withParameters = (overrides: Partial<CommitteeParameters>) => ({
    ...descriptor,
    parameters: { ...descriptor.parameters, ...overrides },
  });
  const refused: [string, () => unknown, RegExp][] = [
    ['no member', () => toleranceOf(0), /1 to 64 members/],
    ['too many', () => toleranceOf(65), /1 to 64 members/],
    ['f shares open', () => toleranceOf(4, 1), /t = 2 to 2 shares.*tolerates 1 of 4/],
    ['too many shares', () => toleranceOf(7, 4), /t = 3 to 3 shares/],
    ['n = 3', () => toleranceOf(3, 1), /neither a crash nor a Byzantine fault/],
    [
      'twice',
      () => checkCommittee({ ...descriptor, members: [{ peer: peerOf('a') }, { peer: peerOf('a') }] }),
      /twice/,
    ],
    ['no network', () => checkCommittee({ ...descriptor, networkId: '' }), /network id/],
    ['short hold', () => checkCommittee(withParameters({ holdMs: 79 })), /holdMs \(H\).*80/],
    ['few cuts', () => checkCommittee(withParameters({ holdCuts: 1 })), /holdCuts/],
    ['fractions', () => checkCommittee(withParameters({ epsilonMs: 0.5 })), /whole number/],
    ['no class', () => checkCommittee(withParameters({ sizeClasses: [] })), /size classes/],
    ['classes fall', () => checkCommittee(withParameters({ sizeClasses: [512, 256] })), /ascending/],
    ['a long window', () => checkCommittee(withParameters({ auctionWindowMs: 1_001 })), /auctionWindowMs/],
  ];
  for (const [name, attempt, text] of refused) {
    try {
      attempt();
      t.fail(name);
    } catch (error) {
      t.match(error, { code: 'COMMITTEE_UNSOUND', message: text }, name);
    }
  }
});

t.test('a descriptor has one encoding, and every field of it changes the hash', async t => {
  const committee = committeeOf(4);
  const decoded = decodeCommittee(committee.bytes);
  t.strictSame(new PinnedCommittee(crypto, decoded).bytes, committee.bytes);
  t.equal(new PinnedCommittee(crypto, decoded).hashHex, committee.hashHex);
  const { descriptor } = committee;
  const base = descriptor.parameters;
  const parameters: Partial<CommitteeParameters>[] = [
    { profile: 'auction' },
    { mode: 'open' },
    { delayBoundMs: 9 },
    { holdCuts: 9 },
    { holdMs: 81 },
    { epsilonMs: 2 },
    { auctionWindowMs: 99 },
    { sizeClasses: [256] },
    { maxOrderTtlMs: 59_999 },
  ];
  const hashes = new Set([
    committee.hashHex,
    ...parameters.map(p => new PinnedCommittee(crypto, { ...descriptor, parameters: { ...base, ...p } }).hashHex),
    new PinnedCommittee(crypto, { ...descriptor, epoch: 2 }).hashHex,
    new PinnedCommittee(crypto, { ...descriptor, networkId: 'other' }).hashHex,
    new PinnedCommittee(crypto, { ...descriptor, members: descriptor.members.toReversed() }).hashHex,
    committeeOf(6, { openingThreshold: 3 }).hashHex,
    committeeOf(6).hashHex,
  ]);
  t.equal(hashes.size, parameters.length + 6);
  for (let length = 0; length < committee.bytes.length; length++)
    t.throws(() => decodeCommittee(committee.bytes.subarray(0, length)), { code: 'DECODE_FAILED' });
  t.strictSame(committee.summary(), {
    n: 4,
    f: 1,
    q: 3,
    t: 2,
    profile: 'continuous',
    tolerates:
      'tolerates 1 of 4 validators crashed or Byzantine; with 2 the log may stop; 2 together can read orders early',
  });
  t.equal(defaultParameters(25).holdMs, 200);
});

t.test('paths of every leaf of every batch verify, and no leaf verifies anywhere else', async t => {
  let log = EMPTY_LOG;
  let all: Uint8Array[] = [];
  for (const count of [1, 1, 2, 3, 1, 7, 8, 16, 5]) {
    const leaves = Array.from({ length: count }, (_, i) =>
      logLeaf(crypto, { height: count, index: all.length + i, id: idOf(all.length + i) }),
    );
    const before = log;
    log = appendLeaves(crypto, before, leaves);
    all = [...all, ...leaves];
    const root = logRoot(crypto, log);
    t.strictSame(root, logRoot(crypto, appendLeaves(crypto, EMPTY_LOG, all)), 'the root depends on the leaves alone');
    for (let index = before.size; index < log.size; index++) {
      const path = logPath(crypto, before, leaves, index);
      const places = all.map((leaf, at) => verifyLogPath(crypto, leaf, at, log.size, path, root));
      t.strictSame(places.indexOf(true), index);
      t.equal(places.filter(Boolean).length, 1);
      const leaf = all[index] as Uint8Array;
      for (const wrong of [index - 1, index + 1, log.size, -1])
        t.notOk(verifyLogPath(crypto, leaf, wrong, log.size, path, root));
      if (path.length > 0) t.notOk(verifyLogPath(crypto, leaf, index, log.size, path.slice(1), root));
      t.notOk(verifyLogPath(crypto, leaf, index, log.size, [...path, root], root));
    }
  }
});

/** Entry 5 of a log whose second batch holds entries 3 to 7, signed by these validators. */
function receiptBy(committee: PinnedCommittee, signers: readonly number[]): FairnessReceipt {
  const leafOf = (index: number) => logLeaf(crypto, { height: index < 3 ? 1 : 2, index, id: idOf(index) });
  const before = appendLeaves(crypto, EMPTY_LOG, [0, 1, 2].map(leafOf));
  const leaves = [3, 4, 5, 6, 7].map(leafOf);
  const statement: RootStatement = {
    height: 2,
    cutHash: hashOf('cut'),
    firstIndex: 3,
    count: 5,
    logRoot: toHex(logRoot(crypto, appendLeaves(crypto, before, leaves))) as HashHex,
  };
  return {
    committeeHash: committee.hashHex,
    statement,
    index: 5,
    id: idOf(5),
    path: logPath(crypto, before, leaves, 5),
    signatures: signers.map(validator => ({
      validator,
      signature: signRoot(committee, signerOf(`v${validator}`), statement),
    })),
  };
}

t.test('a fairness receipt needs f+1 signatures of this committee over a root that holds this entry here', async t => {
  const committee = committeeOf(4);
  const receipt = receiptBy(committee, [0, 2]);
  const check = (fields: Partial<FairnessReceipt>, by = committee) =>
    verifyFairnessReceipt(crypto, by, encodeFairnessReceipt({ ...receipt, ...fields }));
  t.strictSame(check({}), { ok: true, leaf: { height: 2, index: 5, id: idOf(5) }, signers: [0, 2] });
  t.strictSame(decodeFairnessReceipt(encodeFairnessReceipt(receipt)), receipt);

  const [first, second] = receipt.signatures;
  if (first === undefined || second === undefined) throw new Error('two signatures were made');
  const few = { ok: false, fault: 'too few valid signatures' };
  t.strictSame(check({ signatures: [first] }), few);
  t.strictSame(check({ signatures: [first, first] }), few, 'one validator counts once');
  t.strictSame(check({ signatures: [first, { ...second, validator: 1 }] }), few, 'signatures are not transferable');
  t.strictSame(check({ signatures: [first, { ...second, validator: 200 }] }), few);
  t.strictSame(check({ statement: { ...receipt.statement, cutHash: hashOf('another cut') } }), few);
  t.strictSame(check({ statement: { ...receipt.statement, height: 3 } }).ok, false);
  const off = { ok: false, fault: 'the path does not lead to the root' };
  t.strictSame(check({ index: 4 }), off);
  t.strictSame(check({ id: idOf(4) }), off);
  t.strictSame(check({ path: receipt.path.slice(1) }), off);
  const outside = { ok: false, fault: 'index outside the batch' };
  t.strictSame(check({ index: 2 }), outside);
  t.strictSame(check({ index: 8 }), outside);
  t.strictSame(check({}, committeeOf(4, { holdCuts: 9 })), { ok: false, fault: 'another committee' });
  const bytes = encodeFairnessReceipt(receipt);
  for (let at = 0; at < bytes.length; at += 3) {
    const damaged = bytes.slice();
    damaged[at] = (damaged[at] as number) ^ 0x10;
    t.equal(verifyFairnessReceipt(crypto, committee, damaged).ok, false, `byte ${at}`);
    t.strictSame(verifyFairnessReceipt(crypto, committee, bytes.subarray(0, at)), { ok: false, fault: 'malformed' });
  }
});

t.test('an inclusion promise is the word of one validator on these orders at this place of its lane', async t => {
  const committee = committeeOf(4);
  const promise = signPromise(committee, signerOf('v1'), { validator: 1, sequence: 77, ids: [idOf(1), idOf(2)] });
  const received = decodePromise(encodePromise(promise));
  t.strictSame(received, promise);
  t.ok(verifyPromise(crypto, committee, received));
  for (const lie of [{ validator: 2 }, { sequence: 78 }, { ids: [idOf(1)] }, { ids: [idOf(2), idOf(1)] }])
    t.notOk(verifyPromise(crypto, committee, { ...received, ...lie }));
  t.notOk(verifyPromise(crypto, new PinnedCommittee(crypto, { ...committee.descriptor, epoch: 2 }), received));
  const none = Uint8Array.of(1, ...new Uint8Array(8), 0, 0, ...new Uint8Array(64));
  t.throws(() => decodePromise(none), { code: 'DECODE_FAILED' });
  t.throws(() => decodePromise(encodePromise(promise).subarray(1)), { code: 'DECODE_FAILED' });
});
