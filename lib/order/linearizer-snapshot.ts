/** The linearizer's state as bytes. Maps keep their order, so equal states give equal bytes. */
import { fromHex, Reader, toHex, Writer } from '../bytes.js';
import { unixMs } from '../env.js';
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import type { SelectedOrder } from './arrangement.js';
import { HASH_BYTES } from './envelope.js';
import { HoldCredit } from './hold-credit.js';
import { emptyState, type LinearizerState } from './linearizer-state.js';
import { type Listed, PendingOrder } from './pending-order.js';
import type { HashHex, OrderFacts, OrderId } from './types.js';

const VERSION = 1;
const MAX_STREAM_NAME_BYTES: number = LIMITS.maxPeerIdBytes + 1 + LIMITS.maxStreamKeyBytes;

export function encodeState(state: LinearizerState): Uint8Array {
  const w = new Writer(4096).u8(VERSION).u64(state.height).u64(state.time);
  for (const { length, time } of state.lanes) w.u64(length).u64(time);
  w.u64(state.closedWindow + 1);
  w.u64(state.log.size).u8(state.log.peaks.length);
  for (const peak of state.log.peaks) w.raw(peak);
  writeMany(w, [...state.unsupported.values()], order => writePending(w, order));
  writeMany(w, [...state.pending.values()], order => writePending(w, order));
  writeMany(w, [...state.closed.entries()], ({ id, how, expiry }) =>
    w
      .raw(fromHex(id))
      .u8(how === 'gone' ? 1 : 0)
      .u64(expiry),
  );
  writeMany(w, [...state.watermarks], ([name, { sequence, id }]) => w.text(name).u64(sequence).raw(fromHex(id)));
  writeMany(w, [...state.credit.debits], ([sender, times]) => {
    w.text(sender);
    writeMany(w, times, time => w.u64(time));
  });
  writeMany(w, state.waiting, batch => {
    w.u64(batch.height).raw(fromHex(batch.cutHash));
    writeMany(w, batch.orders, order => {
      writeListed(w, order);
      writeFacts(w, order.facts);
      w.u64(order.window);
    });
  });
  return w.finish();
}

/** @throws HopfairError DECODE_FAILED. Snapshots are agreed on before they are restored; they are not hostile input. */
export function decodeState(bytes: Uint8Array, n: number): LinearizerState {
  const r = new Reader(bytes);
  if (r.u8() !== VERSION) throw new HopfairError('DECODE_FAILED', 'unknown version of the linearizer snapshot');
  const state = emptyState(n);
  state.height = r.u64();
  state.time = r.u64();
  for (const lane of state.lanes) {
    lane.length = r.u64();
    lane.time = r.u64();
  }
  state.closedWindow = r.u64() - 1;
  state.log = { size: r.u64(), peaks: Array.from({ length: r.u8() }, () => r.raw(HASH_BYTES).slice()) };
  readMany(r, () => addTo(state.unsupported, readPending(r, n)));
  readMany(r, () => addTo(state.pending, readPending(r, n)));
  readMany(r, () => state.closed.add(readId(r), r.u8() === 1 ? 'gone' : 'selected', r.u64()));
  readMany(r, () => state.watermarks.set(r.text(MAX_STREAM_NAME_BYTES), { sequence: r.u64(), id: readId(r) }));
  state.credit = new HoldCredit(
    new Map(readMany(r, () => [r.text(LIMITS.maxPeerIdBytes) as PeerId, readMany(r, () => r.u64())])),
  );
  readMany(r, () =>
    state.waiting.push({
      height: r.u64(),
      cutHash: toHex(r.raw(HASH_BYTES)) as HashHex,
      orders: readMany(r, (): SelectedOrder => {
        const listed = readListed(r, n);
        const facts = readFacts(r);
        return { ...listed, id: facts.id, facts, window: r.u64() };
      }),
    }),
  );
  r.end();
  return state;
}

function writeMany<T>(w: Writer, values: readonly T[], write: (value: T) => unknown): void {
  w.u32(values.length);
  for (const value of values) write(value);
}

function readMany<T>(r: Reader, read: () => T): T[] {
  const values: T[] = [];
  for (let left = r.u32(); left > 0; left--) values.push(read());
  return values;
}

const readId = (r: Reader): OrderId => toHex(r.raw(HASH_BYTES)) as OrderId;
const addTo = (orders: Map<OrderId, PendingOrder>, order: PendingOrder): unknown => orders.set(order.id, order);

function writeListed(w: Writer, { positions, times }: Listed): void {
  positions.forEach((position, lane) => {
    if (position === Infinity) w.u8(0);
    else
      w.u8(1)
        .u64(position)
        .u64(times[lane] as number);
  });
}

function readListed(r: Reader, n: number): Listed {
  const positions = new Float64Array(n).fill(Infinity);
  const times = new Float64Array(n).fill(Infinity);
  for (let lane = 0; lane < n; lane++) {
    if (r.u8() === 0) continue;
    positions[lane] = r.u64();
    times[lane] = r.u64();
  }
  const sortedTimes = [...times].filter(time => time !== Infinity).sort((a, b) => a - b);
  return { positions, times, sortedTimes };
}

function writePending(w: Writer, order: PendingOrder): void {
  w.raw(fromHex(order.id)).u64(order.since);
  writeListed(w, order);
  if (order.facts === undefined) w.u8(0);
  else writeFacts(w.u8(1), order.facts);
  if (order.ready === undefined) w.u8(0);
  else w.u8(1).u64(order.ready.height).u64(order.ready.time);
  w.u8(order.debited ? 1 : 0).u64(order.window);
}

function readPending(r: Reader, n: number): PendingOrder {
  const order = new PendingOrder(readId(r), r.u64(), n);
  const { positions, times } = readListed(r, n);
  positions.forEach((position, lane) => {
    if (position !== Infinity) order.list(lane, position, times[lane] as number);
  });
  if (r.u8() === 1) order.facts = readFacts(r);
  if (r.u8() === 1) order.ready = { height: r.u64(), time: r.u64() };
  order.debited = r.u8() === 1;
  order.window = r.u64();
  return order;
}

function writeFacts(w: Writer, { id, sender, stream, sequence, prev, expiry }: OrderFacts): void {
  w.raw(fromHex(id)).text(sender).text(stream).u64(sequence);
  if (prev === undefined) w.u8(0);
  else w.u8(1).raw(fromHex(prev));
  w.u64(expiry);
}

function readFacts(r: Reader): OrderFacts {
  return {
    id: readId(r),
    sender: r.text(LIMITS.maxPeerIdBytes) as PeerId,
    stream: r.text(LIMITS.maxStreamKeyBytes),
    sequence: r.u64(),
    prev: r.u8() === 1 ? readId(r) : undefined,
    expiry: unixMs(r.u64()),
  };
}
