/** docs/performance.md out of a recorded result: the method, the bars, and how costs grow with the work. Pure. */
import { MEASURES } from './measures.js';
import { type Series, svgOf } from './plot.js';
import { type Figure, QUIET_CORES, type Ratio, type Recorded } from './results.js';

const ONE_WAY_PLOT = 'performance-oneway.svg';
const MEMORY_PLOT = 'performance-memory.svg';

/** 1234567 as 1.23 M: three digits are all that a run on a shared machine can tell. */
function short(value: number | undefined): string {
  if (value === undefined) return '–';
  if (value >= 999_500) return `${Number((value / 1e6).toPrecision(3))} M`;
  if (value >= 9_995) return `${Number((value / 1e3).toPrecision(3))} k`;
  return String(Number(value.toPrecision(3)));
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  return [header, header.map(() => '---'), ...rows].map(cells => `| ${cells.join(' | ')} |`).join('\n');
}

function barsTable(ratios: readonly Ratio[]): string {
  if (ratios.length === 0) return '';
  const rows = ratios.map(r => {
    const bar = r.atLeast === undefined ? `≤ ${short(r.atMost)}` : `≥ ${short(r.atLeast)}`;
    const isRatio = r.peerValue !== undefined;
    const processor = r.processor === undefined ? '–' : `${short(r.processor)}x`;
    const verdict = r.disturbed ? 'disturbed' : r.pass ? 'reached' : 'falls short';
    const peer = isRatio ? `${r.peer}: ${short(r.peerValue)}` : '–';
    const ratio = `${short(r.ratio)}${isRatio ? 'x' : ''}`;
    return [r.bar, r.row, r.ours, `${short(r.value)} ${r.unit}`, peer, ratio, bar, verdict, processor];
  });
  return table(['bar', 'row', 'ours', 'measured', 'beside', 'ratio', 'bar is', '', 'processor time saved'], rows);
}

const nameOf = (adapter: string): string => adapter.replace(/-large$/, '');

/** What one quantity is over the size it depends on, a series per contender. */
function growthOf(figures: readonly Figure[], prefix: string, suffix: string): { sizes: number[]; series: Series[] } {
  const measures = MEASURES.filter(({ id, size }) => id === `${prefix}-${size}${suffix}`);
  const names = [...new Set(measures.flatMap(({ adapters }) => adapters.map(nameOf)))];
  const series = names.map(name => ({
    name,
    points: measures.flatMap(({ id, size }) => {
      const figure = figures.find(({ row, adapter }) => row === id && nameOf(adapter) === name);
      return figure === undefined ? [] : [[size, figure.value] as const];
    }),
  }));
  return { sizes: measures.map(({ size }) => size), series: series.filter(({ points }) => points.length > 0) };
}

function growthTable(
  figures: readonly Figure[],
  prefix: string,
  suffix: string,
  head: (size: number) => string,
): string {
  const { sizes, series } = growthOf(figures, prefix, suffix);
  const rows = series.map(({ name, points }) => [
    name,
    ...sizes.map(size => short(points.find(([x]) => x === size)?.[1])),
  ]);
  return rows.length === 0 ? '' : table(['', ...sizes.map(head)], rows);
}

const bytes = (size: number): string =>
  size >= 1_048_576 ? `${size / 1_048_576} MiB` : size >= 1_024 ? `${size / 1_024} KiB` : `${size} B`;

function latencyTable(figures: readonly Figure[]): string {
  const rows = ['rtt', 'rtt-awake', 'open', 'beside', 'link'];
  const adapters = [...new Set(figures.filter(f => rows.some(row => f.row === `${row}-p50`)).map(f => f.adapter))];
  const cell = (row: string, adapter: string): string => {
    const [p50, p99] = ['p50', 'p99'].map(
      q => figures.find(f => f.row === `${row}-${q}` && f.adapter === adapter)?.value,
    );
    return p50 === undefined ? '–' : `${short(p50)} / ${short(p99)}`;
  };
  const header = [
    'us, p50 / p99',
    '64 B alone',
    'cores kept awake',
    '20,000/s open loop',
    'orders beside bulk',
    'the same at 100 Mbit/s',
  ];
  return adapters.length === 0
    ? ''
    : table(
        header,
        adapters.map(adapter => [adapter, ...rows.map(row => cell(row, adapter))]),
      );
}

