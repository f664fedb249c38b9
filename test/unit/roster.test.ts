import assert from 'node:assert/strict';
import t from 'tap';
import { toHex } from '../../lib/bytes.js';
import { nodeCrypto } from '../../lib/crypto/node.js';
import { unixMs } from '../../lib/env.js';
import {
  assembleRoster,
  assembleRotation,
  decodeRoster,
  encodeRosterBody,
  encodeRotationBody,
  type PeerId,
  peerIdOf,
  type RootKeys,
  type Roster,
  type RosterChange,
  RosterMembership,
  signRosterBody,
  signRotationBody,
} from '../../lib/identity/index.js';
import { LIMITS } from '../../lib/limits.js';

const crypto = nodeCrypto() ?? assert.fail('no node:crypto');
const NOW = unixMs(1_700_000_000_000);
const DAY_MS = 86_400_000;
const signerOf = (n: number) => crypto.signer(new Uint8Array(32).fill(n));
const peerOf = (n: number): PeerId => peerIdOf(signerOf(n).publicKey);
const rootsOf = (...ns: number[]): RootKeys => ({ rootKeys: ns.map(n => signerOf(n).publicKey), threshold: 2 });

/** Three generations of root keys, two of three each. */
const [FIRST, SECOND, THIRD] = [
  [101, 102, 103],
  [111, 112, 113],
  [121, 122, 123],
] as const;

const rosterOf = (change: Partial<Roster> = {}): Roster => ({
  networkId: 'net',
  version: 1,
  expiry: unixMs(NOW + DAY_MS),
  members: [1, 2].map(n => ({ peer: peerOf(n), operator: `op${n}`, region: 'zrh', mayRelay: true })),
  revoked: [],
  edges: [],
  aliases: [],
  rotations: [],
  ...change,
});

function signed(change: Partial<Roster>, by: readonly number[] = FIRST): Uint8Array {
  const body = encodeRosterBody(rosterOf(change));
  return assembleRoster(
    body,
    by.map(n => signRosterBody(signerOf(n), body)),
  );
}

function rotation(fromVersion: number, to: RootKeys, by: readonly number[]): Uint8Array {
  const body = encodeRotationBody({ networkId: 'net', fromVersion, ...to });
  return assembleRotation(
    body,
    by.map(n => signRotationBody(signerOf(n), body)),
  );
}

const membership = (roots: RootKeys = rootsOf(...FIRST)): RosterMembership =>
  new RosterMembership({ crypto, trust: { networkId: 'net', ...roots } });

const TO_SECOND = rotation(5, rootsOf(...SECOND), FIRST.slice(0, 2));
const TO_THIRD = rotation(8, rootsOf(...THIRD), SECOND.slice(1));

t.test('rotations lead from root keys that were pinned long ago to those who sign today', async t => {
  const members = membership();
  t.ok(members.update(signed({ version: 4 }), NOW));
  t.ok(members.update(signed({ version: 9, rotations: [TO_SECOND, TO_THIRD] }, THIRD), NOW), 'two rotations at once');
  t.equal(members.roster?.version, 9);
  t.ok(membership(rootsOf(...SECOND)).update(signed({ version: 9, rotations: [TO_SECOND, TO_THIRD] }, THIRD), NOW));
  t.ok(membership(rootsOf(...THIRD)).update(signed({ version: 9, rotations: [TO_SECOND, TO_THIRD] }, THIRD), NOW));
  t.ok(members.update(signed({ version: 10 }, THIRD), NOW), 'who followed needs the rotations no more');
});

t.test('after a rotation was followed, the old root keys sign nothing any more, also after a restart', async t => {
  const newest = signed({ version: 5, rotations: [TO_SECOND] }, SECOND);
  for (const restarted of [false, true]) {
    const members = membership();
    if (restarted) members.restore(newest);
    else members.update(newest, NOW);
    const refused = (bytes: Uint8Array) => t.throws(() => members.update(bytes, NOW), { code: 'ROSTER_INVALID' });
    refused(signed({ version: 6 }, FIRST));
    refused(signed({ version: 6, rotations: [rotation(6, rootsOf(...THIRD), FIRST)] }, THIRD));
    refused(signed({ version: 6, rotations: [TO_SECOND] }, FIRST));
    t.equal(members.roster?.version, 5);
    t.ok(members.update(signed({ version: 6 }, SECOND), NOW));
  }
});

t.test('a rotation needs m of the present root keys, and counts from its version on only', async t => {
  const refused = (change: Partial<Roster>, by: readonly number[], message: RegExp) =>
    t.throws(() => membership().update(signed(change, by), NOW), { code: 'ROSTER_INVALID', message });
  const to = rootsOf(...SECOND);
  refused({ version: 5, rotations: [rotation(5, to, [101])] }, SECOND, /1 of 2/);
  refused({ version: 5, rotations: [rotation(5, to, [101, 111])] }, SECOND, /no root key/);
  refused({ version: 5, rotations: [TO_SECOND] }, FIRST, /no root key/);
  refused({ version: 4, rotations: [TO_SECOND] }, SECOND, /from version 5 on/);
  refused({ version: 9, rotations: [TO_THIRD] }, THIRD, /no root key/);
  const forged = TO_SECOND.slice();
  forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
  refused({ version: 5, rotations: [forged] }, SECOND, /is wrong/);
  const elsewhere = encodeRotationBody({ networkId: 'other', fromVersion: 5, ...to });
  const signatures = FIRST.map(n => signRotationBody(signerOf(n), elsewhere));
  refused({ version: 5, rotations: [assembleRotation(elsewhere, signatures)] }, SECOND, /another network/);
  t.throws(() => encodeRosterBody(rosterOf({ version: 9, rotations: [TO_THIRD, TO_SECOND] })), {
    code: 'INVALID_ARGUMENT',
  });
});

