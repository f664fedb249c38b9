import t from 'tap';
import type { PeerId, RouteEvent } from '../../lib/index.js';
import { Ledger, numbered } from '../reroute/numbered.js';
import { Operator } from '../reroute/operator.js';
import { type Observation, type RunResult, resultOf } from '../reroute/result.js';
import { SCENARIO_NAMES, type Scenario, scenarioOf } from '../reroute/scenarios.js';
import { summaryOf } from '../reroute/verdict.js';

const [A, B, D] = ['hf1a', 'hf1b', 'hf1d'] as PeerId[] as [PeerId, PeerId, PeerId];

const scenario = (name: string): Scenario => {
  const found = scenarioOf(name);
  if (found === undefined) throw new Error(name);
  return found;
};

t.test('the ledger tells what was repeated, overtaken, altered and never came', async t => {
  const ledger = new Ledger();
  const messages = [0, 1, 2, 3, 4].map(number => numbered(number));
  for (const number of [0, 2, 1, 2, 4]) ledger.take(messages[number] as Uint8Array, Number.MAX_SAFE_INTEGER);
  const altered = numbered(5);
  altered[20] = (altered[20] as number) ^ 1;
  ledger.take(altered, 0);
  ledger.take(new Uint8Array(3), 0);
  const { oneWayMs, ...counts } = ledger.arrivals;
  t.match(counts, { duplicated: 1, reordered: 1, corrupt: 2 });
  t.match(
    oneWayMs.map(ms => ms === null),
    [false, false, false, true, false],
  );
  t.equal(ledger.received, 4);
});

const lateness = { count: 1, p50Ms: 0, p99Ms: 0, maxMs: 0 };
const route = (atMs: number, from: PeerId, to: PeerId, kind: RouteEvent['kind'] = 'switch') => ({
  ...{ kind: 'route' as const, atMs, text: '' },
  event: { kind, from: [from], to: [to], trigger: 'unreceipted' } as unknown as RouteEvent,
});

/** 100 messages per second for 4 s over A until 1,050 ms, then over B; A drops from 1,000 ms on. */
function observed(change: Partial<Observation> = {}): Observation {
  const atMs = Array.from({ length: 400 }, (_, i) => i * 10);
  return {
    ...{ scenario: 'drop', run: 1, rttMs: 12, ratePerSecond: 100, bad: A, isFault: true, lateness },
    ...{ faultAtMs: 1_000, endedAtMs: 4_000, ptoMs: 19, alternateOneWayMs: 6, cheapest: A, why: '' },
    sent: { count: 400, atMs, via: atMs.map(at => (at < 1_050 ? A : B)) },
    arrivals: {
      oneWayMs: atMs.map(at => (at >= 1_000 && at < 1_050 ? 29 : 6)),
      duplicated: 0,
      reordered: 0,
      corrupt: 0,
    },
    events: [route(1_050, A, B)],
    ...change,
  };
}

t.test('a run: when the route left the relay, and which switches no fault explains', async t => {
  t.match(resultOf(observed()), { switchMs: 50, lost: 0, falseReroutes: 0, switches: 1, isCheapest: true });
  const events = [route(500, B, A), route(1_040, A, A, 'race-aborted'), route(1_050, A, B), route(2_000, B, A)];
  const hasty = resultOf(observed({ events }));
  t.match(hasty, { switchMs: 50, falseReroutes: 2, switches: 2 }, 'before the fault, and back to the relay');
  t.match(resultOf(observed({ events, isFault: false })), { switchMs: undefined, falseReroutes: 3 });
  t.match(resultOf(observed({ events: [] })), { switchMs: undefined, trigger: undefined });
});

t.test('a run: shares of the messages that were sent over the relay', async t => {
  const { badShare, lateBadShare } = resultOf(observed());
  t.match({ badShare, lateBadShare }, { badShare: 0.017, lateBadShare: 0 });
});

