/** Evidence: every contradiction convicts whoever signed it, and nothing else convicts anyone. */
import t from 'tap';
import { unixMs } from '../../lib/env.js';
import { NO_HASH, signChunk } from '../../lib/order/chunk.js';
import { genesisBlock, signBlock } from '../../lib/order/cut.js';
import type { Envelope } from '../../lib/order/envelope.js';
import { type Evidence, encodeEvidence, verifyEvidence } from '../../lib/order/evidence.js';
import { sharesBody } from '../../lib/order/messages.js';
import { signPromise } from '../../lib/order/promise.js';
import {
  checkEnvelope,
  pairKeyFrom,
  sealingRandomnessBytes,
  sealOrder,
  signOrderBatch,
} from '../../lib/order/sealing.js';
import type { HashHex, OrderId } from '../../lib/order/types.js';
import { castVote, type VoteKind } from '../../lib/order/vote.js';
import { Voters } from '../../lib/order/voters.js';
import { bytesFrom, committeeOf, crypto, peerOf, signerOf } from '../fixtures/order.js';

const committee = committeeOf(4);
const voters = new Voters(committee, crypto);
const NOW = unixMs(1_700_000_000_000);
const hash = (label: string) => voters.hashOf(bytesFrom(label, 8));
const idOf = (label: string) => hash(label) as string as OrderId;
const check = (evidence: Evidence) => verifyEvidence(encodeEvidence(committee.hashHex, evidence), committee, crypto);

const vote = (kind: VoteKind, block: HashHex, view = 7, voter = 2) =>
  castVote(voters, signerOf(`v${voter}`), voter, { kind, view, block: kind === 'nullify' ? NO_HASH : block });
const chunk = (label: string, sequence = 1, lane = 1) =>
  signChunk(voters, signerOf(`v${lane}`), lane, {
    sequence,
    previous: sequence === 1 ? NO_HASH : hash('previous'),
    time: NOW,
    listings: [{ id: idOf(label), time: NOW }],
  });

function seal(payload: string): Envelope {
  const draft = {
    sender: peerOf('alice'),
    stream: 'main',
    sequence: 1,
    prev: undefined,
    expiry: unixMs(NOW + 1_000),
    payload: bytesFrom(payload, 20),
  };
  const keys = [0, 1, 2, 3].map(v => pairKeyFrom(crypto, bytesFrom(`pair ${v}`, 32)));
  return sealOrder(crypto, committee, draft, keys, bytesFrom(payload, sealingRandomnessBytes(committee)));
}
const signed = (envelope: Envelope, by = 'alice') => ({
  envelope,
  signed: { ids: [envelope.id], signature: signOrderBatch(committee, signerOf(by), [envelope.id]) },
});

t.test('two votes of one member that exclude one another convict it', t => {
  const culprit = { ok: true, kind: 'two-votes', culprit: peerOf('v2') };
  for (const kind of ['notarize', 'finalize'] as const) {
    t.match(check({ kind: 'two-votes', first: vote(kind, hash('a')), second: vote(kind, hash('b')) }), culprit);
  }
  t.match(check({ kind: 'two-votes', first: vote('nullify', NO_HASH), second: vote('finalize', hash('a')) }), culprit);
  const innocent = { ok: false, fault: 'no contradiction' };
  const first = vote('notarize', hash('a'));
  for (const second of [
    first,
    vote('notarize', hash('b'), 8),
    vote('notarize', hash('b'), 7, 3),
    vote('finalize', hash('a')),
    vote('nullify', NO_HASH),
  ]) {
    t.match(check({ kind: 'two-votes', first, second }), innocent, 'an honest member may do this');
  }
  const forged = { ...vote('notarize', hash('b')), signature: first.signature };
  t.match(check({ kind: 'two-votes', first, second: forged }), { ok: false, fault: 'a signature is wrong' });
  t.end();
});

