import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { concat, EMPTY, fromHex, fromUtf8, toHex } from '../../lib/bytes.js';
import { nobleCrypto, nodeCrypto, systemRandomBytes } from '../../lib/crypto/index.js';
import { unixMs } from '../../lib/env.js';
import {
  AllowList,
  assembleRoster,
  createIdentitySeeds,
  encodeRosterBody,
  Identity,
  issueCertificate,
  openMembership,
  type PeerId,
  parsePeerId,
  peerIdOf,
  publicKeyOf,
  type Roster,
  RosterMembership,
  type RosterTrust,
  signRosterBody,
  verifyCertificate,
  verifySignature,
} from '../../lib/identity/index.js';
import { LIMITS } from '../../lib/limits.js';
import { readIdentityFile, readOrCreateIdentityFile, writeIdentityFile } from '../../lib/storage/identity-file.js';

const crypto = nodeCrypto() ?? assert.fail('no node:crypto');
const tools = { crypto, rng: systemRandomBytes };
const NOW = unixMs(1_700_000_000_000);
const DAY_MS = 86_400_000;
const seedOf = (n: number): Uint8Array => new Uint8Array(32).fill(n);
const signerOf = (n: number) => crypto.signer(seedOf(n));
const peerOf = (n: number): PeerId => peerIdOf(signerOf(n).publicKey);

function identity(networkId = 'net', change: { epoch?: number; certificateLifetimeMs?: number } = {}): Identity {
  return new Identity({ crypto, seeds: { identity: seedOf(1), static: seedOf(2) }, networkId, now: NOW, ...change });
}

t.test('a peer id is the key and back again, and is the same text for ever', async t => {
  const key = fromHex('8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c');
  t.equal(toHex(publicKeyOf(peerIdOf(key))), toHex(key));
  t.equal(peerIdOf(key), 'hf132yw8ht5p8cetl2jmvknewjawt9xwzdlrk2pyxlnwjyqrdq0dawqvaajva');
  for (let i = 0; i < 50; i++) {
    const random = systemRandomBytes(32);
    t.strictSame(publicKeyOf(parsePeerId(peerIdOf(random))), random);
  }
  t.throws(() => peerIdOf(new Uint8Array(31)), { code: 'INVALID_ARGUMENT' });
});

t.test('every mistyped or exchanged character of a peer id is noticed, and the error says what is wrong', async t => {
  const peer = peerOf(1);
  for (let i = 4; i < peer.length; i++) {
    for (const character of 'qz7') {
      const typo = peer.slice(0, i) + character + peer.slice(i + 1);
      if (typo !== peer) t.throws(() => parsePeerId(typo), { code: 'INVALID_ARGUMENT', message: /checksum/ });
    }
    const exchanged = peer.slice(0, i - 1) + peer.charAt(i) + peer.charAt(i - 1) + peer.slice(i + 1);
    if (i > 4 && exchanged !== peer) t.throws(() => parsePeerId(exchanged), { message: /checksum/ });
  }
  t.throws(() => parsePeerId(''), { message: /begin with hf1/ });
  t.throws(() => parsePeerId(peer.toUpperCase()), { message: /begin with hf1/ });
  t.throws(() => parsePeerId(`${peer}q`), { message: /62 characters instead of 61/ });
  t.throws(() => parsePeerId(peer.replace(/.$/, 'b')), { message: /position 60 is not allowed/ });
  t.throws(() => parsePeerId(peer.replace(/.$/, 'é')), { message: /not allowed/ });
});

t.test('a certificate verifies on both backends and says what was certified', async t => {
  const own = identity();
  for (const backend of [crypto, nobleCrypto()]) {
    const verified = verifyCertificate(backend, own.certificate.bytes, { networkId: 'net', now: NOW });
    t.strictSame(verified, own.certificate);
    t.equal(verified.peer, own.peer);
    t.strictSame(verified.staticKey, own.staticKey.publicKey);
    t.equal(verified.expiry - verified.notBefore, LIMITS.maxCertificateLifetimeMs);
  }
});

