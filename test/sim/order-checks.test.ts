import t from 'tap';
import { type SimMachine, SimWorld } from '../../lib/sim/index.js';
import { Cluster } from './order/cluster.js';
import { type Conditions, drawConditions } from './order/conditions.js';
import { LogCheck } from './order/log-check.js';

const CALM: Partial<Conditions> = { n: 4, mode: 'sealed', realCrypto: false, maxSkewMs: 0, weakDisks: new Map() };

/** A committee of four on good links, in the middle of its work. */
async function busyCluster(
  seed: number,
): Promise<{ world: SimWorld; cluster: Cluster; members: readonly SimMachine[] }> {
  const world = new SimWorld({ seed, link: { delayMs: 2, jitterMs: 1 } });
  const conditions = { ...drawConditions(world.rng.fork('conditions'), seed), ...CALM };
  const cluster = new Cluster(world, conditions);
  cluster.start();
  await world.scheduler.runForAsync(200, 5);
  for (let i = 0; i < 40; i++) world.scheduler.after(10 * i, () => cluster.submit(i % 2, 'account', 20_000));
  return { world, cluster, members: cluster.members };
}

t.test('a disk that lied about fsync is noticed: its member finds that others know more than its log', async t => {
  let noticed = 0;
  for (let seed = 1; seed <= 5; seed++) {
    const { world, cluster, members } = await busyCluster(seed);
    const [liar] = members as [SimMachine];
    await world.scheduler.runForAsync(50, 5);
    liar.disk.faults = { fsyncLies: true, tornWrite: 0 };
    await world.scheduler.runForAsync(100, 5);
    liar.crash();
    liar.disk.faults = {};
    await world.scheduler.runForAsync(50, 5);
    cluster.restart(liar);
    await world.scheduler.runForAsync(1_000, 5);
    if (world.faults.of('fsync-lie') === 0) continue;
    t.throws(() => cluster.check(), /^durability: member 0 on a sound disk abstains: newer/);
    noticed += 1;
  }
  t.ok(noticed >= 3, `in ${noticed} of 5 worlds the lie lost something`);
});

t.test('an honest crash of a member on a sound disk breaks nothing', async t => {
  const { world, cluster, members } = await busyCluster(6);
  await world.scheduler.runForAsync(150, 5);
  const [member] = members as [SimMachine];
  member.crash();
  await world.scheduler.runForAsync(50, 5);
  cluster.restart(member);
  await world.scheduler.runForAsync(3_000, 5);
  cluster.check();
  t.equal(cluster.log.log.length, 40);
  t.strictSame(
    [...cluster.readers.values()].map(({ length }) => length),
    Array(7).fill(40),
  );
});

t.test('the log check sees divergence, gaps, repetitions, strangers and streams out of order', async t => {
  const { world, cluster } = await busyCluster(7);
  await world.scheduler.runForAsync(2_000, 5);
  cluster.check();
  const { log } = cluster.log;
  const [first, second, third] = log;
  if (first === undefined || second === undefined || third === undefined) throw new Error('the log is too short');

  const reader = cluster.log.reader('late');
  reader.hand(first);
  t.throws(() => reader.hand(third), /^gap: /);
  t.throws(() => reader.hand({ ...second, height: second.height + 1 }), /^agreement: /);
  t.throws(() => reader.hand({ ...second, laneTimes: [] }), /^agreement: /);
  reader.hand(second);

  const payloadOf = (entry: typeof first): Uint8Array => {
    if (entry.opening.kind !== 'opened') throw new Error('void');
    return entry.opening.payload;
  };
  const checkWith = (...entries: (typeof first)[]) => {
    const check = new LogCheck();
    for (const [i, entry] of entries.entries()) {
      const { sender, stream } = entry;
      check.submitted({ sender, stream, ordinal: i + 1 }, payloadOf(entry));
    }
    return check.reader('own');
  };
  t.throws(() => checkWith().hand(first), /^validity: /);
  const twice = checkWith(first);
  twice.hand(first);
  t.throws(() => twice.hand({ ...first, index: 1 }), /^duplicate: /);
  const skipped = checkWith(first);
  t.throws(() => skipped.hand({ ...first, sequence: 2 }), /^stream order: /);
});
