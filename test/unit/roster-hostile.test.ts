import t from 'tap';
import type { Channel } from '../../lib/channel/index.js';
import { unixMs } from '../../lib/env.js';
import { Identity } from '../../lib/identity/index.js';
import { LIMITS } from '../../lib/limits.js';
import { fakeCrypto, SIMULATED_START_UNIX_MS } from '../../lib/sim/index.js';
import {
  decodeRosterFrame,
  encodeRosterFrame,
  isRosterFrame,
  MAX_ROSTER_PART_BYTES,
  type RosterFrame,
} from '../../lib/wire/index.js';
import { RosterWorld, signRoster } from '../support/roster-world.js';

const SEEDS = { identity: new Uint8Array(32).fill(9), static: new Uint8Array(32).fill(8) };
const HASH = new Uint8Array(32);
const NAMES = ['A', 'B'];

/** A member that speaks the protocol by hand, beside an honest neighbour B of A. */
class Hostile {
  readonly mesh: RosterWorld;
  readonly pulls: number[] = [];
  readonly parts: number[] = [];
  members: ReturnType<RosterWorld['roster']>['members'] = [];
  /** What it answers pulls with. */
  serves: Uint8Array | undefined;
  #channel: Channel | undefined;

  constructor(seed: string) {
    this.mesh = new RosterWorld({ seed });
    this.mesh.add('A', [], { relay: true });
    this.mesh.add('B', ['A'], { relay: true });
  }

  async start(): Promise<void> {
    const { mesh } = this;
    const now = unixMs(SIMULATED_START_UNIX_MS);
    const identity = new Identity({ crypto: fakeCrypto(), seeds: SEEDS, networkId: 'test', now });
    this.members = [{ peer: identity.peer, operator: 'hostile', region: undefined, mayRelay: true }];
    for (const name of NAMES) mesh.give(name, this.roster(1));
    await mesh.run(1_000);
    this.#channel = await mesh.rawChannel('A', identity);
    this.#channel.attach({ onMessage: m => this.#onMessage(m), onDrain: () => undefined, onClose: () => undefined });
  }

  roster(version: number, expiry?: number): Uint8Array {
    const usual = this.mesh.roster(version, NAMES);
    return signRoster({
      ...usual,
      members: [...usual.members, ...this.members],
      ...(expiry !== undefined && { expiry: unixMs(expiry) }),
    });
  }

  say(frame: RosterFrame): void {
    this.#channel?.send(encodeRosterFrame(frame));
  }

  announce(version: number, bytes: number): void {
    this.say({ kind: 'roster-announce', version, bytes, bodyHash: HASH });
  }

  #onMessage(message: Uint8Array): void {
    if (!isRosterFrame(message)) return;
    const frame = decodeRosterFrame(message);
    if (frame.kind === 'roster-part') this.parts.push(frame.bytes.length);
    if (frame.kind !== 'roster-pull') return;
    const { version, offset } = frame;
    this.pulls.push(version);
    const bytes = this.serves?.subarray(offset, offset + MAX_ROSTER_PART_BYTES);
    if (bytes !== undefined) this.say({ kind: 'roster-part', version, offset, bytes });
  }
}

async function hostile(seed: string): Promise<Hostile> {
  const neighbour = new Hostile(seed);
  await neighbour.start();
  return neighbour;
}

t.test(
  'a forged roster is refused, who forged it is asked less and less often, and the true one comes from another',
  async t => {
    const neighbour = await hostile('forged');
    const forged = neighbour.roster(9);
    forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
    neighbour.serves = forged;
    neighbour.announce(9, forged.length);
    await neighbour.mesh.run(100);
    t.equal(neighbour.pulls.length, 1);
    t.equal(neighbour.mesh.versionOf('A'), 1);
    neighbour.mesh.give('B', neighbour.roster(2));
    await neighbour.mesh.run(500);
    t.equal(neighbour.mesh.versionOf('A'), 2);
    await neighbour.mesh.run(60_000);
    t.equal(neighbour.pulls.length, 2, 'after 8 s; then not for 128 s');
  },
);

t.test(
  'who announces a version and delivers an older one, the same, or another is asked less and less often',
  async t => {
    for (const delivered of [1, 2, 5]) {
      const neighbour = await hostile(`delivers ${delivered}`);
      neighbour.mesh.give('A', neighbour.roster(2));
      neighbour.serves = neighbour.roster(delivered);
      neighbour.announce(9, neighbour.serves.length);
      await neighbour.mesh.run(60_000);
      t.equal(neighbour.pulls.length, 2, `${delivered}`);
      t.equal(neighbour.mesh.versionOf('A'), Math.max(2, delivered), 'a sound one is taken all the same');
    }
  },
);