t.test('a certificate is refused before and after its time, with five minutes for clocks that differ', async t => {
  const { bytes } = identity('net', { certificateLifetimeMs: DAY_MS }).certificate;
  const at = (now: number) => () => verifyCertificate(crypto, bytes, { networkId: 'net', now: unixMs(now) });
  const skew = LIMITS.clockSkewMs;
  t.ok(at(NOW - skew)());
  t.ok(at(NOW + DAY_MS + skew)());
  t.throws(at(NOW - skew - 1), { code: 'CERTIFICATE_INVALID', message: /not valid yet/ });
  t.throws(at(NOW + DAY_MS + skew + 1), { code: 'CERTIFICATE_INVALID', message: /expired/ });
});

t.test('a certificate of another network, a changed byte, a cut or a trailing one is refused', async t => {
  const { bytes } = identity().certificate;
  const refused = (changed: Uint8Array, networkId = 'net') =>
    t.throws(() => verifyCertificate(crypto, changed, { networkId, now: NOW }), { code: 'CERTIFICATE_INVALID' });
  refused(bytes, 'other');
  refused(concat(bytes, Uint8Array.of(0)));
  for (let i = 0; i < bytes.length; i++) {
    const changed = bytes.slice();
    changed[i] = (changed[i] ?? 0) ^ 1;
    refused(changed);
    refused(bytes.subarray(0, i));
  }
});

t.test('a certificate that its own peer signed for longer than seven days is refused by others', async t => {
  const { bytes } = identity().certificate;
  const tooLong = bytes.slice();
  const expiryAt = bytes.length - 64 - 8;
  new DataView(tooLong.buffer).setUint32(expiryAt + 4, (NOW + LIMITS.maxCertificateLifetimeMs + 1) >>> 0);
  const body = tooLong.subarray(0, -64);
  tooLong.set(identity().sign('certificate', NOW, body), body.length);
  t.throws(() => verifyCertificate(crypto, tooLong, { networkId: 'net', now: NOW }), { message: /seven days/ });
  t.throws(() => identity('net', { certificateLifetimeMs: 8 * DAY_MS }), { code: 'INVALID_ARGUMENT' });
  t.throws(() => identity('x'.repeat(65)), { code: 'INVALID_ARGUMENT' });
  t.throws(() => identity(''), { code: 'INVALID_ARGUMENT' });
});

t.test('a signature for one kind, network, epoch or peer is none for another', async t => {
  const own = identity();
  const body = fromUtf8('body');
  const signature = own.sign('order-batch', 3, body);
  const context = { kind: 'order-batch', networkId: 'net', epoch: 3 } as const;
  const verifies = (change: object, peer = own.peer, text = body) =>
    verifySignature(crypto, peer, { ...context, ...change }, text, signature);
  t.ok(verifies({}));
  t.notOk(verifies({ kind: 'link-state' }));
  t.notOk(verifies({ networkId: 'ten' }));
  t.notOk(verifies({ epoch: 4 }));
  t.notOk(verifies({}, peerOf(9)));
  t.notOk(verifies({}, own.peer, fromUtf8('ydob')));
});

t.test(
  'renewing raises the epoch even when the clock went back, and destroying ends all use of the secrets',
  async t => {
    const own = identity();
    const first = own.certificate;
    const second = own.renew(unixMs(NOW - DAY_MS));
    t.equal(second.epoch, first.epoch + 1);
    t.equal(own.certificate, second);
    t.equal(own.renew(unixMs(NOW + DAY_MS)).epoch, NOW + DAY_MS);
    t.equal(own.renewalDue, NOW + DAY_MS + LIMITS.maxCertificateLifetimeMs / 2);
    own.destroy();
    t.throws(() => own.renew(NOW), { code: 'INVALID_STATE' });
    t.throws(() => own.sign('roster', 1, EMPTY), { code: 'INVALID_STATE' });
    t.throws(() => own.staticKey.dh(crypto.dhKeyPair(seedOf(5)).publicKey), { code: 'INVALID_STATE' });
  },
);

