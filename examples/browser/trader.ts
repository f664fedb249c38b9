/**
 * The trader, in a worker: a whole node, which reads the book and sends one order for every click. It needs nothing of the
 * page, whose timers the browser throttles when nobody looks at it.
 */
import { AllowList, createIdentity, createNode, decodePayload, encodePayload, explain, type PeerId } from 'hopfair';
import { webSocketTransport } from 'hopfair/transports/websocket';
import type { FromTrader, Side } from './words.js';

interface Invitation {
  readonly networkId: string;
  readonly relay: { readonly address: string; readonly peer: PeerId };
  readonly exchange: PeerId;
}

const page = globalThis as unknown as {
  postMessage(word: FromTrader): void;
  onmessage: ((event: { data: Side }) => void) | null;
};
const log = (line: string): void => page.postMessage({ kind: 'log', line });

const { networkId, relay, exchange } = (await (await fetch('/invitation')).json()) as Invitation;
// An identity that ends with this worker. One that stays: keep its two seeds where the site keeps secrets.
const identity = createIdentity({ networkId });
const joined = await fetch('/join', { method: 'POST', body: identity.peer });
if (!joined.ok) throw new Error(`the site did not let us in: ${joined.status}`);

const node = await createNode({
  identity,
  networkId,
  transports: [webSocketTransport()],
  membership: new AllowList([relay.peer, { peer: exchange, mayRelay: false }]),
  peers: [relay],
});
node.on('route', event => log(explain(event)));
node.on('peer', ({ peer, kind }) => log(`${peer === relay.peer ? 'relay' : 'exchange'}: ${kind}`));

const session = await node.session(exchange);

page.onmessage = ({ data: side }) => {
  session
    .send(encodePayload({ side, quantity: 1 }), { class: 'critical', ttlMs: 1_000 })
    .catch((error: unknown) => log(`the order was not sent: ${String(error)}`));
};
page.postMessage({ kind: 'ready' });

async function readAnswers(): Promise<void> {
  for await (const bytes of session.messages()) {
    const { accepted } = decodePayload(bytes) as { readonly accepted: number };
    page.postMessage({ kind: 'accepted', order: accepted });
  }
}

async function readBook(): Promise<void> {
  for await (const publication of node.subscribe(`${exchange}/book.BTC-PERP`)) {
    if (publication.kind === 'gap') log(`the book has a gap from ${publication.from}`);
    else page.postMessage({ kind: 'book', ...(decodePayload(publication.bytes) as { bid: number; ask: number }) });
  }
}

await Promise.all([readAnswers(), readBook()]);
