/**
 * Scenarios and the runner of their seeds. A scenario is a function of a world: it starts programs, lets faults happen,
 * heals them, and throws when something that must hold does not. Everything else is the runner's.
 */
import { type Fault, FaultCounts } from './faults.js';
import { SimWorld } from './world.js';

export interface Scenario {
  readonly name: string;
  /** The faults that it causes: over many seeds none of their counts may stay zero. */
  readonly faults: readonly Fault[];
  /** Plays one seed in a fresh world. Throws, best a `Violation`, when an invariant is broken. */
  readonly play: (world: SimWorld, seed: number) => void | Promise<void>;
}

/** What must hold in every run does not hold in this one. */
export class Violation extends Error {
  override readonly name: string = 'Violation';
  /** Which invariant, in one or two words, e.g. `agreement`. */
  readonly invariant: string;

  constructor(invariant: string, message: string) {
    super(`${invariant}: ${message}`);
    this.invariant = invariant;
  }
}

/** One run of one seed. */
export interface SeedReport {
  readonly scenario: string;
  readonly seed: number;
  /** What went wrong; undefined when nothing did. */
  readonly failure: Error | undefined;
  readonly events: number;
  /** Equal hashes, equal runs. */
  readonly traceHash: string;
  readonly faults: FaultCounts;
  /** The last events, if asked for. */
  readonly tail: readonly string[];
}

export async function playSeed(scenario: Scenario, seed: number, keepTrace = 0): Promise<SeedReport> {
  const world = new SimWorld({ seed: `${scenario.name}/${seed}`, keepTrace });
  let failure: Error | undefined;
  try {
    await scenario.play(world, seed);
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error));
  }
  const { trace, faults, scheduler } = world;
  return {
    scenario: scenario.name,
    seed,
    failure,
    events: scheduler.executed,
    traceHash: trace.hash,
    faults,
    tail: trace.tail,
  };
}

export interface PlayOptions {
  readonly scenarios: readonly Scenario[];
  readonly firstSeed: number;
  readonly seeds: number;
  /** Every so many seeds are played twice, and both runs must leave the same trace. Default 20. */
  readonly repeatEvery?: number;
  /** Ends with the first seed that fails. Default false. */
  readonly failFast?: boolean;
  readonly onReport?: (report: SeedReport) => void;
}

export interface PlaySummary {
  /** Seeds that were played. */
  readonly seeds: number;
  readonly failures: readonly SeedReport[];
  readonly events: number;
  readonly faults: FaultCounts;
  /** Faults that a scenario says it causes and that never happened. */
  readonly idleFaults: readonly Fault[];
}

/** Plays every seed of every scenario. */
export async function play(options: PlayOptions): Promise<PlaySummary> {
  const { scenarios, firstSeed, seeds, repeatEvery = 20, failFast = false, onReport } = options;
  const failures: SeedReport[] = [];
  const faults = new FaultCounts();
  let events = 0;
  let played = 0;
  for (let seed = firstSeed; seed < firstSeed + seeds && !(failFast && failures.length > 0); seed++) {
    played += 1;
    for (const scenario of scenarios) {
      let report = await playSeed(scenario, seed);
      events += report.events;
      if (report.failure === undefined && seed % repeatEvery === 0) {
        const again = await playSeed(scenario, seed);
        events += again.events;
        if (again.traceHash !== report.traceHash) {
          report = { ...report, failure: new Violation('determinism', 'two runs of the seed differ') };
        }
      }
      faults.add(report.faults);
      if (report.failure !== undefined) failures.push(report);
      onReport?.(report);
    }
  }
  const used = new Set(scenarios.flatMap(scenario => scenario.faults));
  const idleFaults = [...used].filter(fault => faults.of(fault) === 0);
  return { seeds: played, failures, events, faults, idleFaults };
}
