/**
 * One node of the live mesh: the shared part (identity, membership, connections, reports of routes) and, behind it, what
 * the role does.
 */
import { fromHex } from '../../lib/bytes.js';
import { defaultCrypto } from '../../lib/crypto/index.js';
import type { CryptoProvider } from '../../lib/crypto/interface.js';
import type { Env } from '../../lib/env.js';
import { nodeEnv } from '../../lib/env-node.js';
import { AllowList, Identity, type PeerId } from '../../lib/identity/index.js';
import { createNode, type ForwardVerdict, type Node } from '../../lib/mesh/index.js';
import { explain, type RouteEvent } from '../../lib/route/index.js';
import { type NodeViewServer, serveNodeView } from '../../lib/view/index.js';
import { webSocketTransport } from '../../transports/websocket.js';
import { severable } from './crash.js';
import type { Command, NodeConfig, Report } from './messages.js';
import { DEEDS, type Deed } from './trouble.js';

const ROUTES_INTERVAL_MS = 500;

/** What a role gets to work with. */
export interface Stagehand {
  readonly config: NodeConfig;
  readonly node: Node;
  readonly identity: Identity;
  readonly crypto: CryptoProvider;
  readonly env: Env;
  readonly report: (report: Report) => void;
  readonly nameOf: (peer: PeerId) => string;
  readonly peersOf: (role: NodeConfig['role']) => readonly PeerId[];
}

/** What a role does beyond being a node. */
export interface RolePlay {
  command?(command: Command): Promise<void> | void;
  close(): Promise<void>;
}

export interface RunningNode {
  command(command: Command): Promise<void>;
  /** Cuts every connection without a word and lets go of files. */
  crash(): Promise<void>;
}

/** Starts a node and reports `ready` when it can do its part. */
export async function runNode(config: NodeConfig, report: (report: Report) => void): Promise<RunningNode> {
  const crypto = defaultCrypto();
  const env = nodeEnv();
  const seeds = { identity: fromHex(config.seeds.identity), static: fromHex(config.seeds.static) };
  const identity = new Identity({ crypto, seeds, networkId: config.networkId, now: env.clock.unix() });
  const names = new Map(config.parties.map(({ peer, name }) => [peer as PeerId, name]));
  const nameOf = (peer: PeerId) => names.get(peer) ?? peer;
  const members = config.parties.map(({ peer, operator, role }) => ({
    peer: peer as PeerId,
    operator,
    mayRelay: role === 'relay',
  }));
  const peersOf = (role: NodeConfig['role']) => config.parties.filter(p => p.role === role).map(p => p.peer as PeerId);

  let misdeed: { readonly deed: Deed; readonly since: number } | undefined;
  const onForward = (): ForwardVerdict =>
    misdeed === undefined ? 'forward' : DEEDS[misdeed.deed].verdict(performance.now() - misdeed.since);
  const { transport, sever } = severable(webSocketTransport());
  const node = await createNode({
    ...{ identity, networkId: config.networkId, crypto, env, membership: new AllowList(members) },
    transports: [transport],
    listen: config.role === 'relay' ? ['ws://127.0.0.1:0'] : [],
    peers: config.dial.map(({ peer, address }) => ({ peer: peer as PeerId, address })),
    ...(config.role === 'relay' ? { relay: { onForward } } : {}),
  });

  const path = (route: readonly PeerId[]) => route.map(nameOf).join(' > ');
  const named = (route: readonly PeerId[] | undefined) => (route === undefined ? 'no path' : path(route) || 'direct');
  node.on('route', event => {
    const told = reportOf(event, `${config.name} > ${nameOf(event.flow)}`, named, nameOf);
    if (told !== undefined) report(told);
  });
  const routesTimer = setInterval(() => {
    const paths = node.routes().map(({ flow, route, role, rttMs, quarantined }) => {
      return { to: nameOf(flow), route: path(route), role, rttMs, quarantined };
    });
    report({ kind: 'paths', paths });
  }, ROUTES_INTERVAL_MS);
  let view: NodeViewServer | undefined;
  if (config.role === 'bot') view = await serveNodeView(node, { names: () => Object.fromEntries(names) });

  const hand: Stagehand = { config, node, identity, crypto, env, report, nameOf, peersOf };
  const role = await play(hand);
  report({ kind: 'ready', addresses: node.addresses, ...(view !== undefined && { view: view.url }) });

  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= (async () => {
      clearInterval(routesTimer);
      await view?.close();
      await role.close();
      await node.close();
    })();
    return closed;
  };
  return {
    command: async command => {
      if (command.kind === 'misbehave') misdeed = { deed: command.deed, since: performance.now() };
      else if (command.kind === 'stop') await close();
      else await role.command?.(command);
    },
    crash: async () => {
      sever();
      await close();
    },
  };
}

/** What the stage manager wants to hear of. */
function reportOf(
  event: RouteEvent,
  flow: string,
  named: (route: readonly PeerId[] | undefined) => string,
  nameOf: (peer: PeerId) => string,
): Report | undefined {
  const why = explain(event, nameOf);
  switch (event.kind) {
    case 'switch': {
      // Losing the last path to a peer that died is no reroute: there is nothing to go around.
      if (event.trigger === 'first-path' || event.to === undefined) return undefined;
      const [from, to] = [named(event.from), named(event.to)];
      return { kind: 'route', event: { flow, from, to, trigger: event.trigger, ms: event.ms, why } };
    }
    case 'quarantine':
      return { kind: 'quarantine', flow, route: named(event.from), why };
    case 'suspicion':
    case 'suspicion-cleared': {
      const suspect = (event.suspect ?? []).map(nameOf);
      return { kind: 'suspicion', suspect, cleared: event.kind === 'suspicion-cleared' };
    }
    default:
      return undefined;
  }
}

/** A role is loaded by whoever plays it: a process of a relay has no use for the order core. */
async function play(hand: Stagehand): Promise<RolePlay> {
  switch (hand.config.role) {
    case 'relay':
      return { close: () => Promise.resolve() };
    case 'member':
      return (await import('./member.js')).playMember(hand);
    case 'observer':
      return (await import('./observer.js')).playObserver(hand);
    case 'bot':
      return (await import('./bot.js')).playBot(hand);
    case 'front-runner':
      return (await import('./front-runner.js')).playFrontRunner(hand);
  }
}
