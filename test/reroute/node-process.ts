/**
 * One node of the diamond as a process of its own: the shipping node over TCP, and an application that sends numbered
 * messages, checks them, relays, or is a hostile operator by what `relay.onForward` allows.
 */
import { fromHex } from '../../lib/bytes.js';
import {
  AllowList,
  createIdentity,
  createNode,
  type DeliveryClass,
  explain,
  type PeerId,
  type RouteEvent,
  type RouteSnapshot,
  type Session,
} from '../../lib/index.js';
import { MeshNode } from '../../lib/mesh/index.js';
import { tcpTransport } from '../../transports/tcp.js';
import { monotonicMs } from './clock.js';
import { type Arrivals, Ledger, MESSAGE_BYTES, numbered } from './numbered.js';
import { type Behaviour, type Forwarded, Operator } from './operator.js';
import { answerRequests, tellParent } from './request.js';

export interface NodeConfig {
  readonly networkId: string;
  readonly seeds: { readonly identity: string; readonly static: string };
  readonly members: readonly { readonly peer: PeerId; readonly operator: string; readonly mayRelay: boolean }[];
  /** Empty for a node that only dials. */
  readonly listen: readonly string[];
  readonly dial: readonly { readonly peer: PeerId; readonly address: string }[];
  /** For a relay: frames to this peer are data, those from it are receipts. */
  readonly relayTo?: PeerId;
}

/** `mixed`: critical and normal in turn. */
export type TrafficClass = DeliveryClass | 'mixed';

export type NodeRequest =
  | { readonly kind: 'start'; readonly config: NodeConfig }
  /** Answers when a session with the peer is up, over `routes` routes. */
  | { readonly kind: 'session'; readonly peer: PeerId; readonly routes: number; readonly timeoutMs: number }
  | { readonly kind: 'receive'; readonly peer: PeerId }
  | { readonly kind: 'send'; readonly peer: PeerId; readonly ratePerSecond: number; readonly class: TrafficClass }
  | { readonly kind: 'sent' }
  | { readonly kind: 'stop-sending' }
  | { readonly kind: 'received' }
  | { readonly kind: 'arrivals' }
  | { readonly kind: 'view'; readonly peer: PeerId }
  | { readonly kind: 'counters'; readonly peer: PeerId }
  | { readonly kind: 'behave'; readonly behaviour: Behaviour }
  | { readonly kind: 'forwarded' }
  /** The application keeps its event loop busy for that long, every so often. */
  | { readonly kind: 'stall'; readonly fromMs: number; readonly toMs: number; readonly everyMs: number };

export interface Sent {
  readonly count: number;
  /** When each message was handed over. */
  readonly atMs: readonly number[];
  /** The relay of the active path at that moment; empty without one. */
  readonly via: readonly string[];
}

/** What a node counted since its start. */
export interface Counters {
  /** Packets that carry messages to the peer: those that are the only one, and those that are one more. */
  readonly firstPackets: number;
  readonly copiedPackets: number;
  /** Frames about links and paths, of the neighbour with most of them, both directions. */
  readonly controlBytes: number;
}

export interface NodeAnswers {
  readonly start: { readonly addresses: readonly string[] };
  readonly sent: Sent;
  readonly 'stop-sending': Sent;
  readonly received: { readonly count: number };
  readonly arrivals: Arrivals;
  readonly view: {
    readonly routes: readonly RouteSnapshot[];
    readonly cheapest: PeerId | undefined;
    readonly why: string;
  };
  readonly counters: Counters;
  readonly behave: { readonly atMs: number };
  readonly forwarded: Forwarded;
}

/** What a node tells unasked. */
export interface NodeEvent {
  readonly kind: 'route';
  readonly event: RouteEvent;
  readonly text: string;
  readonly atMs: number;
}

const operator = new Operator();
const ledger = new Ledger();
let node: MeshNode | undefined;
let traffic: Traffic | undefined;

async function start({ networkId, seeds, members, listen, dial, relayTo }: NodeConfig): Promise<MeshNode> {
  operator.destination = relayTo;
  const made = await createNode({
    identity: createIdentity({
      networkId,
      seeds: { identity: fromHex(seeds.identity), static: fromHex(seeds.static) },
    }),
    networkId,
    transports: [tcpTransport()],
    membership: new AllowList(members),
    listen,
    peers: dial,
    relay: relayTo === undefined ? false : { onForward: frame => operator.onForward(frame) },
  });
  if (!(made instanceof MeshNode)) throw new Error('a node that has counters was expected');
  made.on('route', event => {
    const told: NodeEvent = { kind: 'route', event, text: explain(event), atMs: monotonicMs() };
    tellParent(told);
  });
  return made;
}

