/**
 * Bytes, and the bounded reader and writer with which every wire format of hopfair is made. Big-endian, lengths before
 * what they measure, one encoding for one value: what a Reader accepts, a Writer reproduces bit by bit.
 */
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { HopfairError, invariant } from './errors.js';

export const EMPTY: Uint8Array = new Uint8Array(0);
export const toHex: (bytes: Uint8Array) => string = bytesToHex;
export const fromHex: (hex: string) => Uint8Array = hexToBytes;
export const fromUtf8: (text: string) => Uint8Array = utf8ToBytes;
export const concat: (...parts: Uint8Array[]) => Uint8Array = concatBytes;

declare class TextDecoder {
  constructor(label: string, options: { fatal: boolean });
  decode(bytes: Uint8Array): string;
}
const strictUtf8 = new TextDecoder('utf-8', { fatal: true });

/** A copy, always a plain Uint8Array. `slice` will not do for bytes of unknown origin: that of a Buffer is a view. */
export const copyOf = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes);

/** Throws DECODE_FAILED on malformed UTF-8. */
export function toUtf8(bytes: Uint8Array): string {
  try {
    return strictUtf8.decode(bytes);
  } catch (cause) {
    throw new HopfairError('DECODE_FAILED', 'malformed UTF-8', { cause });
  }
}

/** Equality of public values: not constant-time, never for secrets. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Lexicographic order of public values, shorter first when one is a prefix of the other. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) {
    const d = (a[i] as number) - (b[i] as number);
    if (d !== 0) return d;
  }
  return a.length - b.length;
}

/** Appends fields to a buffer that grows by doubling. Values out of range are the caller's mistake: INTERNAL. */
export class Writer {
  #buffer: Uint8Array;
  #view: DataView;
  #length = 0;

  /** Into a buffer of this capacity, or into this one, which must be the whole of its memory. */
  constructor(into: number | Uint8Array = 256) {
    this.#buffer = typeof into === 'number' ? new Uint8Array(into) : into;
    this.#view = new DataView(this.#buffer.buffer);
  }

  get length(): number {
    return this.#length;
  }

  #reserve(n: number): number {
    const at = this.#length;
    if (at + n > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(this.#buffer.length * 2, at + n));
      grown.set(this.#buffer.subarray(0, at));
      this.#buffer = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#length = at + n;
    return at;
  }

  u8(v: number): this {
    invariant(v >= 0 && v <= 0xff && Number.isInteger(v), 'u8 out of range');
    const at = this.#reserve(1);
    this.#view.setUint8(at, v);
    return this;
  }

  u16(v: number): this {
    invariant(v >= 0 && v <= 0xffff && Number.isInteger(v), 'u16 out of range');
    const at = this.#reserve(2);
    this.#view.setUint16(at, v);
    return this;
  }

  u32(v: number): this {
    invariant(v >= 0 && v <= 0xffffffff && Number.isInteger(v), 'u32 out of range');
    const at = this.#reserve(4);
    this.#view.setUint32(at, v);
    return this;
  }

  /** An integer below 2^53 as eight bytes. */
  u64(v: number): this {
    invariant(Number.isSafeInteger(v) && v >= 0, 'u64 out of the safe range');
    const at = this.#reserve(8);
    this.#view.setUint32(at, Math.floor(v / 0x1_0000_0000));
    this.#view.setUint32(at + 4, v >>> 0);
    return this;
  }

  /** An integer below 2^53 in 1, 2, 4 or 8 bytes, the first two bits telling which (RFC 9000, section 16). */
  varint(v: number): this {
    if (v < 0x40) return this.u8(v);
    if (v < 0x4000) return this.u16(0x4000 + v);
    if (v < 0x4000_0000) return this.u32(0x8000_0000 + v);
    invariant(Number.isSafeInteger(v), 'varint out of the safe range');
    return this.u32(0xc000_0000 + Math.floor(v / 0x1_0000_0000)).u32(v >>> 0);
  }

  /** Bytes of a length that both ends know. */
  raw(bytes: Uint8Array): this {
    const at = this.#reserve(bytes.length); // first: it may replace the buffer
    this.#buffer.set(bytes, at);
    return this;
  }

  /** A u16 length and the bytes. */
  bytes16(bytes: Uint8Array): this {
    return this.u16(bytes.length).raw(bytes);
  }

  /** A u32 length and the bytes. */
  bytes32(bytes: Uint8Array): this {
    return this.u32(bytes.length).raw(bytes);
  }

  /** A u16 length and UTF-8. */
  text(value: string): this {
    return this.bytes16(fromUtf8(value));
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.#buffer.slice(0, this.#length);
  }

  /** What was written, as a view: the writer must not be used any more. */
  take(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }
}

/** Reads fields; every overrun and every trailing byte is DECODE_FAILED. `raw` and `bytes*` return views, not copies. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  #take(n: number): number {
    if (n > this.remaining) throw new HopfairError('DECODE_FAILED', `${n} bytes wanted, ${this.remaining} left`);
    const at = this.#at;
    this.#at = at + n;
    return at;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  /** Eight bytes; values of 2^53 and above are DECODE_FAILED. */
  u64(): number {
    const at = this.#take(8);
    const v = this.#view.getUint32(at) * 0x1_0000_0000 + this.#view.getUint32(at + 4);
    if (!Number.isSafeInteger(v)) throw new HopfairError('DECODE_FAILED', 'integer above 2^53');
    return v;
  }

  /** Shorter forms must be used where they suffice: what is read is written the same way. */
  varint(): number {
    const start = this.#at;
    const first = this.u8();
    const form = first >>> 6;
    if (form === 0) return first;
    this.#at = start;
    const value = form === 1 ? this.u16() - 0x4000 : form === 2 ? this.u32() - 0x8000_0000 : this.#varint8();
    const least = form === 1 ? 0x40 : form === 2 ? 0x4000 : 0x4000_0000;
    if (value < least) throw new HopfairError('DECODE_FAILED', 'an integer in more bytes than it needs');
    return value;
  }

  #varint8(): number {
    const at = this.#take(8);
    const v = (this.#view.getUint32(at) - 0xc000_0000) * 0x1_0000_0000 + this.#view.getUint32(at + 4);
    if (!Number.isSafeInteger(v)) throw new HopfairError('DECODE_FAILED', 'integer above 2^53');
    return v;
  }

  raw(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** At most `max` bytes behind a u16 length. */
  bytes16(max = 0xffff): Uint8Array {
    return this.raw(this.#bounded(this.u16(), max));
  }

  /** At most `max` bytes behind a u32 length. */
  bytes32(max: number): Uint8Array {
    return this.raw(this.#bounded(this.u32(), max));
  }

  text(maxBytes: number): string {
    return toUtf8(this.bytes16(maxBytes));
  }

  /** A count that a peer claims, refused above `max` before anything is allocated for it. */
  count16(max: number): number {
    return this.#bounded(this.u16(), max);
  }

  #bounded(value: number, max: number): number {
    if (value > max) throw new HopfairError('DECODE_FAILED', `${value} is above the limit of ${max}`);
    return value;
  }

  /** All that is left. */
  rest(): Uint8Array {
    return this.raw(this.remaining);
  }

  /** Throws unless everything was read. */
  end(): void {
    if (this.remaining !== 0) throw new HopfairError('DECODE_FAILED', `${this.remaining} trailing bytes`);
  }
}
