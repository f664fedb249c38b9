/** What one run came to, out of what its processes tell. Pure. */
import type { PeerId } from '../../lib/index.js';
import type { Lateness } from './delay-line.js';
import type { Counters, NodeEvent, Sent } from './node-process.js';
import type { Arrivals } from './numbered.js';
import type { Forwarded } from './operator.js';

/** Counters at one moment. */
export interface Traffic {
  readonly atMs: number;
  readonly linkBytes: Readonly<Record<string, number>>;
  /** Of the relays that could be asked. */
  readonly forwarded: readonly Forwarded[];
  readonly source: Counters;
}

interface Period {
  readonly before: Traffic;
  readonly after: Traffic;
}

export interface Observation {
  readonly scenario: string;
  readonly run: number;
  readonly rttMs: number;
  readonly ratePerSecond: number;
  /** The relay that misbehaves; with `isFault` false, the one that was active. */
  readonly bad: PeerId;
  readonly isFault: boolean;
  readonly faultAtMs: number;
  readonly endedAtMs: number;
  readonly sent: Sent;
  readonly arrivals: Arrivals;
  /** All of the source's, since its start. */
  readonly events: readonly NodeEvent[];
  readonly ptoMs: number;
  readonly alternateOneWayMs: number;
  readonly lateness: Lateness;
  /** The first relay of the cheapest candidate at the end. */
  readonly cheapest: PeerId | undefined;
  readonly why: string;
  readonly busy?: Period;
  readonly idle?: Period;
}

/** Rates of a healthy run. */
export interface Overhead {
  /** Packets with copies of messages, for each that carries one for the first time. */
  readonly duplicatesShare: number;
  /** As relays count them: nothing but receipts goes from the destination to the source. */
  readonly receiptBytesPerSecond: number;
  /** Of the source's link with most of them, both directions. */
  readonly controlBytesPerSecond: number;
  /** All bytes of both directions of the busiest link. */
  readonly linkBytesPerSecond: number;
  /** Of the busiest link, while nothing is sent. */
  readonly idleBytesPerSecond: number;
}

export interface RunResult {
  readonly type: 'run';
  readonly scenario: string;
  readonly run: number;
  readonly rttMs: number;
  readonly ratePerSecond: number;
  readonly sent: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly reordered: number;
  readonly corrupt: number;
  /** From the fault until the route changed; undefined when it did not. */
  readonly switchMs: number | undefined;
  readonly trigger: string | undefined;
  readonly worstOneWayMs: number;
  readonly p50OneWayMs: number;
  readonly p99OneWayMs: number;
  /** Of the messages of the second after the fault, and those under way then. */
  readonly faultOneWayMs: readonly number[];
  readonly ptoMs: number;
  readonly alternateOneWayMs: number;
  /** Switches of the route that no fault explains. */
  readonly falseReroutes: number;
  /** Switches since the fault. */
  readonly switches: number;
  readonly watchedMs: number;
  /** Share of the messages that were sent over the bad relay: since the fault, and in the last third of the time. */
  readonly badShare: number;
  readonly lateBadShare: number;
  /** How late the proxy let things go: its own jitter. */
  readonly proxyLateP50Ms: number;
  readonly proxyLateP99Ms: number;
  readonly proxyLateMaxMs: number;
  readonly overhead?: Overhead;
  /** Whether the bad relay is the cheapest candidate at the end, by what the link state claims. */
  readonly isCheapest: boolean;
  /** What the source says of its route at the end. */
  readonly why: string;
}

const round = (value: number): number => Math.round(value * 1_000) / 1_000;

export function quantile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  // The smallest value that `share` of all are not above.
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export function resultOf(seen: Observation): RunResult {
  const { sent, arrivals, faultAtMs, endedAtMs, events, bad, isFault } = seen;
  const oneWay = arrivals.oneWayMs.filter(ms => ms !== null);
  const hit = sent.atMs.flatMap((atMs, number) => {
    const isNear = atMs >= faultAtMs - seen.rttMs && atMs < faultAtMs + 1_000;
    const ms = arrivals.oneWayMs[number];
    return isNear && ms !== null && ms !== undefined ? [round(ms)] : [];
  });
  const switches = events.filter(({ event }) => event.kind === 'switch' && event.trigger !== 'first-path');
  const later = switches.filter(({ atMs }) => atMs >= faultAtMs);
  const away = later.find(({ event }) => event.to !== undefined && !event.to.includes(bad));
  const wrong = switches.filter(({ event, atMs }) => {
    if (!isFault || atMs < faultAtMs) return true;
    return event.to?.includes(bad) === true;
  });
  const via = (fromMs: number): number => {
    const chosen = sent.via.filter((_, i) => (sent.atMs[i] ?? 0) >= fromMs && (sent.atMs[i] ?? 0) < endedAtMs);
    return chosen.length === 0 ? 0 : round(chosen.filter(relay => relay === bad).length / chosen.length);
  };
  return {
    type: 'run',
    ...{ scenario: seen.scenario, run: seen.run, rttMs: seen.rttMs, ratePerSecond: seen.ratePerSecond },
    sent: sent.count,
    lost: sent.count - oneWay.length,
    ...{ duplicated: arrivals.duplicated, reordered: arrivals.reordered, corrupt: arrivals.corrupt },
    switchMs: away === undefined || !isFault ? undefined : round(away.atMs - faultAtMs),
    trigger: away?.event.trigger,
    worstOneWayMs: round(quantile(oneWay, 1)),
    p50OneWayMs: round(quantile(oneWay, 0.5)),
    p99OneWayMs: round(quantile(oneWay, 0.99)),
    faultOneWayMs: hit,
    ptoMs: round(seen.ptoMs),
    alternateOneWayMs: round(seen.alternateOneWayMs),
    falseReroutes: wrong.length,
    switches: later.length,
    watchedMs: round(endedAtMs - faultAtMs),
    badShare: via(faultAtMs),
    lateBadShare: via(endedAtMs - (endedAtMs - faultAtMs) / 3),
    proxyLateP50Ms: round(seen.lateness.p50Ms),
    proxyLateP99Ms: round(seen.lateness.p99Ms),
    proxyLateMaxMs: round(seen.lateness.maxMs),
    ...(seen.busy && seen.idle && { overhead: overheadOf(seen.busy, seen.idle) }),
    isCheapest: seen.cheapest === bad,
    why: seen.why,
  };
}

function overheadOf(busy: Period, idle: Period): Overhead {
  const seconds = (busy.after.atMs - busy.before.atMs) / 1_000;
  const sum = (pick: (forwarded: Forwarded) => number): number =>
    busy.after.forwarded.reduce((total, one) => total + pick(one), 0) -
    busy.before.forwarded.reduce((total, one) => total + pick(one), 0);
  const since = (pick: (counters: Counters) => number): number => pick(busy.after.source) - pick(busy.before.source);
  return {
    duplicatesShare: round(since(one => one.copiedPackets) / since(one => one.firstPackets)),
    receiptBytesPerSecond: round(sum(one => one.toSource.bytes) / seconds),
    controlBytesPerSecond: round(since(one => one.controlBytes) / seconds),
    linkBytesPerSecond: busiest(busy),
    idleBytesPerSecond: busiest(idle),
  };
}

function busiest({ before, after }: Period): number {
  const seconds = (after.atMs - before.atMs) / 1_000;
  const rates = Object.entries(after.linkBytes).map(
    ([name, bytes]) => (bytes - (before.linkBytes[name] ?? 0)) / seconds,
  );
  return round(Math.max(...rates));
}
