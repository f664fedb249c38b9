import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { fromHex, toHex } from '../../lib/bytes.js';
import { run } from '../../lib/cli/index.js';
import { verifyProof } from '../../lib/cli/verify.js';
import { defaultCrypto } from '../../lib/crypto/index.js';
import { peerIdOf } from '../../lib/identity/index.js';
import { NO_HASH } from '../../lib/order/chunk.js';
import { defaultParameters, encodeCommittee, PinnedCommittee } from '../../lib/order/committee.js';
import { encodeEvidence } from '../../lib/order/evidence.js';
import { encodeFairnessReceipt, signRoot } from '../../lib/order/fairness-receipt.js';
import { appendLeaves, EMPTY_LOG, logLeaf, logPath, logRoot } from '../../lib/order/log-root.js';
import { encodePromise, signPromise } from '../../lib/order/promise.js';
import type { HashHex, OrderId } from '../../lib/order/types.js';
import { castVote } from '../../lib/order/vote.js';
import { Voters } from '../../lib/order/voters.js';

const crypto = defaultCrypto();
const folder = mkdtempSync(join(tmpdir(), 'hopfair-cli-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

const signers = [1, 2, 3, 4].map(fill => crypto.signer(new Uint8Array(32).fill(fill)));
const members = signers.map(({ publicKey }) => ({ peer: peerIdOf(publicKey) }));
const descriptor = { networkId: 'test', epoch: 3, members, parameters: defaultParameters(50) };
const committee = new PinnedCommittee(crypto, descriptor);

/** The receipt of entry 3 of a log of 5, signed by members 1 and 3. */
function makeReceipt(): Uint8Array {
  const ids = ['aa', 'bb', 'cc', 'dd', 'ee'].map(byte => byte.repeat(32) as OrderId);
  const leaves = ids.map((id, index) => logLeaf(crypto, { height: index < 2 ? 1 : 2, index, id }));
  const before = appendLeaves(crypto, EMPTY_LOG, leaves.slice(0, 2));
  const after = appendLeaves(crypto, before, leaves.slice(2));
  const statement = {
    height: 2,
    cutHash: '11'.repeat(32) as HashHex,
    firstIndex: 2,
    count: 3,
    logRoot: toHex(logRoot(crypto, after)) as HashHex,
  };
  const signatures = [1, 3].map(validator => {
    const signer = signers[validator];
    if (signer === undefined) throw new Error('no such signer');
    return { validator, signature: signRoot(committee, signer, statement) };
  });
  const path = logPath(crypto, before, leaves.slice(2), 3);
  return encodeFairnessReceipt({
    committeeHash: committee.hashHex,
    statement,
    index: 3,
    id: ids[3] as OrderId,
    path,
    signatures,
  });
}

function makePromise(): Uint8Array {
  const [, , signer] = signers;
  if (signer === undefined) throw new Error('no such signer');
  const promise = { validator: 2, sequence: 17, ids: ['ab'.repeat(32) as OrderId] };
  return encodePromise(signPromise(committee, signer, promise));
}

/** Member 1 finalized a view that it had nullified. */
function makeEvidence(): Uint8Array {
  const voters = new Voters(committee, crypto);
  const [, signer] = signers;
  if (signer === undefined) throw new Error('no such signer');
  const first = castVote(voters, signer, 1, { kind: 'nullify', view: 9, block: NO_HASH });
  const second = castVote(voters, signer, 1, { kind: 'finalize', view: 9, block: '22'.repeat(32) as HashHex });
  return encodeEvidence(committee.hashHex, { kind: 'two-votes', first, second });
}

function file(name: string, content: Uint8Array | string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

async function hopfair(...args: string[]): Promise<{ code: number; out: string[]; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const output = { out: (line: string) => void out.push(line), err: (line: string) => void err.push(line) };
  return { code: await run(args, crypto, output), out, err: err.join('\n') };
}

const committeeFile = file('committee', encodeCommittee(descriptor));
const receiptFile = file('receipt', makeReceipt());
const promiseFile = file('promise', makePromise());
const evidenceFile = file('evidence', makeEvidence());

t.test('verify accepts true proofs and says what they prove', async t => {
  const { code, out } = await hopfair('verify', receiptFile, promiseFile, evidenceFile, '--committee', committeeFile);
  t.equal(code, 0);
  t.match(out[0], /^valid .*entry 3 of the log, at height 2; signed by member 1, member 3/);
  t.match(out[1], /^valid .*member 2 promised .* by chunk 17/);
  t.match(out[2], /^valid .*member 1 .*hf1.* cast two votes in one view/);
  const json = await hopfair('verify', receiptFile, '--committee', committeeFile, '--json');
  t.match(JSON.parse(json.out[0] ?? ''), {
    file: receiptFile,
    valid: true,
    kind: 'receipt',
    facts: { index: 3, height: 2, id: 'dd'.repeat(32), signers: [1, 3] },
  });
});

t.test('verify refuses a proof with any bit flipped, cut or lengthened, and says so with exit code 1', async t => {
  for (const proof of [makeReceipt(), makePromise(), makeEvidence()]) {
    for (let bit = 0; bit < proof.length * 8; bit++) {
      const flipped = proof.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      if (verifyProof(crypto, committee, flipped).valid) t.fail(`bit ${bit} makes no difference`);
    }
    for (let length = 0; length < proof.length; length++) {
      if (verifyProof(crypto, committee, proof.subarray(0, length)).valid) t.fail(`cut at ${length}`);
    }
    t.notOk(verifyProof(crypto, committee, Uint8Array.of(...proof, 0)).valid);
  }
  const damaged = file('damaged', makeReceipt().fill(0, 200, 201));
  const { code, out } = await hopfair('verify', receiptFile, damaged, '--committee', committeeFile);
  t.equal(code, 1);
  t.match(out[0], /^valid/, 'the others are judged all the same');
  t.match(out[1], /^INVALID .*refused/);
});

t.test('verify refuses the proofs of another committee, epoch or network', async t => {
  for (const change of [{ epoch: 4 }, { networkId: 'other' }, { members: members.toReversed() }]) {
    const other = file('other', encodeCommittee({ ...descriptor, ...change }));
    const { code } = await hopfair('verify', receiptFile, promiseFile, evidenceFile, '--committee', other);
    t.equal(code, 1, JSON.stringify(Object.keys(change)));
  }
});

t.test('what cannot be run exits with 2 and says what to do', async t => {
  const unsound = JSON.stringify({ networkId: 'x', epoch: 1, delayBoundMs: 50, members: [] });
  const unknown = JSON.stringify({ networkId: 'x', epoch: 1, delayBoundMs: 50, members: [], holdCutz: 3 });
  for (const [args, message] of [
    [['verify', receiptFile], /--committee/],
    [['verify', join(folder, 'none'), '--committee', committeeFile], /no such file.*\n.*path/s],
    [['verify', receiptFile, '--committee', receiptFile], /DECODE_FAILED.*\n.*damaged/s],
    [['committee', 'show', file('unsound', unsound)], /COMMITTEE_UNSOUND/],
    [['committee', 'show', file('unknown', unknown)], /"holdCutz"/],
    [['committee', 'show', file('broken', '{')], /not JSON/],
    [['nonsense'], /unknown command/],
  ] as const) {
    const { code, err } = await hopfair(...args);
    t.equal(code, 2, args.join(' '));
    t.match(err, message);
  }
  t.equal((await hopfair('--help')).code, 0);
});

t.test('committee show prints the numbers and what they tolerate, for both forms of the file alike', async t => {
  const json = JSON.stringify({
    networkId: 'test',
    epoch: 3,
    delayBoundMs: 50,
    members: members.map(({ peer }) => peer),
  });
  const shown = await hopfair('committee', 'show', committeeFile);
  t.equal(shown.code, 0);
  t.match(shown.out.join('\n'), /n +4 validators\nf +1 of them.*\nq +3 votes.*\nt +2 shares/);
  t.match(shown.out.join('\n'), /tolerates 1 of 4 validators/);
  const fromJson = await hopfair('committee', 'show', file('committee.json', json), '--json');
  t.match(JSON.parse(fromJson.out[0] ?? ''), {
    hash: committee.hashHex,
    n: 4,
    f: 1,
    q: 3,
    t: 2,
    profile: 'continuous',
  });
});

t.test('identity create makes a file for its owner alone, which show reads and create never overwrites', async t => {
  const path = join(folder, 'identity');
  const created = await hopfair('identity', 'create', path, '--json');
  t.equal(created.code, 0);
  t.equal(statSync(path).mode & 0o777, 0o600);
  const shown = await hopfair('identity', 'show', path, '--json');
  t.equal(shown.out[0], created.out[0]);
  const { peer, staticKey } = JSON.parse(shown.out[0] ?? '');
  t.match(peer, /^hf1/);
  t.equal(fromHex(staticKey).length, 32);
  const again = await hopfair('identity', 'create', path);
  t.equal(again.code, 2);
  t.match(again.err, /exists already.*\nChoose another name/s);
  chmodSync(path, 0o644);
  const open = await hopfair('identity', 'show', path);
  t.equal(open.code, 2);
  t.match(open.err, /chmod 600/);
});