t.test('an issuer cannot make what no peer accepts', async t => {
  const claims = { staticKey: seedOf(1), networkId: 'net', epoch: 1, notBefore: NOW, expiry: unixMs(NOW + 1) };
  t.ok(issueCertificate(signerOf(1), claims));
  for (const change of [{ staticKey: EMPTY }, { epoch: -1 }, { epoch: 0.5 }, { expiry: NOW }]) {
    t.throws(() => issueCertificate(signerOf(1), { ...claims, ...change }), { code: 'INVALID_ARGUMENT' });
  }
});

t.test('an allow-list admits those it names until they are revoked; an open network admits everyone', async t => {
  const list = new AllowList([peerOf(1), { peer: peerOf(2), operator: 'desk', region: 'zrh', mayRelay: false }]);
  t.ok(list.isAdmitted(peerOf(1)));
  t.strictSame(list.labels(peerOf(1)), { operator: undefined, region: undefined, mayRelay: true });
  t.strictSame(list.labels(peerOf(2)), { operator: 'desk', region: 'zrh', mayRelay: false });
  list.revoke(peerOf(1));
  t.notOk(list.isAdmitted(peerOf(1)));
  t.notOk(list.labels(peerOf(1)).mayRelay);
  t.ok(openMembership({ mayRelay: false }).isAdmitted(peerOf(3), NOW));
});

const ROOTS = [101, 102, 103];
const TRUST: RosterTrust = { networkId: 'net', rootKeys: ROOTS.map(n => signerOf(n).publicKey), threshold: 2 };
const ROSTER: Roster = {
  networkId: 'net',
  version: 7,
  expiry: unixMs(NOW + DAY_MS),
  members: [1, 2, 3].map(n => ({ peer: peerOf(n), operator: `op${n}`, region: undefined, mayRelay: n === 1 })),
  revoked: [peerOf(3)],
  edges: [{ between: [peerOf(2), peerOf(1)], floorMs: 1.25 }],
  aliases: [],
  rotations: [],
};

/** A roster signed by the root keys at these places, or by the keys given for them. */
function signed(change: Partial<Roster> = {}, by: readonly number[] = [0, 2], keys: readonly number[] = ROOTS) {
  const body = encodeRosterBody({ ...ROSTER, ...change });
  return assembleRoster(
    body,
    by.map(place => signRosterBody(signerOf(keys[place] ?? 0), body)),
  );
}

const membership = (minimumVersion = 0) => new RosterMembership({ crypto, trust: TRUST, minimumVersion });

t.test('a roster says who is a member, with which labels and floors, until it expires', async t => {
  const members = membership();
  t.notOk(members.isAdmitted(peerOf(1), NOW), 'nobody is admitted before a roster came');
  t.ok(members.update(signed(), NOW));
  t.strictSame(members.labels(peerOf(1)), { operator: 'op1', region: undefined, mayRelay: true, peer: peerOf(1) });
  t.ok(members.isAdmitted(peerOf(2), NOW));
  t.notOk(members.isAdmitted(peerOf(3), NOW), 'a revocation wins over membership');
  t.notOk(members.labels(peerOf(3)).mayRelay);
  t.notOk(members.isAdmitted(peerOf(4), NOW));
  t.notOk(members.isAdmitted(peerOf(1), unixMs(NOW + DAY_MS + 1)));
  t.equal(members.edgeFloorMs(peerOf(1), peerOf(2)), 1.25);
  t.equal(members.edgeFloorMs(peerOf(2), peerOf(1)), 1.25);
  t.equal(members.edgeFloorMs(peerOf(2), peerOf(3)), 0);
  t.equal(members.roster?.version, 7);
});

