/** The view of a node over HTTP, and the commands that read it. */
import { createServer, get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { run } from '../../lib/cli/index.js';
import { defaultCrypto } from '../../lib/crypto/index.js';
import type { PeerId } from '../../lib/identity/index.js';
import type { PeerExplanation } from '../../lib/mesh/index.js';
import { type NodeViewServer, nodeView, serveNodeView } from '../../lib/view/index.js';
import { type MeshHost, MeshWorld } from '../support/mesh-world.js';

interface Scene {
  readonly mesh: MeshWorld;
  readonly a: MeshHost;
  readonly b: MeshHost;
  readonly view: NodeViewServer;
  hopfair(...args: string[]): Promise<{ code: number; out: string[]; err: string }>;
}

/** Two relays between two ends; the view is that of the first end. */
async function scene(t: Tap): Promise<Scene> {
  const mesh = new MeshWorld();
  mesh.add('r1', [], { relay: true });
  mesh.add('r2', ['r1'], { relay: true });
  const a = mesh.add('a', ['r1', 'r2']);
  const b = mesh.add('b', ['r1', 'r2']);
  await mesh.run(500);
  a.node.send(b.peer, 'orders', new Uint8Array(8), {});
  await mesh.run(1_500);
  const names = Object.fromEntries(['r1', 'r2', 'b'].map(name => [mesh.host(name).peer, name]));
  const view = await serveNodeView(a.node, { names: () => names });
  t.teardown(() => view.close());
  return { mesh, a, b, view, hopfair: (...args) => hopfair(undefined, ...args) };
}

type Tap = Pick<typeof t, 'teardown'>;

async function hopfair(signal: AbortSignal | undefined, ...args: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const output = { out: (line: string) => void out.push(line), err: (line: string) => void err.push(line) };
  return { code: await run(args, defaultCrypto(), output, signal), out, err: err.join('\n') };
}

/** A request with a host of its own choice. */
function ask(url: string, options: { readonly host?: string; readonly method?: string } = {}) {
  return new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
    const { host, method = 'GET' } = options;
    get(url, { method, headers: host === undefined ? {} : { host } }, response => {
      let body = '';
      response.on('data', part => {
        body += part;
      });
      response.on('end', () => resolve({ status: response.statusCode, body }));
    })
      .on('error', reject)
      .end();
  });
}

function listening(t: Tap, server: Server): Promise<string> {
  t.teardown(() => server.close());
  return new Promise(resolve =>
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)),
  );
}

t.test('explain tells the paths in use, and of each candidate that is not why', async t => {
  const { mesh, a, b } = await scene(t);
  const { paths, candidates, events, session, unreachable } = a.node.explain(b.peer);
  t.equal(session, true);
  t.equal(unreachable, undefined);
  t.same(new Set(paths.map(path => path.role)), new Set(['active', 'standby', 'spare']));
  t.equal(events[0]?.trigger, 'first-path');
  const unused = candidates.filter(candidate => candidate.use === 'unused');
  t.equal(paths.length + unused.length, candidates.length);
  for (const { reason } of unused) t.equal(reason, 'not needed: enough others are set up');
  const active = paths.find(path => path.role === 'active');
  t.ok((active?.loss[0]?.sent ?? 0) > 0, 'what was sent counts in the windows of loss');

  const relay = ['r1', 'r2'].find(name => active?.route[0] === mesh.host(name).peer) as string;
  mesh.host(relay).onForward = () => 'drop';
  for (let i = 0; i < 50; i++) {
    a.node.send(b.peer, 'orders', new Uint8Array(8), {});
    await mesh.run(10);
  }
  const after = a.node.explain(b.peer);
  t.ok(after.events.some(event => event.kind === 'quarantine'));
  const barred = after.paths.find(path => path.route[0] === active?.route[0] && path.route.length === 1);
  t.ok((barred?.barredForMs ?? 0) > 0 && (barred?.misses ?? 0) > 0, 'the path that was left says why');
  t.match(a.node.why(b.peer), /quarantined for \d+ ms/);
  t.match(after.suspects[0]?.peers, [active?.route[0], b.peer], 'and the link that is to blame');
  t.match(a.node.why(b.peer), /suspect +link .*: \d+ lost towards 1 destinations/);
});

t.test('explain says what is missing when nobody leads to a peer', async t => {
  const mesh = new MeshWorld();
  const a = mesh.add('a');
  const b = mesh.add('b');
  const stranger = mesh.add('stranger', [], { outsider: true });
  t.match(a.node.explain(b.peer), { unreachable: 'this node has no channel to anybody', session: false });
  t.match(a.node.explain(stranger.peer), { unreachable: 'it is no member' });
  t.match(a.node.explain(a.peer), { unreachable: 'it is this node' });
  mesh.add('c', ['a']);
  await mesh.run(500);
  t.match(a.node.explain(b.peer).unreachable, /was not heard/);
});

