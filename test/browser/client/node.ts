/** A whole node in a page or worker: one relay, a session through it, publications both ways, an order. */
import {
  AllowList,
  createIdentity,
  createNode,
  decodeCommittee,
  type Identity,
  joinBroadcast,
  type Node,
  type PeerId,
  type Session,
} from 'hopfair';
import { webSocketTransport } from 'hopfair/transports/websocket';
import type { NodeConfig, NodeReport } from './config.js';
import { isPatterned, patterned, SIZES } from './messages.js';

const PUBLISH_INTERVAL_MS = 5;

async function echoes(
  session: Session,
  incoming: AsyncIterator<Uint8Array>,
): Promise<{ echoed: number; wrong: number }> {
  const sending = (async () => {
    for (const [tag, size] of SIZES.entries()) await session.send(patterned(size, tag));
  })();
  let wrong = 0;
  for (const [tag, size] of SIZES.entries()) {
    const { value } = await incoming.next();
    if (!isPatterned(value as Uint8Array, size, tag)) wrong++;
  }
  await sending;
  return { echoed: SIZES.length, wrong };
}

/** The sequence numbers of the first publications of the peer; each must carry its own number. */
async function read(node: Node, topic: string, count: number): Promise<number[]> {
  const sequences: number[] = [];
  for await (const publication of node.subscribe(topic)) {
    if (publication.kind !== 'message' || !isPatterned(publication.bytes, 256, publication.sequence)) continue;
    sequences.push(publication.sequence);
    if (sequences.length === count) break;
  }
  return sequences;
}

/** Publishes until the peer has said that it has read enough. */
async function publishUntilTold(node: Node, incoming: AsyncIterator<Uint8Array>): Promise<void> {
  let next = 0;
  const timer = setInterval(() => {
    next = node.publish('quotes', patterned(256, next)).sequence + 1;
  }, PUBLISH_INTERVAL_MS);
  await incoming.next();
  clearInterval(timer);
}

/** Submits one sealed order, and finds it in the log. */
async function trade(
  node: Node,
  identity: Identity,
  committee: Uint8Array,
): Promise<{ opened: string; logged: string }> {
  const orders = joinBroadcast(node, { committee: decodeCommittee(committee), identity });
  const receipt = await orders.submit(patterned(64, 1), { key: 'account' });
  const { entry } = await receipt.opened;
  let logged = 'nothing';
  for await (const { id } of orders.entries()) {
    logged = id;
    if (id === entry.id) break;
  }
  await orders.close();
  return { opened: entry.id, logged };
}

export async function meet(config: NodeConfig): Promise<NodeReport> {
  const { networkId, seeds, relay } = config;
  const [peer, relayPeer] = [config.peer as PeerId, relay.peer as PeerId];
  const identity = createIdentity({
    networkId,
    seeds: { identity: new Uint8Array(seeds.identity), static: new Uint8Array(seeds.static) },
  });
  const node = await createNode({
    identity,
    networkId,
    transports: [webSocketTransport()],
    membership: new AllowList([peer, relayPeer]),
    peers: [{ address: relay.address, peer: relayPeer }],
  });
  const session = await node.session(peer);
  const incoming = session.messages();
  const { echoed, wrong } = await echoes(session, incoming);
  const firstHops = node.routes().map(({ route }) => route[0]);
  const sequences = await read(node, `${peer}/book`, config.publications);
  await publishUntilTold(node, incoming);
  const traded = await trade(node, identity, new Uint8Array(config.committee));
  const secret = node.exportSecret(peer, 'test', 32)?.join();
  await node.drain();
  await node.close();
  return { echoed, wrong, firstHops, sequences, secret, ...traded };
}
