/** `hopfair peers`, `hopfair routes` and `hopfair why`: what a running node knows, from its view. */
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { type ConnectionSnapshot, explanationText, type PeerSnapshot, type RouteSnapshot } from '../mesh/index.js';
import { describeRoute } from '../route/index.js';
import type { PeersAnswer, RoutesAnswer, ViewAnswer } from '../view/index.js';
import { EXIT, type ExitCode } from './exit-code.js';
import { columns, type Output, printable } from './output.js';
import { askView } from './view-client.js';

export interface MeshOptions {
  readonly url: string;
  readonly json: boolean;
  /** Ask again and again, with this many seconds between; undefined: once. */
  readonly watchSeconds: number | undefined;
  /** Ends watching. */
  readonly signal: AbortSignal | undefined;
}

export function showPeers(options: MeshOptions, output: Output): Promise<ExitCode> {
  return show<PeersAnswer>(options, output, signal => askView(options.url, 'peers', undefined, signal), peersText);
}

export function showRoutes(options: MeshOptions, output: Output): Promise<ExitCode> {
  return show<RoutesAnswer>(options, output, signal => askView(options.url, 'routes', undefined, signal), routesText);
}

/** `who` is a peer id, the beginning of one, or a name. Throws INVALID_ARGUMENT when it means nobody or several. */
export async function showWhy(who: string, options: MeshOptions, output: Output): Promise<ExitCode> {
  const { peers, names } = await askView(options.url, 'peers', undefined, options.signal);
  const peer = peerCalled(
    who,
    peers.map(one => one.peer),
    names,
    options.url,
  );
  return show(
    options,
    output,
    signal => askView(options.url, 'why', peer, signal),
    ({ why, names }) => `${nameIn(names)(why.peer)}: ${explanationText(why, nameIn(names))}`,
  );
}

async function show<A extends ViewAnswer>(
  { json, watchSeconds, signal }: MeshOptions,
  output: Output,
  ask: (signal: AbortSignal | undefined) => Promise<A>,
  text: (answer: A) => string,
): Promise<ExitCode> {
  for (;;) {
    const answer = await ask(signal);
    if (watchSeconds !== undefined && !json) output.clear?.();
    output.out(json ? JSON.stringify(answer) : printable(text(answer)));
    if (watchSeconds === undefined || !(await pause(watchSeconds * 1_000, signal))) return EXIT.ok;
  }
}

/** False when the signal came first. */
function pause(ms: number, signal: AbortSignal | undefined): Promise<boolean> {
  return new Promise(resolve => {
    const end = (): void => {
      clearTimeout(timer);
      resolve(false);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', end);
      resolve(true);
    }, ms);
    if (signal?.aborted) end();
    else signal?.addEventListener('abort', end, { once: true });
  });
}

type Names = Readonly<Record<string, string>>;

/** Long enough to tell peers apart, short enough for a table; `why` takes it back. */
const SHORT_ID = 12;

const nameIn =
  (names: Names) =>
  (peer: PeerId): string =>
    Object.hasOwn(names, peer) ? (names[peer] ?? peer) : peer.slice(0, SHORT_ID);

function peerCalled(who: string, peers: readonly PeerId[], names: Names, url: string): PeerId {
  const known = [...new Set([...peers, ...(Object.keys(names) as PeerId[])])];
  const found = known.filter(peer => names[peer] === who || peer === who);
  if (found.length === 0) found.push(...known.filter(peer => peer.startsWith(who)));
  const [one] = found;
  if (one !== undefined && found.length === 1) return one;
  const what = one === undefined ? 'is nobody that the node knows' : `may be each of ${found.length} peers`;
  throw new HopfairError('INVALID_ARGUMENT', `"${who}" ${what}: "hopfair peers --url ${url}" lists them`);
}

function peersText({ peers, names }: { readonly peers: readonly PeerSnapshot[]; readonly names: Names }): string {
  if (peers.length === 0) return 'The node knows nobody: has it addresses to dial, and is anything there?';
  const name = nameIn(names);
  const rows = peers.map(({ peer, relay, connected, rttMs, session, operator, region, connection }) => [
    name(peer),
    relay ? 'relay' : '',
    connected ? `${rttMs === undefined ? '?' : rttMs.toFixed(1)} ms` : '',
    session ? 'up' : '',
    operator ?? '',
    region ?? '',
    connection === undefined || connection.state === 'connected' ? '' : connectionText(connection),
  ]);
  return columns(['peer', 'role', 'channel', 'session', 'operator', 'region', 'dialling'], rows);
}

function connectionText({ address, state, failures, cause }: ConnectionSnapshot): string {
  const why = cause === undefined ? '' : `: ${cause.message} (${cause.code}), ${failures} tries`;
  return `${address} ${state}${why}`;
}

/** The active route of each flow first, then what stands by. */
function routesText({ routes, names }: { readonly routes: readonly RouteSnapshot[]; readonly names: Names }): string {
  if (routes.length === 0) return 'The node has no session: nothing was sent to anybody, or nobody was reached yet.';
  const name = nameIn(names);
  const order: readonly RouteSnapshot['role'][] = ['active', 'standby', 'spare'];
  const sorted = [...routes].sort(
    (a, b) => name(a.flow).localeCompare(name(b.flow)) || order.indexOf(a.role) - order.indexOf(b.role),
  );
  const rows = sorted.map(({ flow, role, route, rttMs, ptoMs, inFlightBytes, quarantined }, i) => [
    sorted[i - 1]?.flow === flow ? '' : name(flow),
    role,
    describeRoute(route, name),
    rttMs.toFixed(1),
    ptoMs.toFixed(1),
    String(inFlightBytes),
    quarantined ? 'quarantined' : '',
  ]);
  return columns(['to', 'role', 'route', 'RTT ms', 'PTO ms', 'in flight', ''], rows);
}
