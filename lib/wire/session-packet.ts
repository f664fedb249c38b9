/** The plaintext of a session packet: a flag byte and frames until its end (overlay.md points 5 and 6). */
import { fromUtf8, Reader, toUtf8, Writer } from '../bytes.js';
import { HopfairError } from '../errors.js';
import { LIMITS } from '../limits.js';

/** Inclusive packet numbers. */
export interface Range {
  readonly first: number;
  readonly last: number;
}

/** Which packets of a path came; the packet that carries it may travel over any path. */
export interface Receipt {
  readonly path: number;
  /** How long the receiver dwelt since the newest of them. */
  readonly delayMs: number;
  /** From the highest down, without overlap. */
  readonly ranges: readonly Range[];
}

/** A piece of one message. */
export interface Chunk {
  readonly service: string;
  /** Of the message: within the service's stream, or among the expiring messages of the sender. */
  readonly sequence: number;
  readonly offset: number;
  /** Length of the whole message. */
  readonly total: number;
  /** Remaining time in ms of a message that expires; undefined for the reliable, ordered stream. */
  readonly ttlMs: number | undefined;
  readonly bytes: Uint8Array;
}

export interface Packet {
  /** Asks for a receipt at all. */
  readonly elicits: boolean;
  /** Asks for it without delay. */
  readonly atOnce: boolean;
  /** 8 random bytes that name the present run of the sender. */
  readonly hello: Uint8Array | undefined;
  readonly receipts: readonly Receipt[];
  readonly chunks: readonly Chunk[];
  /** The sender ends the session. */
  readonly close: boolean;
}

const ELICITS = 1;
const AT_ONCE = 2;
const HELLO = 1;
const RECEIPT = 2;
const CHUNK = 3;
const EXPIRING_CHUNK = 4;
const CLOSE = 5;

const RUN_ID_BYTES = 8;
const MAX_RANGES = 32;
const MAX_PATH = 15;
const MAX_SERVICE_BYTES = 32;
const DELAY_UNITS_PER_MS = 100;
const MAX_TTL_MS = 0xfffffffe;

/** What a chunk takes in a packet beyond its bytes. */
export function chunkOverheadBytes(service: string): number {
  return 1 + 1 + service.length + 8 + 4 + 4 + 4 + 2;
}

export function encodePacket(packet: Packet): Uint8Array {
  const writer = new Writer(256);
  writer.u8((packet.elicits ? ELICITS : 0) | (packet.atOnce ? AT_ONCE : 0));
  if (packet.hello !== undefined) writer.u8(HELLO).raw(packet.hello);
  for (const receipt of packet.receipts) {
    writer.u8(RECEIPT).u8(receipt.path);
    writer.u16(Math.min(Math.round(receipt.delayMs * DELAY_UNITS_PER_MS), 0xffff)).u8(receipt.ranges.length);
    for (const range of receipt.ranges) writer.u64(range.first).u64(range.last);
  }
  for (const chunk of packet.chunks) {
    writer.u8(chunk.ttlMs === undefined ? CHUNK : EXPIRING_CHUNK);
    const service = fromUtf8(chunk.service);
    writer.u8(service.length).raw(service).u64(chunk.sequence).u32(chunk.offset).u32(chunk.total);
    if (chunk.ttlMs !== undefined) writer.u32(Math.min(Math.max(Math.ceil(chunk.ttlMs), 0), MAX_TTL_MS));
    writer.bytes16(chunk.bytes);
  }
  if (packet.close) writer.u8(CLOSE);
  return writer.finish();
}

/** The chunks are views of `bytes`. Throws DECODE_FAILED. */
export function decodePacket(bytes: Uint8Array): Packet {
  const reader = new Reader(bytes);
  const flags = reader.u8();
  const receipts: Receipt[] = [];
  const chunks: Chunk[] = [];
  let hello: Uint8Array | undefined;
  let close = false;
  while (reader.remaining > 0) {
    const kind = reader.u8();
    if (kind === HELLO) hello = reader.raw(RUN_ID_BYTES);
    else if (kind === RECEIPT) receipts.push(decodeReceipt(reader));
    else if (kind === CHUNK || kind === EXPIRING_CHUNK) chunks.push(decodeChunk(reader, kind === EXPIRING_CHUNK));
    else if (kind === CLOSE) close = true;
    else throw new HopfairError('DECODE_FAILED', 'unknown kind of session frame');
  }
  return { elicits: (flags & ELICITS) !== 0, atOnce: (flags & AT_ONCE) !== 0, hello, receipts, chunks, close };
}

function decodeReceipt(reader: Reader): Receipt {
  const path = reader.u8();
  const delayMs = reader.u16() / DELAY_UNITS_PER_MS;
  const count = reader.u8();
  if (path > MAX_PATH || count === 0 || count > MAX_RANGES) throw new HopfairError('DECODE_FAILED', 'bad receipt');
  const ranges: Range[] = [];
  let below = Number.POSITIVE_INFINITY;
  for (let i = 0; i < count; i++) {
    const range = { first: reader.u64(), last: reader.u64() };
    if (range.first > range.last || range.last >= below) throw new HopfairError('DECODE_FAILED', 'bad ranges');
    below = range.first;
    ranges.push(range);
  }
  return { path, delayMs, ranges };
}

function decodeChunk(reader: Reader, expiring: boolean): Chunk {
  const serviceBytes = reader.u8();
  if (serviceBytes > MAX_SERVICE_BYTES) throw new HopfairError('DECODE_FAILED', 'service name too long');
  const service = toUtf8(reader.raw(serviceBytes));
  const sequence = reader.u64();
  const offset = reader.u32();
  const total = reader.u32();
  const ttlMs = expiring ? reader.u32() : undefined;
  const bytes = reader.bytes16(LIMITS.maxFrameBytes);
  if (total > LIMITS.maxApplicationMessageBytes || offset + bytes.length > total || (bytes.length === 0 && total > 0)) {
    throw new HopfairError('DECODE_FAILED', 'chunk outside of its message');
  }
  return { service, sequence, offset, total, ttlMs, bytes };
}
