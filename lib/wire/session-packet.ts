/** The plaintext of a session packet: a flag byte and frames until its end (overlay.md points 5 and 6). */
import { fromUtf8, Reader, toUtf8, Writer } from '../bytes.js';
import { HopfairError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { type Receipt, readReceipt, writeReceipt } from './receipt.js';

/**
 * How a message is numbered at its receiver: in the order of its service, in the service but delivered as it comes, or
 * among the expiring messages of the sender.
 */
export type Numbering = 'ordered' | 'unordered' | 'expiring';

/** A piece of one message. */
export interface Chunk {
  readonly service: string;
  readonly numbering: Numbering;
  /** Of the message. */
  readonly sequence: number;
  readonly offset: number;
  /** Length of the whole message. */
  readonly total: number;
  /** Remaining time in ms of a message that expires; 0 for others. */
  readonly ttlMs: number;
  readonly bytes: Uint8Array;
}

/** Whole reliable messages of one service, with numbers that follow one another. */
export interface Run {
  readonly service: string;
  readonly ordered: boolean;
  /** Number of the first message. */
  readonly first: number;
  readonly messages: readonly Uint8Array[];
}

/** How much its sender takes of the reliable messages of a service, from the first one on: see credit.ts of lib/mesh. */
export interface Credit {
  readonly service: string;
  readonly limit: number;
}

export interface Packet {
  /** Asks for a receipt at all. */
  readonly elicits: boolean;
  /** Asks for it without delay. */
  readonly atOnce: boolean;
  /** 8 random bytes that name the present run of the sender. */
  readonly hello: Uint8Array | undefined;
  readonly receipts: readonly Receipt[];
  readonly credits: readonly Credit[];
  readonly chunks: readonly Chunk[];
  readonly runs: readonly Run[];
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
const UNORDERED_CHUNK = 6;
const RUN = 7;
const UNORDERED_RUN = 8;
const CREDIT = 9;

/** A piece is at least as large, unless it ends its message: so their number is bounded by its size. */
export const MIN_PIECE_BYTES = 1_024;

const RUN_ID_BYTES = 8;
const MAX_SERVICE_BYTES = 32;
const MAX_TTL_MS = 0xfffffffe;

/** What a chunk takes in a packet beyond its bytes. */
export const chunkOverheadBytes = (service: string): number => 1 + 1 + service.length + 8 + 4 + 4 + 4 + 2;
/** What a run takes beyond its messages, and each message of a run beyond its bytes. */
export const runOverheadBytes = (service: string): number => 1 + 1 + service.length + 8 + 2;
export const RUN_MESSAGE_OVERHEAD_BYTES = 2;

/** A view of `into`, the whole of some memory, or of other memory when the packet is larger. */
export function encodePacket(packet: Packet, into: Uint8Array = new Uint8Array(256)): Uint8Array {
  const writer = new Writer(into);
  writer.u8((packet.elicits ? ELICITS : 0) | (packet.atOnce ? AT_ONCE : 0));
  if (packet.hello !== undefined) writer.u8(HELLO).raw(packet.hello);
  for (const receipt of packet.receipts) writeReceipt(writer.u8(RECEIPT), receipt);
  for (const { service, limit } of packet.credits) writeService(writer.u8(CREDIT), service).u64(limit);
  for (const chunk of packet.chunks) writeChunk(writer, chunk);
  for (const run of packet.runs) {
    writeService(writer.u8(run.ordered ? RUN : UNORDERED_RUN), run.service);
    writer.u64(run.first).u16(run.messages.length);
    for (const message of run.messages) writer.bytes16(message);
  }
  if (packet.close) writer.u8(CLOSE);
  return writer.take();
}

function writeService(writer: Writer, service: string): Writer {
  const bytes = fromUtf8(service);
  return writer.u8(bytes.length).raw(bytes);
}

function writeChunk(writer: Writer, chunk: Chunk): void {
  const expires = chunk.numbering === 'expiring';
  writer.u8(expires ? EXPIRING_CHUNK : chunk.numbering === 'ordered' ? CHUNK : UNORDERED_CHUNK);
  writeService(writer, chunk.service).u64(chunk.sequence).u32(chunk.offset).u32(chunk.total);
  if (expires) writer.u32(Math.min(Math.max(Math.ceil(chunk.ttlMs), 0), MAX_TTL_MS));
  writer.bytes16(chunk.bytes);
}

/** The bytes of messages are views of `bytes`. Throws DECODE_FAILED. */
export function decodePacket(bytes: Uint8Array): Packet {
  const reader = new Reader(bytes);
  const flags = reader.u8();
  const receipts: Receipt[] = [];
  const credits: Credit[] = [];
  const chunks: Chunk[] = [];
  const runs: Run[] = [];
  let hello: Uint8Array | undefined;
  let close = false;
  while (reader.remaining > 0) {
    const kind = reader.u8();
    switch (kind) {
      case HELLO:
        hello = reader.raw(RUN_ID_BYTES);
        break;
      case RECEIPT:
        receipts.push(readReceipt(reader));
        break;
      case CREDIT:
        credits.push({ service: readService(reader), limit: reader.u64() });
        break;
      case CHUNK:
        chunks.push(readChunk(reader, 'ordered'));
        break;
      case UNORDERED_CHUNK:
        chunks.push(readChunk(reader, 'unordered'));
        break;
      case EXPIRING_CHUNK:
        chunks.push(readChunk(reader, 'expiring'));
        break;
      case RUN:
      case UNORDERED_RUN:
        runs.push(readRun(reader, kind === RUN));
        break;
      case CLOSE:
        close = true;
        break;
      default:
        throw new HopfairError('DECODE_FAILED', 'unknown kind of session frame');
    }
  }
  const [elicits, atOnce] = [(flags & ELICITS) !== 0, (flags & AT_ONCE) !== 0];
  return { elicits, atOnce, hello, receipts, credits, chunks, runs, close };
}

function readService(reader: Reader): string {
  const length = reader.u8();
  if (length > MAX_SERVICE_BYTES) throw new HopfairError('DECODE_FAILED', 'service name too long');
  return toUtf8(reader.raw(length));
}

function readChunk(reader: Reader, numbering: Numbering): Chunk {
  const service = readService(reader);
  const sequence = reader.u64();
  const offset = reader.u32();
  const total = reader.u32();
  const ttlMs = numbering === 'expiring' ? reader.u32() : 0;
  const bytes = reader.bytes16(LIMITS.maxFrameBytes);
  const end = offset + bytes.length;
  if (total > LIMITS.maxApplicationMessageBytes || end > total || (bytes.length === 0 && total > 0)) {
    throw new HopfairError('DECODE_FAILED', 'chunk outside of its message');
  }
  if (end < total && bytes.length < MIN_PIECE_BYTES) throw new HopfairError('DECODE_FAILED', 'chunk too small');
  return { service, numbering, sequence, offset, total, ttlMs, bytes };
}

function readRun(reader: Reader, ordered: boolean): Run {
  const service = readService(reader);
  const first = reader.u64();
  const count = reader.u16();
  if (count === 0 || count * RUN_MESSAGE_OVERHEAD_BYTES > reader.remaining) {
    throw new HopfairError('DECODE_FAILED', 'a run of more messages than there is room for');
  }
  const messages: Uint8Array[] = [];
  for (let i = 0; i < count; i++) messages.push(reader.bytes16());
  return { service, ordered, first, messages };
}
