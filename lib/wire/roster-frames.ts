/** The frames by which neighbours hand rosters to one another (overlay.md point 1). */
import { Reader, Writer } from '../bytes.js';
import { HopfairError } from '../errors.js';
import { LIMITS } from '../limits.js';

export type RosterFrame =
  /** The roster that the sender goes by. */
  | {
      readonly kind: 'roster-announce';
      readonly version: number;
      /** Of the whole roster, signatures included. */
      readonly bytes: number;
      /** SHA-256 of what was signed: the same for everybody who holds this version. */
      readonly bodyHash: Uint8Array;
    }
  | { readonly kind: 'roster-pull'; readonly version: number; readonly offset: number }
  | { readonly kind: 'roster-part'; readonly version: number; readonly offset: number; readonly bytes: Uint8Array };

/** 16 and 17 begin data frames. */
const KIND_BYTES = { 'roster-announce': 14, 'roster-pull': 15, 'roster-part': 18 } as const satisfies Readonly<
  Record<RosterFrame['kind'], number>
>;
const KINDS: ReadonlyMap<number, RosterFrame['kind']> = new Map(
  (Object.keys(KIND_BYTES) as RosterFrame['kind'][]).map(kind => [KIND_BYTES[kind], kind]),
);
const HASH_BYTES = 32;
/** Of a roster in one part: others' frames need not wait long behind it. */
export const MAX_ROSTER_PART_BYTES = 16_384;

export const isRosterFrame = (frame: Uint8Array): boolean => KINDS.has(frame[0] ?? 0);

export function encodeRosterFrame(frame: RosterFrame): Uint8Array {
  const writer = new Writer(64).u8(KIND_BYTES[frame.kind]).u64(frame.version);
  switch (frame.kind) {
    case 'roster-announce':
      return writer.u32(frame.bytes).raw(frame.bodyHash).finish();
    case 'roster-pull':
      return writer.u32(frame.offset).finish();
    case 'roster-part':
      return writer.u32(frame.offset).bytes16(frame.bytes).finish();
  }
}

/** Throws DECODE_FAILED on anything but one whole frame. Its bytes are views. */
export function decodeRosterFrame(bytes: Uint8Array): RosterFrame {
  const reader = new Reader(bytes);
  const kind = KINDS.get(reader.u8());
  const version = reader.u64();
  const frame = kind === undefined ? undefined : decodeBody(kind, version, reader);
  if (frame === undefined) throw new HopfairError('DECODE_FAILED', 'unknown kind of frame');
  reader.end();
  return frame;
}

function decodeBody(kind: RosterFrame['kind'], version: number, reader: Reader): RosterFrame {
  switch (kind) {
    case 'roster-announce':
      return { kind, version, bytes: bounded(reader.u32()), bodyHash: reader.raw(HASH_BYTES) };
    case 'roster-pull':
      return { kind, version, offset: bounded(reader.u32()) };
    case 'roster-part':
      return { kind, version, offset: bounded(reader.u32()), bytes: reader.bytes16(MAX_ROSTER_PART_BYTES) };
  }
}

function bounded(value: number): number {
  if (value <= LIMITS.maxRosterBytes) return value;
  throw new HopfairError('DECODE_FAILED', `${value} is more than a roster has`);
}
