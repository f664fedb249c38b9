/** Peer ids: the Ed25519 public key of a peer in a checksummed text form. */
import { copyOf, equalBytes } from '../bytes.js';
import { requireArgument } from '../errors.js';
import { decodeBech32m, encodeBech32m } from './bech32m.js';

declare const peerIdBrand: unique symbol;

/** Bech32m with the prefix `hf`: 61 lower-case characters, `hf1…`. Compares as a string. */
export type PeerId = string & { readonly [peerIdBrand]: true };

const PREFIX = 'hf';
export const PUBLIC_KEY_LENGTH = 32;

/** Peers a process talks to come again and again; strangers must not make this grow without end. */
const MAX_CACHED = 8_192;
const publicKeys = new Map<PeerId, Uint8Array>();
/** By the first bytes of the key: whoever makes two keys that begin alike gains that they are encoded each time. */
const peerIds = new Map<number, { readonly peer: PeerId; readonly publicKey: Uint8Array }>();

function remember(peer: PeerId, publicKey: Uint8Array): void {
  if (publicKeys.size >= MAX_CACHED) publicKeys.clear();
  publicKeys.set(peer, publicKey);
}

/** The id of the peer with this 32-byte Ed25519 public key. */
export function peerIdOf(publicKey: Uint8Array): PeerId {
  requireArgument(publicKey.length === PUBLIC_KEY_LENGTH, 'an identity key is 32 bytes');
  const beginning = beginningOf(publicKey);
  const known = peerIds.get(beginning);
  if (known !== undefined && equalBytes(known.publicKey, publicKey)) return known.peer;
  const peer = encodeBech32m(PREFIX, publicKey) as PeerId;
  if (peerIds.size >= MAX_CACHED) peerIds.clear();
  peerIds.set(beginning, { peer, publicKey: copyOf(publicKey) });
  return peer;
}

function beginningOf(publicKey: Uint8Array): number {
  let number = 0;
  for (let i = 0; i < 6; i++) number = number * 256 + (publicKey[i] as number);
  return number;
}

/** The 32-byte Ed25519 public key of a peer. It is shared: do not change it. */
export function publicKeyOf(peer: PeerId): Uint8Array {
  const known = publicKeys.get(peer);
  if (known !== undefined) return known;
  const publicKey = decodeBech32m(PREFIX, peer, PUBLIC_KEY_LENGTH);
  remember(peer, publicKey);
  return publicKey;
}

/**
 * Checks text that people typed or a file holds. Throws INVALID_ARGUMENT that says what is wrong: prefix, length,
 * character or checksum.
 */
export function parsePeerId(text: string): PeerId {
  publicKeyOf(text as PeerId);
  return text as PeerId;
}
