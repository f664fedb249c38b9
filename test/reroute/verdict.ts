/** The runs of one scenario beside the bars of the design (R1 to R6 and R8). Pure. */
import { quantile, type RunResult } from './result.js';
import type { Scenario } from './scenarios.js';

export interface Verdict {
  readonly bar: string;
  readonly what: string;
  readonly measured: number;
  readonly atMost: number;
  readonly pass: boolean;
}

export interface Summary {
  readonly type: 'summary';
  readonly scenario: string;
  readonly runs: number;
  readonly rttMs: number;
  readonly ratePerSecond: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly reordered: number;
  /** Runs in which the traffic did not leave the relay. */
  readonly stayed: number;
  readonly switchP50Ms: number | undefined;
  readonly switchP95Ms: number | undefined;
  readonly p99OneWayMs: number;
  readonly worstOneWayMs: number;
  readonly falseReroutes: number;
  readonly proxyLateP99Ms: number;
  readonly verdicts: readonly Verdict[];
  readonly pass: boolean;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const round = (value: number): number => Math.round(value * 1_000) / 1_000;
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** A figure that could not be measured is NaN, and no bar is reached with it. */
function judge(bar: string, what: string, measured: number, atMost: number): Verdict {
  return { bar, what, measured: round(measured), atMost: round(atMost), pass: measured <= atMost };
}

export function summaryOf(scenario: Scenario, runs: readonly RunResult[]): Summary {
  const total = (pick: (run: RunResult) => number): number => sum(runs.map(pick));
  const highest = (pick: (run: RunResult) => number): number => Math.max(...runs.map(pick));
  const { rttMs = Number.NaN, ratePerSecond = Number.NaN } = runs[0] ?? {};
  // A run in which the traffic stayed counts as one that took for ever.
  const switchMs = runs.map(run => run.switchMs ?? Number.POSITIVE_INFINITY);
  const [p50, p95] = [quantile(switchMs, 0.5), quantile(switchMs, 0.95)];
  const verdicts = verdictsOf(scenario, runs, p95);
  return {
    type: 'summary',
    scenario: scenario.name,
    runs: runs.length,
    ...{ rttMs, ratePerSecond },
    lost: total(run => run.lost),
    duplicated: total(run => run.duplicated),
    reordered: total(run => run.reordered),
    stayed: scenario.switchWithinMs === undefined ? 0 : runs.filter(run => run.switchMs === undefined).length,
    switchP50Ms: Number.isFinite(p50) ? p50 : undefined,
    switchP95Ms: Number.isFinite(p95) ? p95 : undefined,
    p99OneWayMs: round(highest(run => run.p99OneWayMs)),
    worstOneWayMs: round(highest(run => run.worstOneWayMs)),
    falseReroutes: total(run => run.falseReroutes),
    proxyLateP99Ms: round(highest(run => run.proxyLateP99Ms)),
    verdicts,
    pass: verdicts.every(({ pass }) => pass),
  };
}

function verdictsOf(scenario: Scenario, runs: readonly RunResult[], p95: number): Verdict[] {
  const total = (pick: (run: RunResult) => number): number => sum(runs.map(pick));
  const hours = total(run => run.watchedMs) / HOUR_MS;
  const bar = scenario.bar ?? { onoff: 'R5', lie: 'R8', healthy: 'R4' }[scenario.name] ?? '';
  const verdicts = [
    judge(
      bar,
      'messages lost',
      total(run => run.lost),
      0,
    ),
    judge(
      bar,
      'messages twice, out of order or altered',
      total(run => run.duplicated + run.reordered + run.corrupt),
      0,
    ),
  ];
  if (scenario.switchWithinMs !== undefined) {
    const allowed = runs.map(run => scenario.switchWithinMs?.(run) ?? Number.NaN);
    verdicts.push(judge(bar, 'route switched, p95 ms', p95, Math.min(...allowed)));
  }
  if (bar === 'R1') {
    const excess = runs.flatMap(run => run.faultOneWayMs.map(ms => ms - run.ptoMs - run.alternateOneWayMs));
    verdicts.push(judge(bar, 'one way beyond PTO and alternate, p99 ms', quantile(excess, 0.99), 5));
  }
  if (bar === 'R4') {
    // One in less than an hour is one per hour or more; none is what a short run can show at best.
    verdicts.push(judge(bar, 'false reroutes per flow-hour', total(run => run.falseReroutes) / hours, 1));
    for (const run of runs) verdicts.push(...overheadVerdicts(run));
  }
  if (bar === 'R5') {
    const perMinute = total(run => run.switches) / (total(run => run.watchedMs) / MINUTE_MS);
    verdicts.push(judge(bar, 'switches per minute', perMinute, 3));
    const share = total(run => run.lateBadShare) / runs.length;
    verdicts.push(judge(bar, 'share of messages on it, last third of the time', share, 0.05));
  }
  if (bar === 'R8') {
    const doubted = runs.filter(run => !run.isCheapest).length;
    verdicts.push(judge(bar, 'runs in which the link state did not believe the lie', doubted, 0));
    verdicts.push(judge(bar, 'share of messages on the liar', Math.max(...runs.map(run => run.badShare)), 0));
  }
  return verdicts;
}

function overheadVerdicts({ overhead }: RunResult): Verdict[] {
  if (overhead === undefined) return [];
  return [
    judge('R6', 'packets with copies, share', overhead.duplicatesShare, 0.05),
    judge('R6', 'bytes of receipts per second and flow', overhead.receiptBytesPerSecond, 12_000),
    judge('R6', 'bytes of control per second and link', overhead.controlBytesPerSecond, 1_500),
    judge('R6', 'bytes per second and link when idle', overhead.idleBytesPerSecond, 150),
  ];
}
