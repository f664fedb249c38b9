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
import { webSocketTransport } from '../../transports/websocket.js';
import { playBot } from './bot.js';
import { severable } from './crash.js';
import { playFrontRunner } from './front-runner.js';
import { playMember } from './member.js';
import type { Command, NodeConfig, Report } from './messages.js';
import { playObserver } from './observer.js';

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

  let hostile = false;
  const onForward = (): ForwardVerdict => (hostile ? 'drop' : 'forward');
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
    // Losing the last path to a peer that died is no reroute: there is nothing to go around.
    if (event.kind !== 'switch' || event.trigger === 'first-path' || event.to === undefined) return;
    const flow = `${config.name} > ${nameOf(event.flow)}`;
    report({
      kind: 'route',
      event: { flow, from: named(event.from), to: named(event.to), trigger: event.trigger, ms: event.ms },
    });
  });
  const routesTimer = setInterval(() => {
    const active = node.routes().filter(route => route.role === 'active');
    const routes = active.map(({ flow, route, rttMs }) => ({ to: nameOf(flow), route: path(route), rttMs }));
    report({ kind: 'active-routes', routes });
  }, ROUTES_INTERVAL_MS);

  const hand: Stagehand = { config, node, identity, crypto, env, report, nameOf, peersOf };
  const role = await play(hand);
  report({ kind: 'ready', addresses: node.addresses });

  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= (async () => {
      clearInterval(routesTimer);
      await role.close();
      await node.close();
    })();
    return closed;
  };
  return {
    command: async command => {
      if (command.kind === 'turn-hostile') hostile = true;
      else if (command.kind === 'turn-honest') hostile = false;
      else if (command.kind === 'stop') await close();
      else await role.command?.(command);
    },
    crash: async () => {
      sever();
      await close();
    },
  };
}

function play(hand: Stagehand): Promise<RolePlay> {
  switch (hand.config.role) {
    case 'relay':
      return Promise.resolve({ close: () => Promise.resolve() });
    case 'member':
      return playMember(hand);
    case 'observer':
      return playObserver(hand);
    case 'bot':
      return playBot(hand);
    case 'front-runner':
      return playFrontRunner(hand);
  }
}