t.test('two proposals of one view convict its leader', t => {
  const genesis = genesisBlock(voters);
  const block = (label: string, view: number) => {
    const cut = genesis.cut.map(() => ({ sequence: 1, hash: hash(label) }));
    return signBlock(voters, signerOf(`v${voters.leaderOf(view)}`), view, genesis, cut);
  };
  const first = block('a', 5);
  t.match(check({ kind: 'two-proposals', first, second: block('b', 5) }), { ok: true, culprit: peerOf('v1') });
  t.match(check({ kind: 'two-proposals', first, second: first }), { ok: false, fault: 'no contradiction' });
  t.match(check({ kind: 'two-proposals', first, second: block('b', 9) }), { ok: false, fault: 'no contradiction' });
  t.end();
});

t.test('two chunks of one sequence convict the owner of the lane', t => {
  const first = chunk('x');
  t.match(check({ kind: 'lane-fork', first, second: chunk('y') }), { ok: true, culprit: peerOf('v1') });
  t.match(check({ kind: 'lane-fork', first, second: chunk('y', 2) }), { ok: false, fault: 'no contradiction' });
  t.match(check({ kind: 'lane-fork', first, second: chunk('y', 1, 2) }), { ok: false, fault: 'no contradiction' });
  t.end();
});

t.test('a promise that its chunk does not keep convicts whoever gave it', t => {
  const promise = (label: string, sequence = 1) =>
    signPromise(committee, signerOf('v1'), { validator: 1, sequence, ids: [idOf(label)] });
  const broken = { kind: 'broken-promise', chunk: chunk('x') } as const;
  t.match(check({ ...broken, promise: promise('y') }), { ok: true, culprit: peerOf('v1') });
  t.match(check({ ...broken, promise: promise('x') }), { ok: false, fault: 'no contradiction' }, 'it was kept');
  t.match(check({ ...broken, promise: promise('y', 2) }), { ok: false, fault: 'no contradiction' }, 'another chunk');
  t.end();
});

t.test('a share that misses its commitment convicts whoever revealed it', t => {
  const envelope = seal('order');
  const opened = checkEnvelope(crypto, committee, envelope, {
    validator: 3,
    now: NOW,
    pairKey: () => bytesFrom('pair 3', 32),
  });
  const good = opened.ok ? opened.share : undefined;
  const message = (share: Uint8Array | undefined) => {
    const fields = { height: 3, cut: hash('cut'), offset: 0, ids: [envelope.id], shares: [share] };
    const signature = voters.sign(signerOf('v3'), 'shares', sharesBody(fields));
    return { kind: 'shares', ...fields, signature } as const;
  };
  const file = { kind: 'bad-share', validator: 3, order: signed(envelope) } as const;
  t.match(check({ ...file, message: message(bytesFrom('junk', 32)) }), { ok: true, culprit: peerOf('v3') });
  t.match(check({ ...file, message: message(good) }), { ok: false, fault: 'no contradiction' });
  t.match(check({ ...file, message: message(undefined) }), { ok: false, fault: 'no contradiction' }, 'none is no lie');
  const accused = { ...file, validator: 2, message: message(bytesFrom('junk', 32)) };
  t.match(check(accused), { ok: false, fault: 'a signature is wrong' }, 'nobody is convicted by the share of another');
  t.end();
});

t.test('two orders for one place in a stream convict their sender', t => {
  const [first, second] = [signed(seal('one')), signed(seal('two'))];
  t.match(check({ kind: 'double-sequence', first, second }), { ok: true, culprit: peerOf('alice') });
  t.match(check({ kind: 'double-sequence', first, second: first }), { ok: false, fault: 'no contradiction' });
  const forged = signed(seal('two'), 'mallory');
  t.match(check({ kind: 'double-sequence', first, second: forged }), { ok: false, fault: 'a signature is wrong' });
  t.end();
});

t.test('a file of evidence is for one committee, and damage to any byte of it shows', t => {
  const first = vote('notarize', hash('a'));
  const file = encodeEvidence(committee.hashHex, { kind: 'two-votes', first, second: vote('notarize', hash('b')) });
  t.match(verifyEvidence(file, committeeOf(7), crypto), { ok: false, fault: 'another committee' });
  for (let at = 0; at < file.length; at++) {
    const damaged = file.slice();
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    if (verifyEvidence(damaged, committee, crypto).ok) t.fail(`byte ${at} does not matter`);
  }
  for (let length = 0; length < file.length; length++) {
    if (verifyEvidence(file.subarray(0, length), committee, crypto).ok) t.fail(`${length} bytes are enough`);
  }
  t.end();
});
