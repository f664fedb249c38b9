/** @chainsafe/libp2p-noise as libp2p uses it, without the rest of libp2p. */
import './promise-with-resolvers.js';
import { noise } from '@chainsafe/libp2p-noise';
import type { ConnectionEncrypter, Ed25519PrivateKey, Upgrader } from '@libp2p/interface';
import { defaultLogger } from '@libp2p/logger';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';

export const logger: ReturnType<typeof defaultLogger> = defaultLogger();
/** Nothing is multiplexed here; the handshake asks which muxers there are. */
const upgrader = { getStreamMuxers: () => new Map() } as unknown as Upgrader;

export function libp2pEncrypter(privateKey: Ed25519PrivateKey, staticNoiseKey: Uint8Array): ConnectionEncrypter {
  return noise({ staticNoiseKey })({ peerId: peerIdFromPrivateKey(privateKey), privateKey, logger, upgrader });
}
