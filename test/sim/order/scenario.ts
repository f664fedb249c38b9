/**
 * Sealed orders through a committee under everything that the conditions of a seed hold: first safety while faults happen,
 * then all of them end and liveness is required.
 */
import { type Scenario, type SimWorld, Violation } from '../../../lib/sim/index.js';
import { Cluster } from './cluster.js';
import { type Conditions, drawConditions } from './conditions.js';
import { checkFairness } from './fairness-check.js';
import { Nemesis } from './nemesis.js';

/** Continuations of promises run, and failures are looked at, this often. */
const SLICE_MS = 5;
/** Every session is up by then. */
const WARM_UP_MS = 200;
/** After the last fault everything must be settled within this time. */
const SETTLING_MS = 60_000;
/** Outlives all that goes wrong, and stays below the committee's maximum on clocks that differ. */
const LONG_TTL_MS = 50_000;
const STREAMS = ['account-1', 'account-2'] as const;

export const orderScenario: Scenario = {
  name: 'order',
  faults: [
    'jitter',
    'drop',
    'clog',
    'partition-two-way',
    'partition-one-way',
    'partition-bridge',
    'crash',
    'pause',
    'clock-skew',
    'clock-drift',
    'clock-jump',
    'lost-write',
    'torn-write',
    'fsync-lie',
    'bit-rot',
    'io-error',
    'disk-full',
  ],
  play: async (world, seed) => {
    const conditions = drawConditions(world.rng.fork('conditions'), seed);
    world.network.setUsual({ ...conditions.link, loss: 0 });
    const cluster = new Cluster(world, conditions);
    const nemesis = new Nemesis(world, conditions, cluster.members, machine => cluster.restart(machine));
    cluster.start();
    // Who seals before it shares a key with a member leaves that member out; with another one faulty, that is too many.
    await run(world, cluster, WARM_UP_MS);
    world.network.setUsual(conditions.link);
    scheduleOrders(world, cluster, conditions);
    nemesis.unleash();
    await run(world, cluster, conditions.faultyMs);
    nemesis.heal();
    // Orders of the healthy time: none of them may be late.
    for (let i = 0; i < conditions.clients; i++) for (const stream of STREAMS) cluster.submit(i, stream, LONG_TTL_MS);
    await settle(world, cluster);
    requireComplete(cluster);
    checkFairness(cluster.committee, cluster.wire, cluster.log.log);
  },
};

function scheduleOrders(world: SimWorld, cluster: Cluster, conditions: Conditions): void {
  const rng = world.rng.fork('orders');
  const { clients, ordersPerClient, faultyMs } = conditions;
  for (let client = 0; client < clients; client++) {
    for (let i = 0; i < ordersPerClient; i++) {
      const ttlMs = rng.chance(0.9) ? LONG_TTL_MS : rng.between(100, faultyMs);
      const stream = rng.pick(STREAMS);
      world.scheduler.after(rng.between(0, faultyMs), () => cluster.submit(client, stream, ttlMs));
    }
  }
}

async function run(world: SimWorld, cluster: Cluster, durationMs: number): Promise<void> {
  const end = world.scheduler.nowMs + durationMs;
  while (world.scheduler.nowMs < end) {
    await world.scheduler.runForAsync(SLICE_MS, SLICE_MS);
    cluster.check();
  }
}

/** Runs until every order has an outcome and everyone who runs has the whole log. */
async function settle(world: SimWorld, cluster: Cluster): Promise<void> {
  const end = world.scheduler.nowMs + SETTLING_MS;
  while (!isSettled(cluster)) {
    if (world.scheduler.nowMs >= end) throw new Violation('liveness', describeUnsettled(cluster));
    await run(world, cluster, 50);
  }
  await run(world, cluster, 500); // what is delivered twice or too late shows here
}

const behind = (cluster: Cluster): string[] =>
  [...cluster.readers]
    .filter(([machine, reader]) => !cluster.lost.has(machine) && reader.length < cluster.log.log.length)
    .map(([, reader]) => `${reader.name} has ${reader.length}`);

const isSettled = (cluster: Cluster): boolean =>
  cluster.orders.every(({ outcome }) => outcome !== 'pending') && behind(cluster).length === 0;

function describeUnsettled(cluster: Cluster): string {
  const pending = cluster.orders.filter(({ outcome }) => outcome === 'pending').map(({ name }) => name);
  return `pending: ${pending.join(', ') || 'none'}; of ${cluster.log.log.length} entries ${behind(cluster).join(', ') || 'all have all'}`;
}

/** The log holds what was submitted without what expired, and only what could expire did. */
function requireComplete({ orders, log }: Cluster): void {
  for (const { name, payload, ttlMs, outcome } of orders) {
    const index = log.indexOf(payload);
    if (outcome === 'opened' && index === undefined) throw new Violation('lost', `${name} was told to be opened`);
    if (outcome === 'expired' && index !== undefined) throw new Violation('false expiry', `${name} is entry ${index}`);
    if (outcome === 'expired' && ttlMs >= LONG_TTL_MS) throw new Violation('lost', `${name} expired before its time`);
  }
}
