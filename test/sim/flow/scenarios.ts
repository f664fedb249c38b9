/** What is played, and against which bar of the design's overlay.md it is measured. */
import type { TrafficClass } from '../../../lib/route/index.js';
import { SeededRng } from '../../../lib/sim/rng.js';
import { delaying, dropping, droppingReceipts, type Frame, onAndOff } from './relays.js';
import { FlowWorld, type PathSpec } from './world.js';

export interface FlowOptions {
  readonly rttMs: number;
  /** Messages per second. */
  readonly rate: number;
}

export interface FlowRun {
  readonly world: FlowWorld;
  readonly faultAtMs: number;
  readonly endMs: number;
  /** Undefined in a run without a hostile relay. */
  readonly hostile: string | undefined;
}

export interface FlowScenario {
  readonly name: string;
  readonly what: string;
  play(seed: number, options: FlowOptions): FlowRun;
}

const DESTINATION = 'D';
const SETTLE_MS = 5_000;
const WARM_UP_MS = 5_000;

interface Plan {
  readonly relays?: number;
  readonly forMs: number;
  readonly lossShare?: number;
  readonly jitterMs?: number;
  readonly classOf?: (i: number) => TrafficClass;
  readonly kPaths?: number;
  readonly serviceMs?: (nowMs: number, faultAtMs: number, options: FlowOptions) => number;
  /** What happens at `faultAtMs`; `relay` carries the active path then. */
  readonly fault?: (world: FlowWorld, relay: string, random: () => number) => void;
  readonly always?: (world: FlowWorld, endMs: number) => void;
  /** Whether the relay that carries the traffic at the fault is hostile, or none is. */
  readonly isHostile?: boolean;
}

const relayNames = ['A', 'B', 'C', 'E', 'F', 'G'];

function pathsOver(count: number, rng: SeededRng, rttMs: number): PathSpec[] {
  return relayNames.slice(0, count).map(relay => ({
    destination: DESTINATION,
    relays: [relay],
    operators: [`operator ${relay}`],
    rttMs: rttMs * rng.between(1, 1.08),
  }));
}

function scenario(name: string, what: string, plan: Plan): FlowScenario {
  return {
    name,
    what,
    play: (seed, options) => {
      const rng = new SeededRng(`${name}/${seed}`);
      const paths = pathsOver(plan.relays ?? 2, rng, options.rttMs);
      const faultAtMs = WARM_UP_MS + rng.between(0, 1_000);
      const { serviceMs } = plan;
      const world = new FlowWorld({
        rng,
        paths,
        jitterMs: plan.jitterMs ?? options.rttMs / 100,
        lossShare: plan.lossShare ?? 0,
        ...(serviceMs && { serviceMs: nowMs => serviceMs(nowMs, faultAtMs, options) }),
      });
      const lastMs = faultAtMs + plan.forMs;
      sendAtPoissonTimes(world, options.rate, lastMs, plan.classOf ?? (() => 'normal'), plan.kPaths);
      plan.always?.(world, lastMs);
      world.run(faultAtMs);
      const relay = world.flow(DESTINATION).active?.route[0] ?? 'A';
      const random = rng.fork('relay');
      plan.fault?.(world, relay, () => random.float());
      world.run(lastMs + SETTLE_MS);
      const hostile = plan.fault !== undefined && plan.isHostile !== false ? relay : undefined;
      return { world, faultAtMs, endMs: lastMs, hostile };
    },
  };
}

/** Half as regular as a heartbeat, half as irregular as chance: real messages are neither. */
function sendAtPoissonTimes(
  world: FlowWorld,
  rate: number,
  untilMs: number,
  classOf: (i: number) => TrafficClass,
  paths: number | undefined,
): void {
  const rng = world.rng.fork('traffic');
  const meanMs = 1_000 / rate;
  const next = (i: number): void => {
    world.submit(DESTINATION, classOf(i), paths);
    const atMs = world.nowMs + meanMs * (0.5 - 0.5 * Math.log(1 - rng.float()));
    if (atMs < untilMs) world.at(atMs, () => next(i + 1));
  };
  world.at(rng.between(0, meanMs), () => next(0));
}

function stallOften(world: FlowWorld, untilMs: number, everyMs: number, fromMs: number, toMs: number): void {
  const rng = world.rng.fork('stalls');
  const next = (): void => {
    world.stall(rng.between(fromMs, toMs));
    const atMs = world.nowMs - everyMs * Math.log(1 - rng.float());
    if (atMs < untilMs) world.at(atMs, next);
  };
  world.at(rng.between(0, everyMs), next);
}

const everySecondCritical = (i: number): TrafficClass => (i % 2 === 0 ? 'critical' : 'normal');
const isUrgentData = ({ toDestination, urgent }: Frame): boolean => toDestination && urgent;
const delayOf = (world: FlowWorld): number => Math.max(5, 0.3 * (world.flow(DESTINATION).active?.rtt.smoothedMs ?? 0));

