/**
 * Where the orders of the main job come from: a recorded exchange stream, or a seeded generator with bursts of the same
 * statistics. Both give trades at the times at which they happened.
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { parsePrice, parseQuantity, type Side } from '../exchange/order.js';

export interface Trade {
  /** Since the first line of the recording, in ms. */
  readonly atMs: number;
  readonly side: Side;
  /** In ticks. */
  readonly price: number;
  /** In lots. */
  readonly quantity: number;
}

/** Longest line that is looked at; exchange messages are far shorter. */
const MAX_LINE_BYTES = 1 << 20;

/** What a line of the recording is. `other`: valid, but no trade (quotes, depth). */
export type Line =
  | {
      readonly kind: 'trade';
      readonly atNs: bigint;
      readonly side: Side;
      readonly price: number;
      readonly quantity: number;
    }
  | { readonly kind: 'other'; readonly atNs: bigint }
  | { readonly kind: 'malformed'; readonly reason: string };

/** Reads one line `<ns> <raw exchange JSON>`. */
export function parseLine(line: string): Line {
  const malformed = (reason: string): Line => ({ kind: 'malformed', reason });
  if (line.length > MAX_LINE_BYTES) return malformed(`longer than ${MAX_LINE_BYTES} bytes`);
  const space = line.indexOf(' ');
  if (space < 1 || !/^\d{1,19}$/.test(line.slice(0, space)))
    return malformed('does not start with a time in nanoseconds');
  const atNs = BigInt(line.slice(0, space));
  let message: unknown;
  try {
    message = JSON.parse(line.slice(space + 1));
  } catch {
    return malformed('what follows the time is not JSON');
  }
  const data = (message as { data?: unknown } | null)?.data as Record<string, unknown> | undefined;
  if (typeof data !== 'object' || data === null || data['e'] !== 'trade') return { kind: 'other', atNs };
  const price = parsePrice(data['p']);
  const quantity = parseQuantity(data['q']);
  if (price === undefined) return malformed(`trade with price ${JSON.stringify(data['p'])}`);
  if (quantity === undefined) return malformed(`trade with quantity ${JSON.stringify(data['q'])}`);
  if (typeof data['m'] !== 'boolean') return malformed('trade without its side');
  // m: the buyer was the maker, so the order that came in was a sell.
  return { kind: 'trade', atNs, side: data['m'] ? 'sell' : 'buy', price, quantity };
}

export type OnMalformed = (lineNumber: number, reason: string) => void;

/**
 * The trades of a recording, gzip or plain, in order. A malformed line is reported with its number and skipped. Rejects
 * when the file cannot be read or its compression is damaged.
 */
export async function* readRecording(file: string, onMalformed: OnMalformed): AsyncGenerator<Trade> {
  const input = await openMaybeGzip(file);
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  let failure: Error | undefined;
  input.on('error', error => {
    failure = error;
    lines.close(); // readline does not hear of errors
  });
  let first: bigint | undefined;
  let lastMs = 0;
  let number = 0;
  for await (const text of lines) {
    number++;
    if (text.trim() === '') continue;
    const line = parseLine(text);
    if (line.kind === 'malformed') {
      onMalformed(number, line.reason);
      continue;
    }
    first ??= line.atNs;
    if (line.kind !== 'trade') continue;
    lastMs = Math.max(lastMs, Number(line.atNs - first) / 1e6); // a clock that steps back must not reorder trades
    yield { atMs: lastMs, side: line.side, price: line.price, quantity: line.quantity };
  }
  if (failure) throw failure;
}

/** By the two magic bytes, not by the name. Rejects when the file cannot be opened. */
async function openMaybeGzip(file: string): Promise<Readable> {
  const head = await new Promise<Buffer>((resolve, reject) => {
    const chunks: Buffer[] = [];
    createReadStream(file, { end: 1 })
      .on('data', chunk => chunks.push(chunk as Buffer))
      .on('error', reject)
      .on('end', () => resolve(Buffer.concat(chunks)));
  });
  const raw = createReadStream(file);
  if (head[0] !== 0x1f || head[1] !== 0x8b) return raw;
  const gunzip = createGunzip();
  raw.on('error', error => gunzip.destroy(error));
  return raw.pipe(gunzip);
}

/** A small seeded generator of numbers in [0, 1): the sfc32 of PractRand. */
export function seededRandom(seed: number): () => number {
  let a = seed | 0;
  let b = 0x9e3779b9;
  let c = 0x243f6a88;
  let counter = 1;
  const next = (): number => {
    const sum = (a + b + counter++) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 12; i++) next();
  return next;
}

/**
 * Trades without end, as a market makes them: the rate of each second is log-normal (median 26, mean 62 per second, as in
 * the recorded burst), trades come in clusters of five on average, and the price walks.
 */
export function* generateTrades(seed: number): Generator<Trade> {
  const random = seededRandom(seed);
  const exponential = (mean: number) => -Math.log(1 - random()) * mean;
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const clusterSize = 5;
  let price = 6_000_000;
  for (let second = 0; ; second++) {
    const clustersPerSecond = Math.min(1_700, 26 * Math.exp(1.32 * normal())) / clusterSize;
    let atMs = second * 1000;
    for (;;) {
      atMs += exponential(1000 / clustersPerSecond);
      if (atMs >= (second + 1) * 1000) break;
      const side: Side = random() < 0.5 ? 'buy' : 'sell';
      let trades = 1 + Math.floor(exponential(clusterSize - 0.5));
      for (; trades > 0; trades--) {
        price = Math.max(100, price + (side === 'buy' ? 1 : -1) * Math.floor(exponential(10)));
        yield { atMs, side, price, quantity: 1 + Math.floor(exponential(60)) };
      }
    }
  }
}
