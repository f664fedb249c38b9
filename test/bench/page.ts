/** docs/performance.md out of a recorded result: the method, the bars, and how costs grow with the work. Pure. */
import { MEASURES } from './measures.js';
import type { Figure, Ratio, Recorded } from './results.js';

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
    const verdict = r.pass ? 'reached' : 'falls short';
    const peer = isRatio ? `${r.peer}: ${short(r.peerValue)}` : '–';
    return [
      r.bar,
      r.row,
      r.ours,
      `${short(r.value)} ${r.unit}`,
      peer,
      `${short(r.ratio)}${isRatio ? 'x' : ''}`,
      bar,
      verdict,
    ];
  });
  return table(['bar', 'row', 'ours', 'measured', 'beside', 'ratio', 'bar is', ''], rows);
}

/** One line per contender, one column per size: how a cost grows. */
function growthTable(
  figures: readonly Figure[],
  prefix: string,
  suffix: string,
  head: (size: number) => string,
): string {
  const measures = MEASURES.filter(({ id, size }) => id === `${prefix}-${size}${suffix}`);
  const nameOf = (adapter: string): string => adapter.replace(/-large$/, '');
  const names = [...new Set(measures.flatMap(({ adapters }) => adapters.map(nameOf)))];
  const rows = names.flatMap(name => {
    const cells = measures.map(({ id }) => short(figures.find(f => f.row === id && nameOf(f.adapter) === name)?.value));
    return cells.every(cell => cell === '–') ? [] : [[name, ...cells]];
  });
  return rows.length === 0 ? '' : table(['', ...measures.map(({ size }) => head(size))], rows);
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

export function performancePage(recorded: Recorded): string {
  const { figures, ratios } = recorded;
  const sections: readonly (readonly [title: string, body: string])[] = [
    ['Bars', barsTable(ratios)],
    ['Latency', latencyTable(figures)],
    ['Messages per second over payload size, one way', growthTable(figures, 'oneway', '', bytes)],
    ['Processor time of the sender in us per message', growthTable(figures, 'oneway', '-cpu-send', bytes)],
    ['Processor time of the receiver in us per message', growthTable(figures, 'oneway', '-cpu-receive', bytes)],
    ['Connections, with authentication', connectTable(figures)],
    ['KiB per idle connection over their number', growthTable(figures, 'memory', '', String)],
  ];
  const filled = sections.filter(([, body]) => body !== '');
  return `${[method(recorded), ...filled.map(([title, body]) => `## ${title}\n\n${body}`)].join('\n\n')}\n`;
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
ratios. \`ws\` and \`wss\` are the ws package without and with TLS 1.3, \`tls-aes\` is node:tls with AES-256-GCM, \`net-batch\` is node:net
with one write per turn, \`libp2p-tcp\` is js-libp2p with Noise and yamux. Ours encrypt and authenticate both ends always;
\`-hybrid\` adds ML-KEM-768 to the handshake, \`-spin\` is the option \`spin\` of \`nodeEnv\`, \`-large\` has a queue for messages of 1 MiB.${missing}`;
}