t.test('a roster needs m different root keys, and one wrong signature refuses it', async t => {
  const refused = (bytes: Uint8Array) => t.throws(() => membership().update(bytes, NOW), { code: 'ROSTER_INVALID' });
  t.ok(membership().update(signed({}, [0, 1, 2]), NOW));
  refused(signed({}, [1]));
  refused(signed({}, [1, 1]));
  refused(signed({}, [0, 3]));
  refused(signed({}, [0, 1, 2], [101, 102, 104]));
  refused(signed({ networkId: 'other' }));
  refused(signed({ expiry: unixMs(NOW - 1) }));
  t.throws(() => new RosterMembership({ crypto, trust: { ...TRUST, threshold: 4 } }), { code: 'INVALID_ARGUMENT' });
  const twice = [...TRUST.rootKeys, ...TRUST.rootKeys.slice(0, 1)];
  t.throws(() => new RosterMembership({ crypto, trust: { ...TRUST, rootKeys: twice } }), { code: 'INVALID_ARGUMENT' });
});

t.test('a roster never goes back to an older version, nor to another of the same, also after a restart', async t => {
  const members = membership();
  members.update(signed(), NOW);
  t.notOk(members.update(signed({}, [0, 1]), NOW), 'the same roster with other signatures changes nothing');
  t.throws(() => members.update(signed({ revoked: [] }), NOW), { message: /two rosters of version 7/ });
  t.throws(() => members.update(signed({ version: 6 }), NOW), { message: /older/ });
  t.notOk(members.isAdmitted(peerOf(3), NOW), 'what was refused changed nothing');
  t.ok(members.update(signed({ version: 8, revoked: [] }), NOW));
  t.ok(members.isAdmitted(peerOf(3), NOW));
  t.throws(() => membership(8).update(signed(), NOW), { message: /older/ });
  t.ok(membership(8).update(signed({ version: 8 }), NOW), 'the one held on disk is taken again');
});

t.test('a roster with a changed byte, a cut, or lists out of order is refused', async t => {
  const bytes = signed();
  const refused = (changed: Uint8Array) =>
    t.throws(() => membership().update(changed, NOW), { code: 'ROSTER_INVALID' });
  for (let i = 0; i < bytes.length; i++) {
    const changed = bytes.slice();
    changed[i] = (changed[i] ?? 0) ^ 1;
    refused(changed);
    refused(bytes.subarray(0, i));
  }
  refused(concat(bytes, Uint8Array.of(0)));
  t.strictSame(encodeRosterBody({ ...ROSTER, members: ROSTER.members.toReversed() }), encodeRosterBody(ROSTER));
  t.throws(() => encodeRosterBody({ ...ROSTER, revoked: [peerOf(1), peerOf(1)] }), { code: 'INVALID_ARGUMENT' });
});

t.test('the identity file is private, comes back as it was written, and is never overwritten', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'hopfair-identity-'));
  const path = join(folder, 'identity.json');
  const seeds = createIdentitySeeds(systemRandomBytes);
  await writeIdentityFile(path, seeds, tools);
  t.equal((await stat(path)).mode & 0o777, 0o600);
  t.strictSame(await readIdentityFile(path, crypto), seeds);
  t.strictSame(await readOrCreateIdentityFile(path, { ...tools, crypto: nobleCrypto() }), seeds);
  const before = await readFile(path, 'utf8');
  await t.rejects(writeIdentityFile(path, createIdentitySeeds(systemRandomBytes), tools), { code: 'INVALID_STATE' });
  t.equal(await readFile(path, 'utf8'), before);
  t.strictSame(await readdir(folder), ['identity.json'], 'no temporary file is left');
  await t.rejects(writeIdentityFile(join(folder, 'none', 'x'), seeds, tools), { code: 'STORAGE_FAILED' });
  await t.rejects(readIdentityFile(join(folder, 'none'), crypto), { code: 'STORAGE_FAILED' });
  t.ok(await readOrCreateIdentityFile(join(folder, 'second'), tools));
});