t.test('of two rosters of one version the first stands, whoever signed the second', async t => {
  const neighbour = await hostile('two of one version');
  const another = signRoster({ ...neighbour.mesh.roster(1, NAMES), members: neighbour.members });
  neighbour.serves = another;
  neighbour.announce(1, another.length);
  await neighbour.mesh.run(1_000);
  t.strictSame(neighbour.pulls, [], 'its name is no news');
  neighbour.announce(2, another.length);
  await neighbour.mesh.run(1_000);
  t.strictSame(neighbour.pulls, [2]);
  t.ok(neighbour.mesh.membershipOf('A').isAdmitted(neighbour.mesh.host('B').peer, neighbour.mesh.unixMs('A')));
});

t.test('a roster that is newer and expired is not taken from a neighbour', async t => {
  const neighbour = await hostile('expired');
  neighbour.serves = neighbour.roster(2, SIMULATED_START_UNIX_MS + 100);
  neighbour.announce(2, neighbour.serves.length);
  await neighbour.mesh.run(1_000);
  t.strictSame(neighbour.pulls, [2]);
  t.equal(neighbour.mesh.versionOf('A'), 1);
});

t.test('a roster above the bound is not asked for, and one that grows on the way is dropped', async t => {
  const neighbour = await hostile('oversize');
  const oversize = encodeRosterFrame({
    kind: 'roster-announce',
    version: 2,
    bytes: LIMITS.maxRosterBytes + 1,
    bodyHash: HASH,
  });
  t.throws(() => decodeRosterFrame(oversize), { code: 'DECODE_FAILED' });
  neighbour.announce(2, LIMITS.maxRosterBytes + 1);
  await neighbour.mesh.run(1_000);
  t.strictSame(neighbour.pulls, []);
  neighbour.serves = neighbour.roster(2);
  neighbour.announce(2, neighbour.serves.length - 1);
  await neighbour.mesh.run(1_000);
  t.strictSame(neighbour.pulls, [2]);
  t.equal(neighbour.mesh.versionOf('A'), 1);
});

t.test('who announces what it never delivers costs others two seconds, once', async t => {
  const neighbour = await hostile('never delivers');
  neighbour.announce(Number.MAX_SAFE_INTEGER, LIMITS.maxRosterBytes);
  await neighbour.mesh.run(100);
  neighbour.mesh.give('B', neighbour.roster(2));
  await neighbour.mesh.run(1_500);
  t.equal(neighbour.mesh.versionOf('A'), 1, 'one pull at a time');
  await neighbour.mesh.run(600);
  t.equal(neighbour.mesh.versionOf('A'), 2);
  neighbour.mesh.give('B', neighbour.roster(3));
  await neighbour.mesh.run(100);
  t.equal(neighbour.mesh.versionOf('A'), 3);
});

t.test('a flood of announcements is heard for its burst only, and holds nobody up', async t => {
  const neighbour = await hostile('flood');
  for (let i = 0; i < 2_000; i++) neighbour.announce(1_000 + i, 100);
  await neighbour.mesh.run(10_000);
  const heard = LIMITS.rosterAnnouncementBurst + 10 * LIMITS.rosterAnnouncementsPerSecond;
  t.ok(neighbour.pulls.every(version => version < 1_000 + heard));
  t.ok(neighbour.pulls.length <= 4, 'and it is asked at 0, 3, 7 and 13 s at the soonest');
  neighbour.mesh.give('B', neighbour.roster(2));
  await neighbour.mesh.run(3_000);
  t.equal(neighbour.mesh.versionOf('A'), 2);
});

t.test('a flood of pulls is served for the largest roster once, and slowly from then on', async t => {
  const neighbour = await hostile('pulls');
  for (let i = 0; i < 4_000; i++) neighbour.say({ kind: 'roster-pull', version: 1, offset: 0 });
  await neighbour.mesh.run(1_000);
  t.ok(neighbour.parts.length >= LIMITS.rosterPartBurst);
  t.ok(neighbour.parts.length <= LIMITS.rosterPartBurst + LIMITS.rosterPartsPerSecond);
});

t.test('no frame of rosters that is cut, long, or of a kind of data frames is taken', async t => {
  const frames: RosterFrame[] = [
    { kind: 'roster-announce', version: 7, bytes: 1_000, bodyHash: HASH },
    { kind: 'roster-pull', version: 7, offset: 16_384 },
    { kind: 'roster-part', version: 7, offset: 16_384, bytes: new Uint8Array(100) },
  ];
  for (const frame of frames) {
    const bytes = encodeRosterFrame(frame);
    t.strictSame(decodeRosterFrame(bytes), frame);
    for (let n = 0; n < bytes.length; n++)
      t.throws(() => decodeRosterFrame(bytes.subarray(0, n)), { code: 'DECODE_FAILED' });
    t.throws(() => decodeRosterFrame(Uint8Array.of(...bytes, 0)), { code: 'DECODE_FAILED' });
  }
  for (const kind of [16, 17]) t.notOk(isRosterFrame(Uint8Array.of(kind)));
});