function connectTable(figures: readonly Figure[]): string {
  const columns = ['connect', 'connect-parallel'];
  const adapters = [...new Set(figures.filter(f => columns.includes(f.row)).map(f => f.adapter))];
  const value = (row: string, adapter: string) =>
    short(figures.find(f => f.row === row && f.adapter === adapter)?.value);
  const rows = adapters.map(adapter => [adapter, ...columns.map(row => value(row, adapter))]);
  return rows.length === 0 ? '' : table(['connections/s', 'one after the other', '16 at a time'], rows);
}

/** The plots beside the page, by the names of their files. */
export function performancePlots({ figures }: Recorded): Record<string, string> {
  const plot = (title: string, unit: string, prefix: string, head: (size: number) => string): string => {
    const { sizes, series } = growthOf(figures, prefix, '');
    return svgOf({ title, unit, xTicks: sizes.map(size => [size, head(size)] as const), series });
  };
  return {
    [ONE_WAY_PLOT]: plot('One way, over payload size', 'messages/s', 'oneway', bytes),
    [MEMORY_PLOT]: plot('Idle connections, over their number', 'KiB each', 'memory', String),
  };
}

type Section = readonly [title: string, body: string, plot?: string];

const sectionOf = ([title, body, plot]: Section): string =>
  `## ${title}\n\n${body}${plot === undefined ? '' : `\n\n![${title}](${plot})`}`;

export function performancePage(recorded: Recorded): string {
  const { figures, ratios } = recorded;
  const sections: readonly Section[] = [
    ['Bars', barsTable(ratios)],
    ['Latency', latencyTable(figures)],
    ['Messages per second over payload size, one way', growthTable(figures, 'oneway', '', bytes), ONE_WAY_PLOT],
    ['Processor time of the sender in us per message', growthTable(figures, 'oneway', '-cpu-send', bytes)],
    ['Processor time of the receiver in us per message', growthTable(figures, 'oneway', '-cpu-receive', bytes)],
    ['Connections, with authentication', connectTable(figures)],
    ['KiB per idle connection over their number', growthTable(figures, 'memory', '', String), MEMORY_PLOT],
  ];
  const filled = sections.filter(([, body]) => body !== '');
  return `${[method(recorded), ...filled.map(sectionOf)].join('\n\n')}\n`;
}

function method({ machine, rounds, quick, figures, skipped }: Recorded): string {
  const foreign = Math.max(0, ...figures.map(figure => figure.foreign));
  const missing = skipped.map(why => `\n\nNot measured: ${why}.`).join('');
  return `# Performance of channels

Written by \`npm run bench -- channel --report\` from [data/channel.json](data/channel.json), which \`npm run bench -- channel
--record\` measures. Everything here is a figure of one run: ${machine.cores} cores, Node ${machine.node}, OpenSSL ${machine.openssl},
${quick ? 'short ' : ''}rounds: ${rounds}, other programs used up to ${short(foreign)} cores meanwhile. Only ratios carry over to other machines.

A case is two processes on loopback, client on core 0, server on core 1, which check the length, order and end of every message.
All contenders of a row run right after one another, in an order that rotates; a ratio is the median of the rounds'
ratios. Where other programs used more than ${QUIET_CORES} cores in every round the row is marked as disturbed: its rates and latencies
tell of the others. \`processor time saved\` is how many times ours the peer's processor time is, per message of both ends together, per
connection of the client; it suffers less from them, not nothing. \`ws\` and \`wss\` are the ws package without and with TLS 1.3, \`tls-aes\` is node:tls with AES-256-GCM, \`net-batch\` is node:net
with one write per turn, \`libp2p-tcp\` is js-libp2p with Noise and yamux. Ours encrypt and authenticate both ends always;
\`-hybrid\` adds ML-KEM-768 to the handshake, \`-spin\` is the option \`spin\` of \`nodeEnv\`, \`-large\` has a queue for messages of 1 MiB.${missing}`;
}
