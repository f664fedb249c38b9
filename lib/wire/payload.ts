/**
 * Payloads of an application as MessagePack. msgpackr does the work; what comes from a peer reaches it only after a scan
 * of the whole structure has bounded it and refused everything that is not plain data.
 */
import type { Options } from 'msgpackr';
// The entry points without the native extractor: bytes of peers are parsed in JavaScript. In browsers each has its half.
import { Packr } from 'msgpackr/pack';
import { Unpackr } from 'msgpackr/unpack';
import { copyOf, Reader, toUtf8 } from '../bytes.js';
import { HopfairError, requireArgument } from '../errors.js';
import { LIMITS } from '../limits.js';

/** What a payload can hold. An object is plain data with string keys. */
export type PayloadValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly PayloadValue[]
  | { readonly [key: string]: PayloadValue };

const LONE_SURROGATE = /\p{Surrogate}/u;

const PLAIN: Options = { useRecords: false, structuredClone: false, mapsAsObjects: true, int64AsType: 'bigint' };
const packr = new Packr({ ...PLAIN, variableMapSize: true, useToJSON: false } satisfies Options);
const unpackr = new Unpackr({ ...PLAIN, copyBuffers: true } satisfies Options);

/**
 * A bigint takes 64 bits and comes back as a bigint, a number comes back as a number (-0 as 0). Throws INVALID_ARGUMENT
 * for whatever `decodePayload` would refuse or could not give back.
 */
export function encodePayload(value: PayloadValue, maxBytes: number = LIMITS.maxPayloadBytes): Uint8Array {
  requirePlain(value, 0, { bytes: maxBytes, elements: LIMITS.maxPayloadElements });
  try {
    const bytes = copyOf(packr.pack(value)); // a view of a buffer that msgpackr goes on to fill
    scan(bytes, maxBytes);
    return bytes;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'unknown';
    throw new HopfairError('INVALID_ARGUMENT', `no payload: ${reason}`, { cause });
  }
}

/** Nothing of the result is a view of `bytes`. Throws DECODE_FAILED. */
export function decodePayload(bytes: Uint8Array, maxBytes: number = LIMITS.maxPayloadBytes): PayloadValue {
  requireSize(bytes, maxBytes);
  const own = copyOf(bytes); // msgpackr leaves a mark on its input, and memory that is shared could change after the scan
  scan(own, maxBytes);
  try {
    return unpackr.unpack(own) as PayloadValue;
  } catch (cause) {
    throw new HopfairError('DECODE_FAILED', 'malformed payload', { cause });
  }
}

interface Budget {
  bytes: number;
  elements: number;
}

/** Before msgpackr sees a value: it would write an object of any class, and replace a lone surrogate without a word. */
function requirePlain(value: unknown, depth: number, budget: Budget): void {
  if (value === null || typeof value === 'boolean' || typeof value === 'number' || typeof value === 'bigint') return;
  if (typeof value === 'string') {
    requireText(value, budget);
    return;
  }
  if (value instanceof Uint8Array) {
    spendBytes(value.length, budget);
    return;
  }
  requireArgument(typeof value === 'object', `a payload cannot hold a value of type ${typeof value}`);
  requireArgument(depth < LIMITS.maxPayloadDepth, 'payload too deep, or cyclic');
  const prototype: unknown = Object.getPrototypeOf(value);
  if (Array.isArray(value)) {
    requireArgument(prototype === Array.prototype, 'a payload cannot hold an instance of a class');
    spendElements(value.length, budget);
    for (let i = 0; i < value.length; i++) requirePlain(value[i], depth + 1, budget); // a hole is undefined
    return;
  }
  requireArgument(prototype === Object.prototype || prototype === null, 'a payload cannot hold an instance of a class');
  const entries = Object.entries(value);
  spendElements(entries.length, budget);
  requireArgument(Object.getOwnPropertySymbols(value).length === 0, 'a payload cannot hold a symbol');
  for (const [key, entry] of entries) {
    requireText(key, budget);
    requirePlain(entry, depth + 1, budget);
  }
}

function requireText(text: string, budget: Budget): void {
  spendBytes(text.length, budget);
  requireArgument(!LONE_SURROGATE.test(text), 'a payload cannot hold a lone surrogate');
}

