/** Peers on the wire: their 32-byte public keys, not the text form. */
import type { Reader, Writer } from '../bytes.js';
import { type PeerId, peerIdOf, publicKeyOf } from '../identity/peer-id.js';

export function writePeer(writer: Writer, peer: PeerId): Writer {
  return writer.raw(publicKeyOf(peer));
}

export function readPeer(reader: Reader): PeerId {
  return peerIdOf(reader.raw(32));
}
