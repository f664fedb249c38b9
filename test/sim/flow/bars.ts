/** The bars R1 to R6, R11 and R12 of the design's overlay.md, for the scenarios that measure them. */
import type { FlowMeasures } from './measure.js';
import type { FlowOptions } from './scenarios.js';

export interface Verdict {
  readonly bar: string;
  readonly what: string;
  readonly measured: number;
  readonly limit: number;
  readonly met: boolean;
}

type Rule<M> = readonly [bar: string, what: string, measured: (m: M) => number, limit: (o: FlowOptions) => number];

const lostNothing: Rule<FlowMeasures> = ['R1-R5', 'messages lost', m => m.lost, () => 0];
const offPathWithin = (bar: string, limitMs: (o: FlowOptions) => number): Rule<FlowMeasures> => [
  bar,
  'route switched, p95 ms',
  m => m.switchMsP95 ?? Number.POSITIVE_INFINITY,
  limitMs,
];
const onTime: Rule<FlowMeasures> = [
  'R1',
  'p99 of messages meanwhile above PTO + alternate one-way, ms',
  m => m.p99ExcessMs ?? Number.POSITIVE_INFINITY,
  () => 5,
];
const hedgedCrash = offPathWithin('R1', ({ rttMs, rate }) =>
  rate >= 100 ? Math.max(60, 6 * rttMs) : 2 * rttMs + 7 + 4 * (1_000 / rate),
);
const delayed = (share: number): Rule<FlowMeasures> =>
  offPathWithin('R3', ({ rttMs, rate }) => Math.max(300, 12 * rttMs, (12 * 1_000) / (rate * share)));
const fewFalseReroutes: Rule<FlowMeasures> = [
  'R4',
  'false reroutes per flow-hour',
  m => m.falseReroutesPerHour ?? Number.POSITIVE_INFINITY,
  () => 1,
];
const fewCopies: Rule<FlowMeasures> = ['R6', 'share of copies', m => m.copyShare, () => 0.05];
const onAndOff: readonly Rule<FlowMeasures>[] = [
  lostNothing,
  ['R5', 'switches per minute', m => m.switchesPerMinute, () => 3],
  ['R5', 'share of the hostile relay', m => m.hostileShare ?? 1, () => 0.05],
];

const RULES: Readonly<Record<string, readonly Rule<FlowMeasures>[]>> = {
  crash: [lostNothing, hedgedCrash, onTime],
  drop: [lostNothing, hedgedCrash, onTime],
  'drop-class': [lostNothing, offPathWithin('R1', ({ rttMs, rate }) => Math.max(60, 6 * rttMs) + 3 * (1_000 / rate))],
  drop20: [lostNothing, offPathWithin('R2', () => 2_000)],
  drop5: [lostNothing, offPathWithin('R2', () => 60_000)],
  drop1: [lostNothing, offPathWithin('R2', () => 600_000)],
  receipts20: [lostNothing, offPathWithin('R2', () => 5_000)],
  delay: [lostNothing, delayed(1)],
  delay25: [lostNothing, delayed(1)],
  'delay-class': [lostNothing, delayed(0.5)],
  'both-hostile': [lostNothing, offPathWithin('R1', ({ rttMs }) => 2 * Math.max(60, 6 * rttMs))],
  onoff: onAndOff,
  'onoff-delay': onAndOff,
  healthy: [lostNothing, fewFalseReroutes, fewCopies],
  stalls: [lostNothing, offPathWithin('R1', ({ rttMs }) => Math.max(60, 6 * rttMs) + 5 * 80)],
  'stalls-healthy': [lostNothing, fewFalseReroutes, fewCopies],
  'slow-destination': [
    lostNothing,
    ['R12', 'p99 normal again, p95 ms after the second', m => m.recoveredMsP95 - 1_000, () => 2_000],
  ],
  kpath: [lostNothing, ['k-path', 'worst one-way above half a round trip, ms', m => m.worstOneWayMs, o => o.rttMs]],
};

export interface OperatorMeasures {
  readonly honestExcluded: number;
  readonly namedShare: number;
}

const OPERATOR_RULES: readonly Rule<OperatorMeasures>[] = [
  ['R11', 'honest relays excluded', m => m.honestExcluded, () => 0],
  ['R11', 'runs where the relay or its adjacent link was not named', m => 1 - m.namedShare, () => 0.05],
];

export function verdictsOf(scenario: string, measures: object, options: FlowOptions): readonly Verdict[] {
  const apply = <M>(rules: readonly Rule<M>[], of: M): readonly Verdict[] =>
    rules.map(([bar, what, measured, limit]) => {
      const value = measured(of);
      return { bar, what, measured: value, limit: limit(options), met: value <= limit(options) };
    });
  if (scenario === 'hostile-operator') return apply(OPERATOR_RULES, measures as OperatorMeasures);
  return apply(RULES[scenario] ?? [], measures as FlowMeasures);
}
