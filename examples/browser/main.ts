/**
 * The Node side of the example: a relay, an exchange that only the relay reaches, and the site that the page comes from.
 * `npm run example:browser` builds and runs it; `-- --port 8080` chooses the port of the site.
 */
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { AllowList, createIdentity, createNode, HopfairError, parsePeerId } from 'hopfair';
import { webSocketTransport } from 'hopfair/transports/websocket';
import { openExchange } from './exchange.js';

const NETWORK = 'browser-example';
const MAX_BODY_BYTES = 256;
const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const { values: options } = parseArgs({ options: { port: { type: 'string', default: '8080' } } });

// Who belongs to the network. The site adds the peers of its visitors below.
const [relayIdentity, exchangeIdentity] = [
  createIdentity({ networkId: NETWORK }),
  createIdentity({ networkId: NETWORK }),
];
const membership = new AllowList([relayIdentity.peer, { peer: exchangeIdentity.peer, mayRelay: false }]);
const shared = { networkId: NETWORK, membership, transports: [webSocketTransport()] };
const relay = await createNode({ ...shared, identity: relayIdentity, relay: true, listen: ['ws://127.0.0.1:0'] });
const [relayAddress = ''] = relay.addresses;
const exchange = await createNode({ ...shared, identity: exchangeIdentity, peers: [{ address: relayAddress }] });
const desk = openExchange(exchange);

/** What a visitor has to know to take part; nothing of it is secret. */
const invitation = JSON.stringify({
  networkId: NETWORK,
  relay: { address: relayAddress, peer: relay.peerId },
  exchange: exchange.peerId,
});

const { outputFiles } = await build({
  entryPoints: [here('page.ts'), here('trader.ts')],
  bundle: true,
  platform: 'browser',
  format: 'esm',
  outdir: '/',
  write: false,
});
const files = new Map(outputFiles.map(({ path, text }) => [path.replace(/^.*[/\\]/, '/'), ['text/javascript', text]]));
files.set('/', ['text/html; charset=utf-8', readFileSync(here('page.html'), 'utf8')]);
files.set('/invitation', ['application/json', invitation]);

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request) {
    body += chunk;
    if (body.length > MAX_BODY_BYTES) throw new HopfairError('LIMIT_EXCEEDED', 'the body is too large');
  }
  return body;
}

/** A real site would know its visitor by now, and admit a peer for nobody else. */
async function join(request: IncomingMessage): Promise<number> {
  try {
    const peer = parsePeerId(await bodyOf(request));
    membership.allow({ peer, mayRelay: false });
    desk.serve(peer);
    return 204;
  } catch (error) {
    if (error instanceof HopfairError) return 400;
    throw error;
  }
}

const site = createServer(async (request, response) => {
  if (request.method === 'POST' && request.url === '/join') {
    response.writeHead(await join(request)).end();
    return;
  }
  const [type, text] = files.get(request.url ?? '') ?? [];
  response.writeHead(text === undefined ? 404 : 200, { 'content-type': type ?? 'text/plain' }).end(text);
});
site.listen(Number(options.port), '127.0.0.1', () => {
  const { port } = site.address() as AddressInfo;
  console.log(`http://127.0.0.1:${port}/`);
});

const stop = async (): Promise<void> => {
  site.close();
  site.closeAllConnections();
  desk.close();
  await exchange.close();
  await relay.close();
};
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
