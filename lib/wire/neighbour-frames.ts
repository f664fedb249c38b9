/** The control frames between neighbours: link state and path set-up. Data frames have their own file. */
import { Reader, Writer } from '../bytes.js';
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import { readPeer, writePeer } from './peer.js';

/** Names one version of the link state of one origin. */
export interface LinkStateName {
  readonly origin: PeerId;
  readonly epoch: number;
  readonly sequence: number;
}

/** Why a path was closed, in the order of their numbers on the wire. */
export const PATH_CLOSE_REASONS = [
  'done',
  'refused',
  'limit',
  'next-hop-lost',
  'unknown-label',
  'superseded',
  'idle',
] as const;
export type PathCloseReason = (typeof PATH_CLOSE_REASONS)[number];

export type NeighbourFrame =
  | { readonly kind: 'link-announce'; readonly names: readonly LinkStateName[] }
  | { readonly kind: 'link-pull'; readonly names: readonly LinkStateName[] }
  | { readonly kind: 'link-state'; readonly body: Uint8Array; readonly signature: Uint8Array }
  | {
      readonly kind: 'path-setup';
      readonly label: number;
      /** An encoded `PathSetup`. */
      readonly body: Uint8Array;
      readonly signature: Uint8Array;
      readonly message: Uint8Array;
    }
  /** The destination's answer on the label, towards the source. */
  | { readonly kind: 'path-reply'; readonly label: number; readonly message: Uint8Array }
  /** The source's next handshake message on the label. */
  | { readonly kind: 'path-continue'; readonly label: number; readonly message: Uint8Array }
  | {
      readonly kind: 'path-close';
      readonly label: number;
      /** Whether it travels from the source to the destination. */
      readonly forward: boolean;
      readonly reason: PathCloseReason;
    };

const KINDS = [
  'link-announce',
  'link-pull',
  'link-state',
  'path-setup',
  'path-reply',
  'path-continue',
  'path-close',
] as const satisfies readonly NeighbourFrame['kind'][];

/** Names in one announcement or question. */
export const MAX_NAMES = 256;
const NAME_BYTES = 48;
const MAX_SETUP_BODY_BYTES = 512;
const MAX_LINK_STATE_BYTES = 64 + 36 * LIMITS.maxEdgesPerNode;
const SIGNATURE_BYTES = 64;

export function encodeNeighbourFrame(frame: NeighbourFrame): Uint8Array {
  const writer = new Writer('names' in frame ? 8 + NAME_BYTES * frame.names.length : 'body' in frame ? 1_024 : 128);
  writer.u8(KINDS.indexOf(frame.kind) + 1);
  switch (frame.kind) {
    case 'link-announce':
    case 'link-pull':
      writer.u16(frame.names.length);
      for (const name of frame.names) writePeer(writer, name.origin).u64(name.epoch).u64(name.sequence);
      break;
    case 'link-state':
      writer.bytes16(frame.body).raw(frame.signature);
      break;
    case 'path-setup':
      writer.u32(frame.label).bytes16(frame.body).raw(frame.signature).bytes16(frame.message);
      break;
    case 'path-reply':
    case 'path-continue':
      writer.u32(frame.label).bytes16(frame.message);
      break;
    case 'path-close':
      writer
        .u32(frame.label)
        .u8(frame.forward ? 1 : 0)
        .u8(PATH_CLOSE_REASONS.indexOf(frame.reason));
      break;
  }
  return writer.finish();
}

/** Throws DECODE_FAILED on anything but one whole control frame. */
export function decodeNeighbourFrame(bytes: Uint8Array): NeighbourFrame {
  const reader = new Reader(bytes);
  const kind = KINDS[reader.u8() - 1];
  const frame = kind === undefined ? undefined : decodeBody(kind, reader);
  if (frame === undefined) throw new HopfairError('DECODE_FAILED', 'unknown kind of frame');
  reader.end();
  return frame;
}

function decodeBody(kind: (typeof KINDS)[number], reader: Reader): NeighbourFrame {
  switch (kind) {
    case 'link-announce':
    case 'link-pull': {
      const names: LinkStateName[] = [];
      const count = reader.count16(MAX_NAMES);
      for (let i = 0; i < count; i++) {
        names.push({ origin: readPeer(reader), epoch: reader.u64(), sequence: reader.u64() });
      }
      return { kind, names };
    }
    case 'link-state':
      return { kind, body: reader.bytes16(MAX_LINK_STATE_BYTES), signature: reader.raw(SIGNATURE_BYTES) };
    case 'path-setup':
      return {
        kind,
        label: reader.u32(),
        body: reader.bytes16(MAX_SETUP_BODY_BYTES),
        signature: reader.raw(SIGNATURE_BYTES),
        message: reader.bytes16(LIMITS.maxHandshakeBytes),
      };
    case 'path-reply':
    case 'path-continue':
      return { kind, label: reader.u32(), message: reader.bytes16(LIMITS.maxHandshakeBytes) };
    case 'path-close': {
      const label = reader.u32();
      const forward = reader.u8() === 1;
      const reason = PATH_CLOSE_REASONS[reader.u8()];
      if (reason === undefined) throw new HopfairError('DECODE_FAILED', 'unknown reason');
      return { kind, label, forward, reason };
    }
  }
}
