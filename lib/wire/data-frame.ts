/**
 * The data frame, which relays forward without parsing more than its header:
 *
 *     kind 1 | label 4 | remaining ttl 2 (ms) | lane and phase 1 | path 1 | packet number 7 | ciphertext
 *
 * Label and ttl are rewritten at every hop; what follows them is the AAD of the ciphertext, and the nonce is made of path
 * and packet number (overlay.md points 4 and 5). The phase bit says which of two keys the packet is sealed under, and
 * turns with each rekey. `forward` runs from the peer that set the path up, `backward` to it.
 */
import { LIMITS } from '../limits.js';

export const DATA_FORWARD = 0x10;
export const DATA_BACKWARD = 0x11;
export const DATA_HEADER_BYTES = 16;
const TAG_BYTES = 16;
/** Plaintext that one frame carries. */
export const MAX_DATA_PAYLOAD_BYTES: number = LIMITS.maxFrameBytes - DATA_HEADER_BYTES - TAG_BYTES;
/** Of the 56 bits, those that are a safe integer here. */
export const MAX_PACKET_NUMBER: number = 2 ** 53 - 1;
/** The ttl of a frame that does not expire. */
export const NO_TTL = 0xffff;

const LABEL = 1;
const TTL = 5;
const LANE = 7;
const PATH = 8;
const PACKET = 9;

const URGENT = 1;
const PHASE = 2;

const byte = (frame: Uint8Array, at: number): number => frame[at] as number;
const u32 = (frame: Uint8Array, at: number): number =>
  byte(frame, at) * 0x1_00_00_00 + (byte(frame, at + 1) << 16) + (byte(frame, at + 2) << 8) + byte(frame, at + 3);

function putU32(frame: Uint8Array, at: number, value: number): void {
  frame[at] = value >>> 24;
  frame[at + 1] = value >>> 16;
  frame[at + 2] = value >>> 8;
  frame[at + 3] = value;
}

/** Whether these bytes are a data frame whose header can be read. */
export function isDataFrame(frame: Uint8Array): boolean {
  return (frame[0] === DATA_FORWARD || frame[0] === DATA_BACKWARD) && frame.length >= DATA_HEADER_BYTES + TAG_BYTES;
}

/** The lowest bit of the number of rekeys. */
export type PhaseBit = 0 | 1;

export interface DataHeaderFields {
  readonly kind: typeof DATA_FORWARD | typeof DATA_BACKWARD;
  readonly label: number;
  /** Remaining ttl in ms, or NO_TTL. */
  readonly ttlMs: number;
  readonly urgent: boolean;
  /** Of the key. */
  readonly phase: PhaseBit;
  readonly path: number;
  readonly packet: number;
}

export function dataHeader(fields: DataHeaderFields): Uint8Array {
  const header = new Uint8Array(DATA_HEADER_BYTES);
  header[0] = fields.kind;
  setDataLabel(header, fields.label);
  setDataTtl(header, fields.ttlMs);
  header[LANE] = (fields.urgent ? URGENT : 0) | (fields.phase === 1 ? PHASE : 0);
  header[PATH] = fields.path;
  const high = Math.floor(fields.packet / 0x1_0000_0000);
  header[PACKET] = high >>> 16;
  header[PACKET + 1] = high >>> 8;
  header[PACKET + 2] = high;
  putU32(header, PACKET + 3, fields.packet);
  return header;
}

export const dataLabel = (frame: Uint8Array): number => u32(frame, LABEL);
export const setDataLabel = (frame: Uint8Array, label: number): void => putU32(frame, LABEL, label);
export const dataTtl = (frame: Uint8Array): number => (byte(frame, TTL) << 8) + byte(frame, TTL + 1);

export function setDataTtl(frame: Uint8Array, ttlMs: number): void {
  frame[TTL] = ttlMs >>> 8;
  frame[TTL + 1] = ttlMs;
}

export const dataUrgent = (frame: Uint8Array): boolean => (byte(frame, LANE) & URGENT) !== 0;
export const dataPhase = (frame: Uint8Array): PhaseBit => ((byte(frame, LANE) & PHASE) === 0 ? 0 : 1);
export const dataPath = (frame: Uint8Array): number => byte(frame, PATH);

/** The packet number; above MAX_PACKET_NUMBER it is not exact and must be refused. */
export const dataPacket = (frame: Uint8Array): number =>
  ((byte(frame, PACKET) << 16) + (byte(frame, PACKET + 1) << 8) + byte(frame, PACKET + 2)) * 0x1_0000_0000 +
  u32(frame, PACKET + 3);

/** The header fields that no relay rewrites: lane and phase, path, packet number. */
export const dataAad = (frame: Uint8Array): Uint8Array => frame.subarray(LANE, DATA_HEADER_BYTES);
