/**
 * What the bench of channels measures, of whom, and the bars of the design (performance.md, P1 to P8): pure tables, and
 * how a number is read out of the records of one case.
 */
import type { PeerRecord } from './peers.js';

/** Sizes of the one-way rows in bytes, from a heartbeat to the largest message. */
const SIZES = [64, 256, 1_024, 4_096, 65_536, 1_048_576];
const LARGE = 1_048_576;
/** Connections of the memory rows: what one costs must not depend on how many there are. */
const CONNECTIONS = [100, 300, 1_000];

export type Job = 'oneway' | 'rtt' | 'awake' | 'open' | 'beside' | 'connect' | 'memory' | 'link';

/** One quantity: how it is named, in which unit, and where it stands in the records of its case. */
export interface Measure {
  readonly id: string;
  readonly job: Job;
  /** Bytes of a message, or connections: what the case is parametrised by. */
  readonly size: number;
  readonly unit: string;
  readonly better: 'more' | 'less';
  readonly adapters: readonly string[];
  readonly read: (records: readonly PeerRecord[]) => number | undefined;
}

/** A comparison within one run. Without `peer` and `against` the value itself is held against the bar. */
export interface Bar {
  readonly bar: string;
  readonly measure: string;
  readonly ours: string;
  readonly peer?: string;
  /** Another measure of ours to divide by: what is left beside something else. */
  readonly against?: string;
  readonly atLeast?: number;
  readonly atMost?: number;
}

const field =
  (w: string, name: string, where: Readonly<Record<string, number | string>> = {}) =>
  (records: readonly PeerRecord[]): number | undefined => {
    const found = records.find(r => r.w === w && Object.entries(where).every(([key, value]) => r[key] === value));
    const value = found?.ok === true ? found[name] : undefined;
    return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
  };

const STREAMS = ['hopfair-tcp', 'hopfair-ws', 'ws', 'wss', 'net-batch', 'tls-aes'];
const LARGE_STREAMS = ['hopfair-tcp-large', 'hopfair-ws-large', 'ws', 'wss', 'net-batch', 'tls-aes'];
const SPINNING = ['hopfair-tcp-spin', 'hopfair-ws-spin', 'net-spin'];
const HYBRIDS = ['hopfair-tcp-hybrid', 'hopfair-ws-hybrid'];

/** The rows that tell what a message, or a connection, of this row costs the ends in processor time. */
export const processorTimeIds = (measure: string): string[] =>
  MEASURES.map(({ id }) => id).filter(id => id.startsWith(`${measure}-cpu-`));

function oneWay(size: number): Measure[] {
  const adapters = size === LARGE ? LARGE_STREAMS : [...STREAMS, 'libp2p-tcp'];
  const form = { job: 'oneway', size, adapters } as const;
  const of = (name: string) => field('oneway', name, { size });
  return [
    { ...form, id: `oneway-${size}`, unit: 'msgs/s', better: 'more', read: of('rate') },
    { ...form, id: `oneway-${size}-cpu-send`, unit: 'us/msg', better: 'less', read: of('cpuTx') },
    { ...form, id: `oneway-${size}-cpu-receive`, unit: 'us/msg', better: 'less', read: of('cpuRx') },
  ];
}

function latency(id: string, job: Job, size: number, adapters: readonly string[], w: string, where = {}): Measure[] {
  return ['p50', 'p99'].map(quantile => ({
    id: `${id}-${quantile}`,
    job,
    size,
    unit: 'us',
    better: 'less',
    adapters,
    read: field(w, quantile, where),
  }));
}

/** What bulk reaches beside the orders, and what it reached alone a moment before. */
function bulk(job: 'beside' | 'link', adapters: readonly string[]): Measure[] {
  const form = { job, size: 256, unit: 'MB/s', better: 'more', adapters } as const;
  return [
    { ...form, id: `${job}-bulk`, read: field('hol', 'bulkMbps', { phase: 'saturate' }) },
    { ...form, id: `${job}-alone`, read: field('oneway', 'mbps') },
  ];
}

function connect(): Measure[] {
  const adapters = ['hopfair-tcp', 'hopfair-ws', ...HYBRIDS, 'ws', 'wss', 'tls-aes', 'libp2p-tcp'];
  const form = { job: 'connect', size: 64, adapters } as const;
  const rate = { ...form, unit: 'connections/s', better: 'more' } as const;
  return [
    { ...rate, id: 'connect', read: field('handshake', 'perSecSeq') },
    { ...rate, id: 'connect-parallel', read: field('handshake', 'perSecPar') },
    { ...form, id: 'connect-cpu-client', unit: 'us each', better: 'less', read: field('handshake', 'cpuClient') },
  ];
}