t.test('R1: nothing is lost, the route changes in time, and no message waits longer than for a hedge', async t => {
  const good = resultOf(observed());
  t.equal(summaryOf(scenario('drop'), [good, good]).pass, true);
  const lost = { ...observed().arrivals, oneWayMs: observed().arrivals.oneWayMs.map((ms, i) => (i === 7 ? null : ms)) };
  const bad: Partial<RunResult>[] = [
    resultOf(observed({ arrivals: lost })),
    resultOf(observed({ arrivals: { ...observed().arrivals, duplicated: 1 } })),
    resultOf(observed({ events: [route(1_073, A, B)] })),
    resultOf(observed({ events: [] })),
    resultOf(observed({ alternateOneWayMs: 1 })),
  ];
  for (const run of bad) t.equal(summaryOf(scenario('drop'), [run as RunResult]).pass, false);
  t.match(summaryOf(scenario('drop'), [resultOf(observed({ events: [] }))]), { stayed: 1, switchP95Ms: undefined });
});

t.test('R1: at less than 100 messages per second the bar is PTO, four intervals and a round trip', async t => {
  const { verdicts } = summaryOf(scenario('crash'), [resultOf(observed({ ratePerSecond: 20 }))]);
  t.equal(verdicts.find(({ what }) => what.startsWith('route switched'))?.atMost, 19 + 200 + 12);
});

t.test('R5 and R8: switches per minute and the share of messages on the relay', async t => {
  const calm = resultOf(observed({ endedAtMs: 61_000, events: [route(1_050, A, B)] }));
  t.equal(summaryOf(scenario('onoff'), [calm]).pass, true);
  t.equal(summaryOf(scenario('onoff'), [resultOf(observed())]).pass, false, 'one in three seconds is twenty a minute');
  t.equal(summaryOf(scenario('lie'), [{ ...calm, badShare: 0 }]).pass, true);
  t.equal(summaryOf(scenario('lie'), [{ ...calm, badShare: 0.01 }]).pass, false);
  t.equal(summaryOf(scenario('lie'), [{ ...calm, badShare: 0, isCheapest: false }]).pass, false, 'nobody was lied to');
});

t.test('R4 and R6: a healthy run without a switch passes, with one it does not', async t => {
  const overhead = {
    ...{ duplicatesShare: 0.03, receiptBytesPerSecond: 9_000, controlBytesPerSecond: 1_000 },
    ...{ linkBytesPerSecond: 1, idleBytesPerSecond: 100 },
  };
  const healthy = { ...resultOf(observed({ isFault: false, events: [] })), overhead };
  t.equal(summaryOf(scenario('healthy'), [healthy]).pass, true);
  for (const change of [
    { falseReroutes: 1 },
    ...[
      { duplicatesShare: 0.06 },
      { receiptBytesPerSecond: 12_001 },
      { idleBytesPerSecond: 151 },
      { controlBytesPerSecond: 1_501 },
    ].map(worse => ({
      overhead: { ...overhead, ...worse },
    })),
  ]) {
    t.equal(summaryOf(scenario('healthy'), [{ ...healthy, ...change }]).pass, false, JSON.stringify(change));
  }
});

t.test('the operator of a relay drops and delays what its behaviour says, in that direction', async t => {
  const operator = new Operator();
  operator.destination = D;
  const frame = (to: PeerId) => ({ from: A, to, bytes: 300, lane: 'normal' as const });
  t.equal(operator.onForward(frame(D)), 'forward');
  operator.behave({ kind: 'drop', share: 1, direction: 'to-destination' });
  t.match([operator.onForward(frame(D)), operator.onForward(frame(A))], ['drop', 'forward']);
  operator.behave({ kind: 'drop', share: 1, direction: 'to-source' });
  t.match([operator.onForward(frame(D)), operator.onForward(frame(A))], ['forward', 'drop']);
  operator.behave({ kind: 'delay', delayMs: 25 });
  t.match(operator.onForward(frame(D)), { delayMs: 25 });
  operator.behave({ kind: 'delay', delayMs: 25, lane: 'urgent' });
  t.equal(operator.onForward(frame(A)), 'forward', 'the other lane');
  t.match(operator.onForward({ ...frame(A), lane: 'urgent' }), { delayMs: 25 });
  t.match(operator.forwarded, { toDestination: { frames: 4, bytes: 1_200 }, toSource: { frames: 4 }, dropped: 2 });
});

t.test('every scenario has a name of its own and does something', async t => {
  t.equal(new Set(SCENARIO_NAMES).size, SCENARIO_NAMES.length);
  for (const name of SCENARIO_NAMES) t.ok(scenario(name).does.length > 0 && scenario(name).watchMs > 0, name);
});