t.test('an identity file that others can read, or that is damaged, is refused without quoting its secrets', async t => {
  const path = join(await mkdtemp(join(tmpdir(), 'hopfair-identity-')), 'identity.json');
  await writeIdentityFile(path, createIdentitySeeds(systemRandomBytes), tools);
  const text = await readFile(path, 'utf8');
  const refused = async (why: RegExp) => {
    const error: unknown = await readIdentityFile(path, crypto).catch(e => e);
    t.match(error, { code: 'IDENTITY_FILE_UNSAFE', message: why });
    const { identitySeed } = JSON.parse(text) as { identitySeed: string };
    t.notOk(String(error).includes(identitySeed.slice(0, 8)));
    t.equal((error as Error).cause, undefined);
  };
  for (const mode of [0o640, 0o604, 0o660]) {
    await chmod(path, mode);
    await refused(/chmod 600/);
  }
  await chmod(path, 0o640);
  t.ok(await readIdentityFile(path, crypto, { isCredential: true }));
  await chmod(path, 0o600);
  for (const field of ['peer', 'staticKey', 'identitySeed', 'staticSeed']) {
    const parsed = JSON.parse(text) as Record<string, string>;
    const value = parsed[field] ?? '';
    const last = value.endsWith('0') ? '1' : '0';
    await writeFile(path, JSON.stringify({ ...parsed, [field]: value.slice(0, -1) + last }));
    await refused(/damaged/);
  }
  for (const content of ['', 'null', '[]', '{}', text.replace('identity-1', 'identity-9'), 'x'.repeat(5000)]) {
    await writeFile(path, content);
    await refused(/damaged/);
  }
  await writeFile(path, text);
  await truncate(path, text.length - 20);
  await refused(/not JSON/);
});

t.test(
  'a certificate that was verified is not verified again, but everything else about it is judged anew',
  async t => {
    let verifications = 0;
    const counting = {
      ...crypto,
      verify(...args: Parameters<typeof crypto.verify>) {
        verifications++;
        return crypto.verify(...args);
      },
    };
    const { bytes, staticKey } = identity().certificate;
    const verify = (change: { bytes?: Uint8Array; now?: number; networkId?: string; staticKey?: Uint8Array } = {}) =>
      verifyCertificate(counting, change.bytes ?? bytes, {
        networkId: change.networkId ?? 'net',
        now: unixMs(change.now ?? NOW),
        ...(change.staticKey && { staticKey: change.staticKey }),
      });
    const first = verify();
    t.equal(verify({ staticKey }), first);
    t.equal(verifications, 1);
    const refused = (change: Parameters<typeof verify>[0]) =>
      t.throws(() => verify(change), { code: 'CERTIFICATE_INVALID' });
    refused({ now: NOW + 8 * DAY_MS });
    refused({ networkId: 'other' });
    refused({ staticKey: seedOf(9) });
    t.equal(verifications, 1, 'what costs less is asked first');
    const forged = bytes.slice();
    forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
    refused({ bytes: forged });
    refused({ bytes: forged });
    t.equal(verifications, 3, 'a refusal is not remembered');
    t.equal(verify({ bytes: identity('net', { epoch: NOW + 1 }).certificate.bytes }).epoch, NOW + 1);
    t.equal(verifications, 4, 'a newer certificate of the same peer is another one');
    verifyCertificate({ ...counting }, bytes, { networkId: 'net', now: NOW });
    t.equal(verifications, 5, 'another provider judges by itself');
  },
);

t.test('of the certificates that were verified, those of the last 1,024 peers are remembered', async t => {
  let verifications = 0;
  const believing = { ...crypto, verify: () => ++verifications > 0 };
  const others = Array.from({ length: LIMITS.maxVerifiedCertificates }, (_, i) => {
    const bytes = identity().certificate.bytes.slice();
    new DataView(bytes.buffer).setUint32(1, i + 1); // within the public key
    return bytes;
  });
  const verify = (bytes: Uint8Array) => verifyCertificate(believing, bytes, { networkId: 'net', now: NOW });
  const { bytes } = identity().certificate;
  for (const each of [bytes, ...others]) verify(each);
  t.equal(verifications, LIMITS.maxVerifiedCertificates + 1);
  verify(others.at(-1) ?? bytes);
  verify(others[0] ?? bytes);
  t.equal(verifications, LIMITS.maxVerifiedCertificates + 1);
  verify(bytes);
  t.equal(verifications, LIMITS.maxVerifiedCertificates + 2);
});