/** Sends at a steady rate: what a late timer missed is sent at once, so that the rate is kept on a busy machine. */
class Traffic {
  readonly #atMs: number[] = [];
  readonly #via: string[] = [];
  readonly #begunMs = monotonicMs();
  readonly #intervalMs: number;
  readonly #peer: PeerId;
  readonly #session: Session;
  readonly #class: TrafficClass;
  #timer: NodeJS.Timeout;
  #underWay: Promise<void> = Promise.resolve();

  constructor(session: Session, ratePerSecond: number, trafficClass: TrafficClass) {
    this.#session = session;
    this.#peer = session.peer;
    this.#intervalMs = 1_000 / ratePerSecond;
    this.#class = trafficClass;
    this.#timer = setTimeout(this.#turn, 0);
  }

  readonly #turn = (): void => {
    const due = Math.floor((monotonicMs() - this.#begunMs) / this.#intervalMs) + 1;
    while (this.#atMs.length < due) {
      const message = numbered(this.#atMs.length, MESSAGE_BYTES);
      this.#atMs.push(monotonicMs());
      const active = node?.routes().find(route => route.role === 'active' && route.flow === this.#peer);
      this.#via.push(active?.route[0] ?? '');
      this.#underWay = this.#session.send(message, { class: this.#classOf(this.#atMs.length) });
    }
    const nextMs = this.#begunMs + due * this.#intervalMs - monotonicMs();
    this.#timer = setTimeout(this.#turn, Math.max(0, nextMs));
  };

  #classOf(number: number): DeliveryClass {
    if (this.#class !== 'mixed') return this.#class;
    return number % 2 === 0 ? 'critical' : 'normal';
  }

  get sent(): Sent {
    return { count: this.#atMs.length, atMs: this.#atMs, via: this.#via };
  }

  async stop(): Promise<Sent> {
    clearTimeout(this.#timer);
    await this.#underWay;
    return this.sent;
  }
}

async function receive(session: Session): Promise<void> {
  for await (const message of session.messages()) ledger.take(message, monotonicMs());
}

function countersOf(counted: MeshNode, peer: PeerId): Counters {
  const { sessions, neighbours } = counted.diagnostics();
  const { first, duplicate, hedge, retransmission } = sessions.get(peer) ?? {};
  const copies = [duplicate, hedge, retransmission];
  return {
    firstPackets: first?.packets ?? 0,
    copiedPackets: copies.reduce((sum, copy) => sum + (copy?.packets ?? 0), 0),
    controlBytes: [...neighbours.values()].reduce(
      (most, { controlSentBytes, controlReceivedBytes }) => Math.max(most, controlSentBytes + controlReceivedBytes),
      0,
    ),
  };
}

async function untilRoutes(started: MeshNode, peer: PeerId, routes: number, timeoutMs: number): Promise<void> {
  await started.session(peer, { timeoutMs });
  const deadline = monotonicMs() + timeoutMs;
  const paths = (): number => started.routes().filter(route => route.flow === peer).length;
  while (paths() < routes) {
    if (monotonicMs() > deadline) throw new Error(`${paths()} of ${routes} routes within ${timeoutMs} ms`);
    await new Promise(resolve => setTimeout(resolve, 10));
  }
}

function stallEvery(fromMs: number, toMs: number, everyMs: number): void {
  const stall = (): void => {
    const until = monotonicMs() + fromMs + Math.random() * (toMs - fromMs);
    while (monotonicMs() < until); // what an application does that computes for too long
  };
  setTimeout(() => {
    stall();
    setInterval(stall, everyMs);
  }, Math.random() * everyMs);
}

answerRequests<NodeRequest>(async request => {
  if (request.kind === 'start') {
    node = await start(request.config);
    return { addresses: node.addresses } satisfies NodeAnswers['start'];
  }
  if (node === undefined) throw new Error('the node was not started');
  switch (request.kind) {
    case 'session':
      return untilRoutes(node, request.peer, request.routes, request.timeoutMs);
    case 'receive':
      void receive(await node.session(request.peer));
      return null;
    case 'send':
      traffic = new Traffic(await node.session(request.peer), request.ratePerSecond, request.class);
      return null;
    case 'sent':
      return traffic?.sent;
    case 'stop-sending':
      return traffic?.stop();
    case 'received':
      return { count: ledger.received } satisfies NodeAnswers['received'];
    case 'arrivals':
      return ledger.arrivals satisfies NodeAnswers['arrivals'];
    case 'view': {
      const routes = node.routes().filter(route => route.flow === request.peer);
      const [cheapest] = node.explain(request.peer).candidates;
      return { routes, cheapest: cheapest?.route[0], why: node.why(request.peer) } satisfies NodeAnswers['view'];
    }
    case 'counters':
      return countersOf(node, request.peer);
    case 'behave':
      return operator.behave(request.behaviour) satisfies NodeAnswers['behave'];
    case 'forwarded':
      return operator.forwarded satisfies NodeAnswers['forwarded'];
    case 'stall':
      stallEvery(request.fromMs, request.toMs, request.everyMs);
      return null;
  }
});
