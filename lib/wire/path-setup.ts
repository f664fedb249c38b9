/** What the source of a path signs (overlay.md point 4). */
import { Reader, Writer } from '../bytes.js';
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import { readPeer, writePeer } from './peer.js';

export interface PathSetup {
  readonly source: PeerId;
  readonly destination: PeerId;
  readonly relays: readonly PeerId[];
  /** Of the present run of the source. */
  readonly epoch: number;
  /** 16 random bytes: a set-up counts once. */
  readonly nonce: Uint8Array;
  readonly expiresAtUnixMs: number;
  /** `handshake` begins a session, `join` adds the path to one. */
  readonly purpose: 'handshake' | 'join';
  /** SHA-256 of the message that travels with it. */
  readonly messageHash: Uint8Array;
}

const NONCE_BYTES = 16;
const HASH_BYTES = 32;

export function encodePathSetup(setup: PathSetup): Uint8Array {
  const writer = new Writer(256);
  writePeer(writePeer(writer, setup.source), setup.destination).u8(setup.relays.length);
  for (const relay of setup.relays) writePeer(writer, relay);
  writer.u64(setup.epoch).raw(setup.nonce).u64(setup.expiresAtUnixMs);
  return writer
    .u8(setup.purpose === 'join' ? 1 : 0)
    .raw(setup.messageHash)
    .finish();
}

/** Also refuses more than `LIMITS.maxRelays` relays and routes in which a peer repeats. */
export function decodePathSetup(body: Uint8Array): PathSetup {
  const reader = new Reader(body);
  const source = readPeer(reader);
  const destination = readPeer(reader);
  const count = reader.u8();
  if (count > LIMITS.maxRelays) throw new HopfairError('DECODE_FAILED', `${count} relays`);
  const relays: PeerId[] = [];
  for (let i = 0; i < count; i++) relays.push(readPeer(reader));
  if (new Set([source, destination, ...relays]).size !== count + 2) {
    throw new HopfairError('DECODE_FAILED', 'a route in which a peer repeats');
  }
  const epoch = reader.u64();
  const nonce = reader.raw(NONCE_BYTES);
  const expiresAtUnixMs = reader.u64();
  const purpose = reader.u8();
  if (purpose > 1) throw new HopfairError('DECODE_FAILED', 'purpose out of range');
  const messageHash = reader.raw(HASH_BYTES);
  reader.end();
  return {
    source,
    destination,
    relays,
    epoch,
    nonce,
    expiresAtUnixMs,
    purpose: purpose === 1 ? 'join' : 'handshake',
    messageHash,
  };
}
