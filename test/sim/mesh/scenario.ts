/**
 * Messages between ends that are linked only by relays, while relays die, lie and are cut off: nothing is lost, repeated
 * or reordered; then everything heals, and sessions must work again.
 */
import { type Scenario, type SimWorld, Violation } from '../../../lib/sim/index.js';
import { type Conditions, drawConditions } from './conditions.js';
import { Nemesis } from './nemesis.js';
import { Overlay, SERVICES } from './overlay.js';

const SLICE_MS = 5;
/** Channels, link state and sessions need this long before faults begin. */
const WARM_UP_MS = 2_000;
const SETTLING_MS = 120_000;
const RETRY_FULL_QUEUE_MS = 50;

export const meshScenario: Scenario = {
  name: 'mesh',
  faults: [
    'jitter',
    'drop',
    'corrupt',
    'clog',
    'reset',
    'dead-link',
    'partition-two-way',
    'partition-one-way',
    'partition-bridge',
    'crash',
    'pause',
    'clock-skew',
    'hostile-relay',
    'revocation',
  ],
  play: async (world, seed) => {
    const conditions = drawConditions(world.rng.fork('conditions'), seed);
    const overlay = new Overlay(world, conditions);
    const nemesis = new Nemesis(world, conditions, overlay);
    overlay.start();
    sendToAll(world, overlay, conditions);
    await run(world, overlay, WARM_UP_MS);
    world.network.setUsual(conditions.link);
    scheduleTraffic(world, overlay, conditions);
    nemesis.unleash();
    await run(world, overlay, Math.max(conditions.faultyMs, conditions.partitions * conditions.longestPartitionMs));
    nemesis.heal();
    sendToAll(world, overlay, conditions);
    await settle(world, overlay);
    await settleRosters(world, overlay);
    overlay.takeForwardedByRevoked();
    sendToAll(world, overlay, conditions);
    await settle(world, overlay);
    const forwarded = overlay.takeForwardedByRevoked();
    if (forwarded > 0)
      throw new Violation('revoked', `a relay forwarded ${forwarded} frames long after it was revoked`);
    await run(world, overlay, 1_000); // what comes twice or too late shows here
  },
};

function sendToAll(world: SimWorld, overlay: Overlay, { ends }: Conditions): void {
  for (let from = 0; from < ends; from++) {
    for (let to = 0; to < ends; to++) {
      if (from !== to) for (const service of SERVICES) sendWhenPossible(world, overlay, from, to, service);
    }
  }
}

/** As an application does that must not lose anything: a full queue is waited for. */
function sendWhenPossible(world: SimWorld, overlay: Overlay, from: number, to: number, service: string): void {
  const attempt = (): void => {
    if (!overlay.send(from, to, service)) world.scheduler.after(RETRY_FULL_QUEUE_MS, attempt);
  };
  world.scheduler.after(0, attempt);
}

function scheduleTraffic(world: SimWorld, overlay: Overlay, { ends, messagesPerEnd, faultyMs }: Conditions): void {
  const rng = world.rng.fork('traffic');
  for (let from = 0; from < ends; from++) {
    for (let i = 0; i < messagesPerEnd; i++) {
      const to = (from + 1 + rng.int(ends - 1)) % ends;
      const service = rng.pick(SERVICES);
      world.scheduler.after(rng.between(0, faultyMs), () => sendWhenPossible(world, overlay, from, to, service));
    }
  }
}

async function run(world: SimWorld, overlay: Overlay, durationMs: number): Promise<void> {
  const end = world.scheduler.nowMs + durationMs;
  while (world.scheduler.nowMs < end) {
    await world.scheduler.runForAsync(SLICE_MS, SLICE_MS);
    overlay.check();
  }
}

async function settle(world: SimWorld, overlay: Overlay): Promise<void> {
  const end = world.scheduler.nowMs + SETTLING_MS;
  await run(world, overlay, RETRY_FULL_QUEUE_MS);
  while (overlay.traffic.unfinished().length > 0) {
    if (world.scheduler.nowMs >= end) throw new Violation('liveness', overlay.traffic.unfinished().join('; '));
    await run(world, overlay, 50);
  }
}

async function settleRosters(world: SimWorld, overlay: Overlay): Promise<void> {
  const end = world.scheduler.nowMs + SETTLING_MS;
  for (;;) {
    const behind = overlay.behind();
    if (behind.length === 0) return;
    if (world.scheduler.nowMs >= end) throw new Violation('liveness', `${behind.join(', ')} knows of no revocation`);
    await run(world, overlay, 50);
  }
}
