/** R11: in a random mesh one operator drops a fifth or more; whom does the source suspect? */
import { instant } from '../../../lib/env.js';
import type { PeerId } from '../../../lib/identity/peer-id.js';
import { SeededRng } from '../../../lib/sim/rng.js';
import type { OperatorMeasures } from './bars.js';
import { dropping } from './relays.js';
import { FlowWorld, type PathSpec } from './world.js';

const RELAYS = ['A', 'B', 'C', 'E', 'F', 'G'];
const PATHS_PER_FLOW = 4;
const RATE_INTERVAL_MS = 10;
const PLAYED_MS = 60_000;
const CHECK_EVERY_MS = 1_000;

interface Case {
  readonly world: FlowWorld;
  readonly hostile: ReadonlySet<string>;
}

function draw(seed: number): Case {
  const rng = new SeededRng(`hostile-operator/${seed}`);
  const destinations = ['D1', 'D2', 'D3', 'D4'].slice(0, 1 + rng.int(4));
  const hostile = new Set(rng.float() < 0.5 ? ['A'] : ['A', 'B']);
  const operatorOf = (relay: string): string => (hostile.has(relay) ? 'hostile' : `operator ${relay}`);
  const paths: PathSpec[] = [];
  for (const destination of destinations) {
    const relays = [...RELAYS].sort(() => rng.float() - 0.5);
    for (let i = 0; i < PATHS_PER_FLOW; i++) {
      const first = relays[i] as string;
      const second = relays[(i + 1) % relays.length] as string;
      const route = rng.float() < 0.3 ? [first, second] : [first];
      paths.push({ destination, relays: route, operators: route.map(operatorOf), rttMs: rng.between(12, 24) });
    }
  }
  const world = new FlowWorld({ rng, paths, jitterMs: 0.3, lossShare: 0.001 });
  const random = rng.fork('relay');
  const share = rng.pick([0.2, 0.4, 1]);
  // Some drop everybody's, some one victim's only.
  const victim = rng.float() < 0.3 ? destinations[0] : undefined;
  for (const relay of hostile) {
    const drop = dropping(share, () => random.float());
    world.behave(relay, (frame, nowMs) =>
      victim === undefined || frame.destination === victim ? drop(frame, nowMs) : 0,
    );
  }
  for (const destination of destinations) {
    const next = (): void => {
      world.submit(destination, 'normal');
      if (world.nowMs < PLAYED_MS) world.at(world.nowMs + RATE_INTERVAL_MS, next);
    };
    world.at(rng.between(0, RATE_INTERVAL_MS), next);
  }
  return { world, hostile };
}

/** A run counts when the hostile operator could be noticed: it dropped something that mattered. */
export function playHostileOperator(firstSeed: number, runs: number): OperatorMeasures & { readonly runs: number } {
  let harmed = 0;
  let named = 0;
  let honestExcluded = 0;
  for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
    const { world, hostile } = draw(seed);
    const excluded = new Set<string>();
    let isNamed = false;
    for (let atMs = CHECK_EVERY_MS; atMs <= PLAYED_MS; atMs += CHECK_EVERY_MS) {
      world.run(atMs);
      const now = instant(atMs);
      for (const relay of RELAYS) {
        if (!hostile.has(relay) && world.suspicion.suspected(relay as PeerId, now)) excluded.add(relay);
      }
      for (const { peers } of world.suspicion.suspects(now)) {
        if (peers.some(peer => hostile.has(peer))) isNamed = true;
      }
    }
    honestExcluded += excluded.size;
    const quarantined = world.events.some(
      ({ kind, from, trigger }) =>
        kind === 'quarantine' && trigger !== 'delay' && from?.some(relay => hostile.has(relay)),
    );
    if (!quarantined) continue;
    harmed += 1;
    if (isNamed) named += 1;
  }
  return { runs, honestExcluded, namedShare: harmed === 0 ? 1 : named / harmed };
}