function spendBytes(count: number, budget: Budget): void {
  budget.bytes -= count;
  requireArgument(budget.bytes >= 0, 'payload too large');
}

function spendElements(count: number, budget: Budget): void {
  budget.elements -= count;
  requireArgument(budget.elements >= 0, 'too many elements in a payload');
}

/** An array or map that is not yet read to its end. */
interface Container {
  left: number;
  /** Of a map: the keys so far. */
  readonly keys: Set<string> | undefined;
}

/** Walks the structure without building any of it. Throws DECODE_FAILED. */
function scan(bytes: Uint8Array, maxBytes: number): void {
  requireSize(bytes, maxBytes);
  const reader = new Reader(bytes);
  const open: Container[] = [];
  let elements = 0;
  do {
    const outer = open.at(-1);
    if (outer !== undefined) outer.left--;
    if (outer?.keys !== undefined) scanKey(reader, outer.keys);
    const inner = scanValue(reader);
    if (inner !== undefined) {
      elements += inner.left;
      if (elements > LIMITS.maxPayloadElements) throw refused('too many elements');
      if (open.push(inner) > LIMITS.maxPayloadDepth) throw refused('too deep');
    }
    while (open.at(-1)?.left === 0) open.pop();
  } while (open.length > 0);
  reader.end();
}

function scanKey(reader: Reader, keys: Set<string>): void {
  const length = textLength(reader, reader.u8());
  if (length === undefined) throw refused('map key that is no string');
  const key = scanText(reader, length);
  if (key === '__proto__') throw refused('map key __proto__');
  if (keys.has(key)) throw refused('map key twice');
  keys.add(key);
}

/** Past one value; past the head only if it is a container. */
function scanValue(reader: Reader): Container | undefined {
  const type = reader.u8();
  if (type <= 0x7f || type >= 0xe0) return undefined; // small integers
  if (type <= 0x8f) return map(type & 0x0f);
  if (type <= 0x9f) return array(type & 0x0f);
  const length = textLength(reader, type);
  if (length !== undefined) {
    scanText(reader, length);
    return undefined;
  }
  switch (type) {
    case 0xc0: // nil, false, true
    case 0xc2:
    case 0xc3:
      return undefined;
    case 0xc4: // bytes
      return skip(reader, reader.u8());
    case 0xc5:
      return skip(reader, reader.u16());
    case 0xc6:
      return skip(reader, reader.u32());
    case 0xcc: // 8, 16, 32 and 64 bits
    case 0xd0:
      return skip(reader, 1);
    case 0xcd:
    case 0xd1:
      return skip(reader, 2);
    case 0xca:
    case 0xce:
    case 0xd2:
      return skip(reader, 4);
    case 0xcb:
    case 0xcf:
    case 0xd3:
      return skip(reader, 8);
    case 0xdc:
      return array(reader.u16());
    case 0xdd:
      return array(reader.u32());
    case 0xde:
      return map(reader.u16());
    case 0xdf:
      return map(reader.u32());
    case 0xc1:
      throw refused('reserved type');
    default: // 0xc7–0xc9, 0xd4–0xd8: dates, records, references and whatever else has a class
      throw refused('extension type');
  }
}

/** Length of a string whose first byte was read; undefined if it is none. */
function textLength(reader: Reader, type: number): number | undefined {
  if (type >= 0xa0 && type <= 0xbf) return type & 0x1f;
  if (type === 0xd9) return reader.u8();
  if (type === 0xda) return reader.u16();
  if (type === 0xdb) return reader.u32();
  return undefined;
}

/** msgpackr replaces malformed UTF-8, and drops a byte order mark from long strings: two texts would become one. */
function scanText(reader: Reader, length: number): string {
  const bytes = reader.raw(length);
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) throw refused('text begins with a byte order mark');
  return toUtf8(bytes);
}

function skip(reader: Reader, length: number): undefined {
  reader.raw(length);
}

function array(length: number): Container {
  return { left: length, keys: undefined };
}

function map(length: number): Container {
  return { left: length, keys: new Set() };
}

function requireSize(bytes: Uint8Array, maxBytes: number): void {
  if (bytes.length > maxBytes) throw refused(`${bytes.length} bytes are above the limit of ${maxBytes}`);
}

function refused(reason: string): HopfairError {
  return new HopfairError('DECODE_FAILED', `payload refused: ${reason}`);
}
