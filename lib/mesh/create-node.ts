/** Makes a node of the platform's own surroundings. */
import { defaultCrypto } from '../crypto/index.js';
import { systemEnv } from '../env-system.js';
import { MeshNode } from './mesh-node.js';
import type { NodeOptions } from './node-options.js';
import type { Node } from './types.js';

/**
 * Starts a node: it listens, dials, and keeps its channels. Resolves once it listens; channels come up in their own time,
 * told by `peer` events, and each try to get one by `connection` events. Rejects with INVALID_ARGUMENT for options that
 * cannot be, ADDRESS_INVALID or LISTEN_FAILED.
 *
 * @example
 * const node = await createNode({
 *   identity, networkId: 'example', transports: [webSocketTransport()], membership,
 *   peers: [{ address: 'ws://relay.example:7000' }],
 * });
 * const session = await node.session(peer);
 * await session.send(bytes, { class: 'critical' });
 */
export async function createNode(options: NodeOptions): Promise<Node> {
  const { env = systemEnv(), crypto = defaultCrypto() } = options;
  const node = new MeshNode({ ...options, env, crypto });
  await node.start(options.listen ?? [], options.peers ?? []);
  return node;
}