export const FLOW_SCENARIOS: readonly FlowScenario[] = [
  scenario('crash', 'R1: the relay of the active path crashes, and nobody tells', {
    forMs: 3_000,
    fault: (world, relay) => world.crash(relay),
  }),
  scenario('drop', 'R1: it drops all data and answers everything else', {
    forMs: 3_000,
    fault: (world, relay, random) => world.behave(relay, dropping(1, random)),
  }),
  scenario('drop20', 'R2: it drops 20 % of the data', {
    forMs: 10_000,
    fault: (world, relay, random) => world.behave(relay, dropping(0.2, random)),
  }),
  scenario('drop5', 'R2: it drops 5 %', {
    forMs: 70_000,
    fault: (world, relay, random) => world.behave(relay, dropping(0.05, random)),
  }),
  scenario('drop1', 'R2: it drops 1 %', {
    forMs: 620_000,
    fault: (world, relay, random) => world.behave(relay, dropping(0.01, random)),
  }),
  scenario('receipts20', 'R2: it drops 20 % of the receipts, and nothing else', {
    forMs: 10_000,
    fault: (world, relay, random) => world.behave(relay, droppingReceipts(0.2, random)),
  }),
  scenario('delay', 'R3: it adds max(30 %, 5 ms) to each round trip', {
    forMs: 5_000,
    fault: (world, relay) => world.behave(relay, delaying(delayOf(world))),
  }),
  scenario('delay25', 'R3: it adds 25 ms each way', {
    forMs: 5_000,
    fault: (world, relay) => world.behave(relay, delaying(50)),
  }),
  scenario('delay-class', 'R3: it delays critical messages only, by max(30 %, 5 ms)', {
    forMs: 5_000,
    classOf: everySecondCritical,
    // Only on the way there: receipts of both lanes travel in the urgent one.
    fault: (world, relay) => world.behave(relay, delaying(2 * delayOf(world), isUrgentData)),
  }),
  scenario('drop-class', 'R1: it drops critical messages only', {
    forMs: 5_000,
    classOf: everySecondCritical,
    fault: (world, relay) => world.behave(relay, frame => (isUrgentData(frame) ? 'drop' : 0)),
  }),
  scenario('both-hostile', 'the relays of the active path and of the standby drop everything, a third is honest', {
    relays: 3,
    forMs: 5_000,
    fault: (world, relay, random) => {
      world.behave(relay, dropping(1, random));
      const standby = world.flow(DESTINATION).standby?.route[0];
      if (standby !== undefined) world.behave(standby, dropping(1, random));
    },
  }),
  scenario('onoff', 'R5: it drops everything in every other half second', {
    forMs: 600_000,
    fault: (world, relay, random) => world.behave(relay, onAndOff(1_000, dropping(1, random))),
  }),
  scenario('onoff-delay', 'R5: it delays by 20 ms in every other half second', {
    forMs: 600_000,
    fault: (world, relay) => world.behave(relay, onAndOff(1_000, delaying(20))),
  }),
  scenario('healthy', 'R4, R6: no fault, 0.1 % loss, this process stalls for 20 to 80 ms every 10 s', {
    forMs: 3_600_000,
    lossShare: 0.001,
    always: (world, endMs) => stallOften(world, endMs, 10_000, 20, 80),
  }),
  scenario('stalls', 'R1 while this process stands still for 5 to 80 ms, most of the time', {
    forMs: 5_000,
    always: (world, endMs) => stallOften(world, endMs, 60, 5, 80),
    fault: (world, relay, random) => world.behave(relay, dropping(1, random)),
  }),
  scenario('stalls-healthy', 'R4 with such stalls: no fault, 0.1 % loss', {
    forMs: 600_000,
    lossShare: 0.001,
    always: (world, endMs) => stallOften(world, endMs, 60, 5, 80),
  }),
  scenario('slow-destination', 'R12: at 60 % load the destination takes twice as long for 1 s', {
    forMs: 6_000,
    isHostile: false,
    fault: () => undefined,
    serviceMs: (nowMs, faultAtMs, { rate }) => {
      const usualMs = (0.6 * 1_000) / rate;
      return nowMs >= faultAtMs && nowMs < faultAtMs + 1_000 ? 2 * usualMs : usualMs;
    },
  }),
  scenario('kpath', 'three paths at once, two of the relays drop everything', {
    relays: 4,
    kPaths: 3,
    forMs: 5_000,
    fault: (world, relay, random) => {
      world.behave(relay, dropping(1, random));
      const standby = world.flow(DESTINATION).standby?.route[0];
      if (standby !== undefined) world.behave(standby, dropping(1, random));
    },
  }),
];