t.test('the view answers with what the node says, and nothing else', async t => {
  const { a, b, view } = await scene(t);
  const answers = await Promise.all(
    ['/peers', '/routes', `/why/${b.peer}`].map(async path => JSON.parse((await ask(view.url + path)).body)),
  );
  t.match(answers[0], { view: 1, kind: 'peers', node: a.peer, peers: JSON.parse(JSON.stringify(a.node.peers())) });
  t.match(answers[1], { kind: 'routes', routes: JSON.parse(JSON.stringify(a.node.routes())) });
  const why: PeerExplanation = answers[2].why;
  t.same(why, JSON.parse(JSON.stringify(a.node.explain(b.peer))));
  for (const path of ['/', '/peers/x', '/why/a/b', '/stop']) t.equal((await ask(view.url + path)).status, 404, path);
  t.equal((await ask(`${view.url}/why/hf1nobody`)).status, 400);
  t.equal((await ask(`${view.url}/peers`, { method: 'POST' })).status, 405);
  t.equal((await ask(`${view.url}/why/${'x'.repeat(600)}`)).status, 414);
});

t.test('a name of the web that leads to this host is refused', async t => {
  const { view } = await scene(t);
  const { port } = new URL(view.url);
  t.equal((await ask(`${view.url}/peers`, { host: `evil.example:${port}` })).status, 421);
  t.equal((await ask(`${view.url}/peers`, { host: `localhost:${port}` })).status, 200);
});

t.test('mounted under a prefix it leaves every other request to the application', async t => {
  const { a, hopfair } = await scene(t);
  const view = nodeView(a.node, { prefix: '/mesh' });
  const url = await listening(
    t,
    createServer((request, response) => {
      if (!view(request, response)) response.end('mine');
    }),
  );
  t.equal((await ask(`${url}/peers`)).body, 'mine');
  t.equal((await ask(`${url}/meshes`)).body, 'mine');
  t.match(await hopfair('peers', '--url', `${url}/mesh/`), { code: 0 });
});

t.test('peers and routes are tables with the names that the application gave', async t => {
  const { view, hopfair } = await scene(t);
  const peers = (await hopfair('peers', '--url', view.url)).out.join('\n').split('\n');
  t.match(peers[0], /^peer +role +channel +session/);
  t.ok(peers.some(line => /^r1 +relay +\d+\.\d ms/.test(line)));
  t.ok(peers.some(line => /^b +up$/.test(line)));
  const routes = (await hopfair('routes', '--url', view.url)).out.join('\n').split('\n');
  t.match(routes[1], /^b +active +r[12] +\d+\.\d +\d+\.\d/);
  t.match(routes[2], /^ +standby +r[12] /);
});

t.test('why takes a name, a peer id or the beginning of one', async t => {
  const { a, b, view, hopfair } = await scene(t);
  const byName = await hopfair('why', 'b', '--url', view.url);
  t.equal(byName.code, 0);
  t.match(byName.out[0], /^b: session up\nactive +r[12]: RTT/);
  t.match(byName.out[0], /s ago: switch no path -> r[12]/);
  const byId = await hopfair('why', b.peer.slice(0, 14), '--url', view.url, '--json');
  t.match(JSON.parse(byId.out[0] ?? ''), { kind: 'why', why: { peer: b.peer, session: true } });
  const several = await hopfair('why', 'hf1', '--url', view.url);
  t.equal(several.code, 2);
  t.match(several.err, /may be each of 3 peers.*hopfair peers --url/);
  t.match((await hopfair('why', 'carol', '--url', view.url)).err, /is nobody that the node knows/);
  t.not(a.peer, b.peer);
});

t.test('what does not answer as a view is said, with what to do next', async t => {
  const closed = createServer();
  const nobody = await listening(t, closed);
  await new Promise(resolve => closed.close(resolve));
  const refused = await hopfair(undefined, 'peers', '--url', nobody);
  t.equal(refused.code, 2);
  t.match(refused.err, /no node shows its view at .*ECONNREFUSED.*\(DIAL_FAILED\)\nStart the node with serveNodeView/s);

  const answers: readonly [string, RegExp][] = [
    ['<html>', /its answer is no JSON/],
    ['{"view":2}', /is not the view of a node/],
    ['{"view":1,"kind":"routes"}', /answered with "routes"/],
  ];
  for (const [body, expected] of answers) {
    const url = await listening(
      t,
      createServer((_, response) => void response.end(body)),
    );
    const { code, err } = await hopfair(undefined, 'peers', '--url', url);
    t.equal(code, 2);
    t.match(err, expected);
  }
  t.match((await hopfair(undefined, 'peers', '--url', 'node:7070')).err, /is no URL of a view/);
});

t.test('names from elsewhere cannot move the cursor of a terminal', async t => {
  const { a, hopfair } = await scene(t);
  const [relay] = a.node.peers().map(({ peer }) => peer) as [PeerId];
  const names = () => ({ [relay]: 'friend\x1b[2Jly\u202e' });
  const view = await serveNodeView(a.node, { names });
  t.teardown(() => view.close());
  const { out } = await hopfair('peers', '--url', view.url);
  t.match(out.join(''), /friend\?\[2Jly\?/);
});

t.test('watching asks again until it is interrupted', async t => {
  const { view } = await scene(t);
  const interrupt = new AbortController();
  const seen: string[] = [];
  const output = {
    out: (line: string) => {
      seen.push(line);
      if (seen.length === 3) interrupt.abort();
    },
    err: (line: string) => t.fail(line),
  };
  const args = ['routes', '--url', view.url, '--watch', '0.1', '--json'];
  t.equal(await run(args, defaultCrypto(), output, interrupt.signal), 0);
  t.equal(seen.length, 3);
  for (const line of seen) t.match(JSON.parse(line), { kind: 'routes' });
});
