/** A process with many clients: each is a node of its own with one neighbour, the backend, and a session with it. */

import { severable } from '../../examples/live-mesh/crash.js';
import { defaultCrypto, systemRandomBytes } from '../../lib/crypto/index.js';
import { nodeEnv } from '../../lib/env-node.js';
import { AllowList, createIdentitySeeds, Identity, type IdentitySeeds } from '../../lib/identity/index.js';
import { createNode, type Node } from '../../lib/mesh/index.js';
import { tcpTransport } from '../../transports/tcp.js';
import { webSocketTransport } from '../../transports/websocket.js';
import { type ClientsBack, type ClientsOrder, ECHO, NETWORK_ID, type Place } from './protocol.js';

const env = nodeEnv();
const crypto = defaultCrypto();

interface Client {
  readonly node: Node;
  readonly sever: () => void;
}

let place: Place | undefined;
let everybody: readonly IdentitySeeds[] = [];
let running: readonly Client[] = [];

/** A client that comes back; `onBack` is called when its first message was echoed. */
async function startClient(seeds: IdentitySeeds, { peer, address }: Place, onBack: () => void): Promise<Client> {
  const { transport, sever } = severable(address.startsWith('ws') ? webSocketTransport() : tcpTransport());
  const copy = { identity: seeds.identity.slice(), static: seeds.static.slice() };
  const identity = new Identity({ crypto, seeds: copy, networkId: NETWORK_ID, now: env.clock.unix() });
  // A client knows whom it trades with, and nobody else: it does not check the edges of a thousand others.
  const membership = new AllowList([{ peer, mayRelay: true }]);
  const node = await createNode({
    ...{ identity, networkId: NETWORK_ID, crypto, env, membership },
    transports: [transport],
    peers: [{ peer, address }],
  });
  node.serve(ECHO, onBack);
  node.send(peer, ECHO, new Uint8Array(64), { class: 'critical' });
  return { node, sever };
}

async function startAll(): Promise<ClientsBack> {
  const startedAt = performance.now();
  const backMs: number[] = [];
  await new Promise<void>((resolve, reject) => {
    const onBack = (): void => {
      backMs.push(performance.now() - startedAt);
      if (backMs.length === everybody.length) resolve();
    };
    Promise.all(everybody.map(seeds => startClient(seeds, place as Place, onBack))).then(clients => {
      running = clients;
    }, reject);
  });
  return { backMs };
}

process.on('disconnect', () => process.exit(0));
process.on('message', async (order: ClientsOrder) => {
  if (order.kind === 'start') {
    place = order.place;
    everybody = Array.from({ length: order.clients }, () => createIdentitySeeds(systemRandomBytes));
  } else {
    for (const { sever } of running) sever();
    await Promise.all(running.map(({ node }) => node.close()));
  }
  process.send?.(await startAll());
});
