/**
 * The mesh in one page: two ends, two relays between them. One relay goes on answering and drops what it should forward;
 * the session does not notice, and says why it went the other way.
 *
 *   npx tsx examples/first-mesh/main.ts
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { AllowList, createIdentity, createNode, explain } from '../../lib/index.js';
import { webSocketTransport } from '../../transports/websocket.js';

const networkId = 'first-mesh';
const names = ['alice', 'bob', 'left', 'right'] as const;
const [alice, bob, left, right] = names.map(() => createIdentity({ networkId }));
if (!alice || !bob || !left || !right) throw new Error('four identities');
// Who belongs to the network and who runs what: an active route and its standby share no operator.
const membership = new AllowList([
  { peer: alice.peer, mayRelay: false },
  { peer: bob.peer, mayRelay: false },
  { peer: left.peer, operator: 'one' },
  { peer: right.peer, operator: 'another' },
]);
const common = { networkId, membership, transports: [webSocketTransport()] };

// Two relays. The hook of each decides about every frame that passes; a hostile one answers everything else.
const dropping = new Set<string>();
const relayNode = (identity: typeof left) =>
  createNode({
    ...common,
    identity,
    listen: ['ws://127.0.0.1:0'],
    relay: { onForward: () => (dropping.has(identity.peer) ? 'drop' : 'forward') },
  });
const relays = await Promise.all([relayNode(left), relayNode(right)]);
const peers = relays.map(relay => ({ peer: relay.peerId, address: relay.addresses[0] as string }));

// Two ends that know the relays, and reach one another over them.
const [a, b] = await Promise.all([alice, bob].map(identity => createNode({ ...common, identity, peers })));
if (!a || !b) throw new Error('two ends');
const nameOf = (peer: string) => names[[alice.peer, bob.peer, left.peer, right.peer].indexOf(peer as never)] ?? peer;
a.on('route', event => console.log(explain(event, nameOf)));

const session = await a.session(b.peerId);
const activeRelay = () => a.routes().find(({ role }) => role === 'active')?.route[0];
while (a.routes().length < 2) await sleep(20); // the standby is set up in its own time

const sent = 200;
const received: number[] = [];
const reading = (async () => {
  for await (const bytes of (await b.session(a.peerId)).messages()) {
    received.push(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0));
    if (received.length === sent) return;
  }
})();
for (let i = 0; i < sent; i++) {
  const hostile = activeRelay();
  if (i === sent / 4 && hostile !== undefined) {
    console.log(`${nameOf(hostile)} begins to drop`);
    dropping.add(hostile);
  }
  const message = new Uint8Array(4);
  new DataView(message.buffer).setUint32(0, i);
  await session.send(message);
  await sleep(5);
}
await reading;

const inOrder = received.every((number, i) => number === i);
console.log(`${received.length} of ${sent} arrived, ${inOrder ? 'in order, each once' : 'out of order'}`);
await Promise.all([a, b, ...relays].map(node => node.close()));
