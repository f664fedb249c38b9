import t from 'tap';
import { systemRandomBytes } from '../../lib/crypto/index.js';
import {
  AllowList,
  createIdentity,
  createIdentitySeeds,
  createNode,
  defaultParameters,
  encodeCommittee,
  type Identity,
  joinBroadcast,
  type Node,
  type PeerId,
} from '../../lib/index.js';
import { memoryLog } from '../../lib/storage/index.js';
import { webSocketTransport } from '../../transports/websocket.js';
import { skipped } from './chromium.js';
import type { NodeConfig, NodeReport } from './client/config.js';
import { isPatterned, patterned, SIZES } from './client/messages.js';
import { openPlaces, type Place } from './places.js';

/** It builds the package first, which takes long where many things run. */
t.setTimeout(240_000);

const NETWORK = 'browser-test';
const PUBLICATIONS = 50;
const PUBLISH_INTERVAL_MS = 5;

interface World {
  readonly membership: AllowList;
  readonly relay: Node;
  /** Publishes `book` all the time. */
  readonly peer: Node;
  /** The relay is a committee of one. */
  readonly committee: Uint8Array;
  close(): Promise<void>;
}

/** A relay, and a peer that does not listen: what a browser and the peer say to each other goes through the relay. */
async function openWorld(): Promise<World> {
  const membership = new AllowList();
  const start = (identity: Identity, options: { relay?: boolean; listen?: string[]; peers?: { address: string }[] }) =>
    createNode({ identity, networkId: NETWORK, transports: [webSocketTransport()], membership, ...options });
  const [relayIdentity, peerIdentity] = [
    createIdentity({ networkId: NETWORK }),
    createIdentity({ networkId: NETWORK }),
  ];
  membership.allow(relayIdentity.peer);
  membership.allow({ peer: peerIdentity.peer, mayRelay: false });
  const relay = await start(relayIdentity, { relay: true, listen: ['ws://127.0.0.1:0'] });
  const peer = await start(peerIdentity, { peers: relay.addresses.map(address => ({ address })) });
  const parameters = defaultParameters(20);
  const committee = { networkId: NETWORK, epoch: 1, members: [{ peer: relay.peerId }], parameters };
  const member = joinBroadcast(relay, { role: 'member', committee, identity: relayIdentity, log: memoryLog() });
  let next = 0;
  const timer = setInterval(() => {
    next = peer.publish('book', patterned(256, next)).sequence + 1;
  }, PUBLISH_INTERVAL_MS);
  const close = async (): Promise<void> => {
    clearInterval(timer);
    await member.close();
    await peer.close();
    await relay.close();
  };
  return { membership, relay, peer, committee: encodeCommittee(committee), close };
}

/** Echoes what the browser sends, then reads its publications, then says that it has read enough. */
async function serveBrowser(peer: Node, browser: PeerId): Promise<{ sequences: number[]; secret: string | undefined }> {
  const publications = peer.subscribe(`${browser}/quotes`);
  const session = await peer.session(browser, { timeoutMs: 60_000 });
  const incoming = session.messages();
  for (const _ of SIZES) {
    const { value } = await incoming.next();
    await session.send(value as Uint8Array);
  }
  const sequences: number[] = [];
  for await (const publication of publications) {
    if (publication.kind !== 'message' || !isPatterned(publication.bytes, 256, publication.sequence)) continue;
    sequences.push(publication.sequence);
    if (sequences.length === PUBLICATIONS) break;
  }
  const secret = peer.exportSecret(browser, 'test', 32)?.join();
  await session.send(new Uint8Array(1));
  return { sequences, secret };
}

const areConsecutive = (sequences: readonly number[]): boolean =>
  sequences.length === PUBLICATIONS && sequences.every((sequence, at) => sequence === (sequences[0] ?? 0) + at);

t.test('a node in Chromium, behind a relay', { skip: skipped }, async t => {
  const places = await openPlaces();
  t.teardown(() => places.close());
  const world = await openWorld();
  t.teardown(() => world.close());

  for (const place of ['page', 'worker', 'shared worker', 'hidden page'] satisfies Place[]) {
    t.test(`in a ${place}: a session through the relay, publications both ways, an order`, async t => {
      const seeds = createIdentitySeeds(systemRandomBytes);
      const config: NodeConfig = {
        networkId: NETWORK,
        seeds: { identity: [...seeds.identity], static: [...seeds.static] },
        relay: { address: world.relay.addresses[0] ?? '', peer: world.relay.peerId },
        peer: world.peer.peerId,
        publications: PUBLICATIONS,
        committee: [...world.committee],
      };
      const browser = createIdentity({ networkId: NETWORK, seeds }).peer;
      world.membership.allow({ peer: browser, mayRelay: false });
      const [report, served] = await Promise.all([
        places.run<NodeReport>(place, 'meet', config),
        serveBrowser(world.peer, browser),
      ]);
      t.match(report, { echoed: SIZES.length, wrong: 0 });
      t.ok(report.firstHops.length > 0 && report.firstHops.every(hop => hop === world.relay.peerId), 'by the relay');
      t.ok(areConsecutive(report.sequences), 'the browser reads without a gap what Node publishes');
      t.ok(areConsecutive(served.sequences), 'Node reads without a gap what the browser publishes');
      t.ok(report.secret !== undefined && report.secret === served.secret, 'one secret at both ends of the session');
      t.equal(report.logged, report.opened, 'the order that was submitted is in the log');
    });
  }

  t.test('nothing is thrown for nobody, and the content security policy refuses nothing', async t => {
    t.strictSame(places.complaints, []);
  });
});