const BESIDE = ['hopfair-tcp', 'hopfair-ws', 'ws', 'wss'];
const LINKED = ['hopfair-tcp', 'hopfair-ws'];

export const MEASURES: readonly Measure[] = [
  ...SIZES.flatMap(oneWay),
  ...latency('rtt', 'rtt', 64, [...STREAMS, 'libp2p-tcp', ...SPINNING], 'rtt-closed'),
  ...latency('rtt-awake', 'awake', 64, [...STREAMS, 'libp2p-tcp'], 'rtt-closed'),
  ...latency('open', 'open', 256, STREAMS, 'rtt-open'),
  ...latency('beside-idle', 'beside', 256, BESIDE, 'hol', { phase: 'idle' }),
  ...latency('beside', 'beside', 256, BESIDE, 'hol', { phase: 'saturate' }),
  ...bulk('beside', BESIDE),
  ...connect(),
  ...CONNECTIONS.map(
    (size): Measure => ({
      id: `memory-${size}`,
      job: 'memory',
      size,
      unit: 'KiB/channel',
      better: 'less',
      adapters: ['hopfair-tcp', 'hopfair-ws', 'ws', 'wss', 'tls-aes'],
      read: field('mem', 'kibPerConn'),
    }),
  ),
  ...latency('link-idle', 'link', 256, LINKED, 'hol', { phase: 'idle' }),
  ...latency('link', 'link', 256, LINKED, 'hol', { phase: 'saturate' }),
  ...bulk('link', LINKED),
];

const both = (bar: Omit<Bar, 'ours'>): Bar[] => ['hopfair-tcp', 'hopfair-ws'].map(ours => ({ ...bar, ours }));

export const BARS: readonly Bar[] = [
  { bar: 'P1', measure: 'oneway-256', ours: 'hopfair-ws', peer: 'ws', atLeast: 10 },
  { bar: 'P1', measure: 'oneway-256', ours: 'hopfair-ws', peer: 'wss', atLeast: 3 },
  { bar: 'P1', measure: 'oneway-256', ours: 'hopfair-tcp', peer: 'tls-aes', atLeast: 1 },
  { bar: 'P1', measure: 'oneway-256', ours: 'hopfair-tcp', peer: 'libp2p-tcp', atLeast: 40 },
  { bar: 'P2', measure: 'oneway-65536', ours: 'hopfair-ws', peer: 'ws', atLeast: 1.5 },
  { bar: 'P2', measure: 'oneway-65536', ours: 'hopfair-tcp', peer: 'tls-aes', atLeast: 0.8 },
  ...both({ bar: 'P3', measure: 'rtt-p50', peer: 'ws', atMost: 1.6 }),
  ...both({ bar: 'P3', measure: 'rtt-p99', peer: 'wss', atMost: 1 }),
  { bar: 'P3', measure: 'rtt-p50', ours: 'hopfair-tcp-spin', peer: 'ws', atMost: 0.4 },
  { bar: 'P3', measure: 'rtt-p50', ours: 'hopfair-ws-spin', peer: 'ws', atMost: 0.4 },
  ...both({ bar: 'P4', measure: 'open-p99', peer: 'wss', atMost: 1 }),
  ...both({ bar: 'P5', measure: 'beside-p99', peer: 'ws', atMost: 0.15 }),
  ...both({ bar: 'P5', measure: 'beside-bulk', against: 'beside-alone', atLeast: 0.8 }),
  ...both({ bar: 'P5', measure: 'link-p99', atMost: 6_000 }),
  ...both({ bar: 'P5', measure: 'link-bulk', against: 'link-alone', atLeast: 0.95 }),
  { bar: 'P7', measure: 'connect', ours: 'hopfair-tcp', peer: 'wss', atLeast: 1.5 },
  { bar: 'P7', measure: 'connect', ours: 'hopfair-tcp', peer: 'libp2p-tcp', atLeast: 5 },
  { bar: 'P7', measure: 'connect', ours: 'hopfair-ws', peer: 'wss', atLeast: 1.1 },
  { bar: 'P7', measure: 'connect', ours: 'hopfair-tcp-hybrid', peer: 'wss', atLeast: 0.9 },
  { bar: 'P7', measure: 'connect', ours: 'hopfair-ws-hybrid', peer: 'wss', atLeast: 0.9 },
  { bar: 'P8', measure: 'memory-1000', ours: 'hopfair-tcp', atMost: 24 },
  { bar: 'P8', measure: 'memory-1000', ours: 'hopfair-ws', atMost: 32 },
];