t.test('a change says who came and who went, once for each roster that is adopted', async t => {
  const members = membership();
  const changes: RosterChange[] = [];
  const stop = members.onChange(change => changes.push(change));
  members.update(signed({ version: 1 }), NOW);
  members.update(signed({ version: 1 }), NOW);
  const next = [2, 3].map(n => ({ peer: peerOf(n), operator: undefined, region: undefined, mayRelay: false }));
  t.throws(() => members.update(signed({ version: 2, members: next }, [101]), NOW));
  members.update(signed({ version: 5, members: next, rotations: [TO_SECOND] }, SECOND), NOW);
  t.strictSame(changes, [
    {
      oldVersion: undefined,
      version: 1,
      added: rosterOf()
        .members.map(({ peer }) => peer)
        .sort(byKey),
      removed: [],
      rootKeysChanged: false,
    },
    { oldVersion: 1, version: 5, added: [peerOf(3)], removed: [peerOf(1)], rootKeysChanged: true },
  ]);
  stop();
  members.update(signed({ version: 6 }, SECOND), NOW);
  t.equal(changes.length, 2);
});

const byKey = (a: PeerId, b: PeerId): number => (toHex(keyOf(a)) < toHex(keyOf(b)) ? -1 : 1);
const keyOf = (peer: PeerId): Uint8Array =>
  [1, 2, 3].map(n => signerOf(n).publicKey).find(key => peerIdOf(key) === peer) ?? assert.fail();

t.test(
  'what was held before a restart is taken back even when it is expired: it admits nobody, and nothing older follows',
  async t => {
    const later = unixMs(NOW + 2 * DAY_MS);
    const members = membership();
    t.ok(members.restore(signed({ version: 7 })));
    t.ok(members.isAdmitted(peerOf(1), NOW));
    t.notOk(members.isAdmitted(peerOf(1), later));
    const soon = { expiry: unixMs(NOW + 3 * DAY_MS) };
    t.throws(() => members.update(signed({ version: 6, ...soon }), later), { message: /older than 7/ });
    t.notOk(members.restore(signed({ version: 6 })), 'an older copy changes nothing');
    t.equal(members.roster?.version, 7);
    t.throws(() => members.update(signed({ version: 8 }), later), { message: /expired/ });
    t.ok(members.update(signed({ version: 8, ...soon }), later));
    t.ok(members.isAdmitted(peerOf(1), later));
  },
);

t.test('an alias names the topic of a member, and nothing once its publisher is revoked', async t => {
  const aliases = [
    { alias: 'prices', publisher: peerOf(1), name: 'book.BTC-PERP' },
    { alias: 'news', publisher: peerOf(9), name: 'all' },
  ];
  const members = membership();
  members.update(signed({ aliases }), NOW);
  t.equal(members.aliasOf('prices'), `${peerOf(1)}/book.BTC-PERP`);
  t.equal(members.aliasOf('news'), undefined, 'of no member');
  t.equal(members.aliasOf('other'), undefined);
  members.update(signed({ version: 2, aliases, revoked: [peerOf(1)] }), NOW);
  t.equal(members.aliasOf('prices'), undefined);
  for (const alias of ['', 'a/b', 'x'.repeat(LIMITS.maxLabelBytes + 1)]) {
    t.throws(() => encodeRosterBody(rosterOf({ aliases: [{ alias, publisher: peerOf(1), name: 'n' }] })), {
      code: 'INVALID_ARGUMENT',
    });
  }
  const twice = [0, 1].map(() => ({ alias: 'prices', publisher: peerOf(1), name: 'n' }));
  t.throws(() => encodeRosterBody(rosterOf({ aliases: twice })), { code: 'INVALID_ARGUMENT' });
});

t.test(
  'a roster that is not admitted by may still come from whom this node dials, or from a member of an expired one',
  async t => {
    const later = unixMs(NOW + 2 * DAY_MS);
    const members = membership();
    t.ok(members.mayBringRoster(peerOf(1), true, NOW), 'without a roster, whom it was told to dial');
    t.notOk(members.mayBringRoster(peerOf(1), false, NOW));
    members.update(signed({ revoked: [peerOf(2)] }), NOW);
    t.notOk(members.mayBringRoster(peerOf(1), false, NOW), 'a member comes in, and needs no visit');
    t.ok(members.mayBringRoster(peerOf(1), false, later));
    t.ok(members.mayBringRoster(peerOf(3), true, NOW), 'perhaps a member of the next one');
    for (const isDialled of [true, false]) {
      t.notOk(members.mayBringRoster(peerOf(2), isDialled, later), 'never who is revoked');
      t.equal(members.mayBringRoster(peerOf(3), isDialled, later), isDialled);
    }
  },
);

t.test('the largest roster fits its bounds, and one above them cannot be made', async t => {
  const bytes = signed({ rotations: [TO_SECOND], version: 5 }, SECOND);
  t.strictSame(decodeRoster(bytes).roster.rotations, [TO_SECOND]);
  const body = new Uint8Array(LIMITS.maxRosterBytes);
  t.throws(() => assembleRoster(body, []), { code: 'INVALID_ARGUMENT' });
  t.throws(() => membership().update(body, NOW), { code: 'ROSTER_INVALID' });
});
