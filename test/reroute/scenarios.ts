/** What the relay of the active path does in each scenario, for how long it is watched, and what the design asks. */
import type { Behaviour } from './operator.js';

/** Relays A and B behave alike where nothing is said of one; times count from the fault. */
export interface Scenario {
  readonly name: string;
  readonly does: string;
  readonly fault:
    | { readonly kind: 'behave'; readonly behaviour: Behaviour }
    | { readonly kind: 'kill' }
    | { readonly kind: 'freeze' }
    | { readonly kind: 'lie' }
    | { readonly kind: 'none' };
  /** What is sent, whatever `--class` says. */
  readonly class?: 'mixed';
  /** Ends early, `AFTER_SWITCH_MS` after the traffic left the relay, when that is what is measured. */
  readonly untilSwitch: boolean;
  /** Watched for at most this long, unless `--seconds` says otherwise. */
  readonly watchMs: number;
  readonly runs: number;
  /** The traffic has to leave the relay within this long (p95 over runs). */
  readonly switchWithinMs?: (link: LinkTimes) => number;
  /** The bar of `switchWithinMs`. */
  readonly bar?: string;
}

export interface LinkTimes {
  readonly rttMs: number;
  readonly ratePerSecond: number;
  /** The PTO of the active path just before the fault. */
  readonly ptoMs: number;
}

/** R1, also for less than 100 messages per second. */
function crashBarMs({ rttMs, ratePerSecond, ptoMs }: LinkTimes): number {
  if (ratePerSecond < 100) return ptoMs + 4_000 / ratePerSecond + rttMs;
  return Math.max(60, 6 * rttMs);
}

const behave = (behaviour: Behaviour): Scenario['fault'] => ({ kind: 'behave', behaviour });
const drop = (share: number): Scenario['fault'] => behave({ kind: 'drop', share, direction: 'to-destination' });
const within = (ms: number) => (): number => ms;

const SCENARIOS: readonly Scenario[] = [
  {
    ...{ name: 'crash', does: 'is killed', fault: { kind: 'kill' } },
    ...{ untilSwitch: true, watchMs: 5_000, runs: 20, switchWithinMs: crashBarMs, bar: 'R1' },
  },
  {
    ...{ name: 'stall', does: 'hangs, connections stay up', fault: { kind: 'freeze' } },
    ...{ untilSwitch: true, watchMs: 5_000, runs: 20, switchWithinMs: crashBarMs, bar: 'R1' },
  },
  {
    ...{ name: 'drop', does: 'drops all data, answers everything else' },
    fault: behave({ kind: 'drop', share: 1, direction: 'both' }),
    ...{ untilSwitch: true, watchMs: 5_000, runs: 20, switchWithinMs: crashBarMs, bar: 'R1' },
  },
  {
    ...{ name: 'drop20', does: 'drops 20 % of data', fault: drop(0.2) },
    ...{ untilSwitch: true, watchMs: 10_000, runs: 20, switchWithinMs: within(2_000), bar: 'R2' },
  },
  {
    ...{ name: 'drop5', does: 'drops 5 % of data', fault: drop(0.05) },
    ...{ untilSwitch: true, watchMs: 90_000, runs: 5, switchWithinMs: within(60_000), bar: 'R2' },
  },
  {
    ...{ name: 'drop1', does: 'drops 1 % of data', fault: drop(0.01) },
    ...{ untilSwitch: true, watchMs: 700_000, runs: 2, switchWithinMs: within(600_000), bar: 'R2' },
  },
  {
    ...{ name: 'receipts20', does: 'drops 20 % of receipts only' },
    fault: behave({ kind: 'drop', share: 0.2, direction: 'to-source' }),
    ...{ untilSwitch: true, watchMs: 15_000, runs: 10, switchWithinMs: within(5_000), bar: 'R2' },
  },
  {
    ...{ name: 'delay25', does: 'adds 25 ms each way', fault: behave({ kind: 'delay', delayMs: 25 }) },
    ...{ untilSwitch: true, watchMs: 10_000, runs: 20, bar: 'R3' },
    switchWithinMs: ({ rttMs, ratePerSecond }) => Math.max(300, 12 * rttMs, 12_000 / ratePerSecond),
  },
  {
    ...{ name: 'delay25urgent', does: 'adds 25 ms each way to urgent frames, half of all', class: 'mixed' },
    fault: behave({ kind: 'delay', delayMs: 25, lane: 'urgent' }),
    ...{ untilSwitch: true, watchMs: 10_000, runs: 20, bar: 'R3' },
    switchWithinMs: ({ rttMs, ratePerSecond }) => Math.max(300, 12 * rttMs, 24_000 / ratePerSecond),
  },
  {
    ...{ name: 'onoff', does: 'drops everything for 500 ms of each second' },
    fault: behave({ kind: 'on-off', periodMs: 1_000 }),
    ...{ untilSwitch: false, watchMs: 60_000, runs: 2 },
  },
  {
    ...{
      name: 'lie',
      does: 'its links become the fastest, the data that it forwards the slowest',
      fault: { kind: 'lie' },
    },
    ...{ untilSwitch: false, watchMs: 20_000, runs: 3 },
  },
  {
    ...{ name: 'healthy', does: 'loses 0.1 %; both ends stall for 20 to 80 ms every 10 s', fault: { kind: 'none' } },
    ...{ untilSwitch: false, watchMs: 60_000, runs: 2 },
  },
];

export const SCENARIO_NAMES: readonly string[] = SCENARIOS.map(({ name }) => name);

export const scenarioOf = (name: string): Scenario | undefined => SCENARIOS.find(one => one.name === name);
