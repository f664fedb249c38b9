/** The process that everybody comes back to: one node that echoes what it gets. */

import type { HandshakeGateStats } from '../../lib/channel/index.js';
import { openMembership } from '../../lib/identity/index.js';
import { createIdentity, createNode, type MeshNode } from '../../lib/mesh/index.js';
import { tcpTransport } from '../../transports/tcp.js';
import { webSocketTransport } from '../../transports/websocket.js';
import { ECHO, NETWORK_ID, type Place } from './protocol.js';

export interface BackendState {
  readonly handshakes: HandshakeGateStats;
  /** Processor time of the process so far. */
  readonly cpuMs: number;
  readonly connected: number;
}

const [scheme = 'tcp'] = process.argv.slice(2);
const node = (await createNode({
  identity: createIdentity({ networkId: NETWORK_ID }),
  networkId: NETWORK_ID,
  transports: [tcpTransport(), webSocketTransport()],
  listen: [`${scheme}://127.0.0.1:0`],
  membership: openMembership({ mayRelay: true }),
  relay: true,
})) as MeshNode;
node.serve(ECHO, (from, bytes) => void node.send(from, ECHO, bytes.slice(), { class: 'critical' }));

process.on('disconnect', () => process.exit(0));
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send?.({
    handshakes: node.diagnostics().handshakes,
    cpuMs: (user + system) / 1_000,
    connected: node.peers().filter(({ connected }) => connected).length,
  } satisfies BackendState);
});
process.send?.({ peer: node.peerId, address: node.addresses[0] as string } satisfies Place);
