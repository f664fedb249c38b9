/**
 * A thousand nodes as far as routes go: the shipping `LinkStateFlood`, database and planner of each, with frames that are
 * encoded and decoded as on a channel. Channels, sessions and their cryptography are left out: a thin layer delivers frames
 * in order after half of a round-trip time, and tells both ends when a channel comes or goes.
 */
import type { Cancel } from '../../../lib/env.js';
import { unixMs } from '../../../lib/env.js';
import { Identity } from '../../../lib/identity/identity.js';
import { AllowList } from '../../../lib/identity/membership.js';
import type { PeerId } from '../../../lib/identity/peer-id.js';
import { LinkStateFlood } from '../../../lib/mesh/link-state-flood.js';
import { type HeldLinkState, LinkStateDatabase, RoutePlanner } from '../../../lib/route/index.js';
import { fakeCrypto, SIMULATED_START_UNIX_MS, type SimProcess, SimWorld } from '../../../lib/sim/index.js';
import {
  decodeNeighbourFrame,
  type Edge,
  encodeNeighbourFrame,
  MAX_NAMES,
  type NeighbourFrame,
} from '../../../lib/wire/index.js';
import type { Topology } from './topology.js';

/** Header and tag of a record, header of a message: what a frame costs beyond its bytes when it travels alone. */
const OVERHEAD_BYTES = 32;
const NETWORK_ID = 'simulation';
/** By then a node has signed a list of its first edges, and announced it. */
const SIGNING_MS = 50;

export interface Link {
  readonly ends: readonly [OverlayNode, OverlayNode];
  readonly usualRttMs: number;
  rttMs: number;
  up: boolean;
  /** When the last frame to each end arrives: none overtakes another. */
  readonly lastAtMs: [number, number];
}

export class OverlayNode {
  readonly peer: PeerId;
  readonly index: number;
  readonly links: Map<PeerId, Link> = new Map();
  sentBytes = 0;
  receivedBytes = 0;
  process: SimProcess | undefined;
  graph!: LinkStateDatabase;
  planner!: RoutePlanner;
  readonly #identity: Identity;
  readonly #membership: AllowList;
  #flood: LinkStateFlood | undefined;

  constructor(index: number, identity: Identity, membership: AllowList) {
    this.index = index;
    this.peer = identity.peer;
    this.#identity = identity;
    this.#membership = membership;
  }

  get running(): boolean {
    return this.process !== undefined;
  }

  start(process: SimProcess, send: (from: OverlayNode, link: Link, frame: Uint8Array) => void): void {
    const membership = this.#membership;
    this.process = process;
    this.graph = new LinkStateDatabase({ floorMs: () => membership.edgeFloorMs() });
    this.planner = new RoutePlanner(this.graph, {
      source: this.peer,
      mayRelay: peer => this.graph.get(peer)?.relay === true && membership.labels(peer).mayRelay,
      operatorOf: peer => membership.labels(peer).operator,
      regionOf: peer => membership.labels(peer).region,
    });
    const context = {
      self: this.peer,
      env: process.env,
      crypto: fakeCrypto(),
      identity: this.#identity,
      networkId: NETWORK_ID,
      membership,
      relay: {},
      store: undefined,
    };
    this.#flood = new LinkStateFlood(context, this.graph, {
      neighbours: () => [...this.#channels()].map(([peer]) => peer),
      edges: () => this.#edges(),
      send: (neighbour, frame: NeighbourFrame) => {
        const link = this.links.get(neighbour);
        if (link?.up) send(this, link, encodeNeighbourFrame(frame));
      },
      onChange: () => undefined,
    });
  }

  stop(): void {
    this.#flood?.close();
    this.#flood = undefined;
    this.process = undefined;
  }

  *#channels(): Generator<[PeerId, Link]> {
    for (const [peer, link] of this.links) if (link.up) yield [peer, link];
  }

  #edges(): Edge[] {
    return [...this.#channels()].map(([peer, { rttMs }]) => ({ peer, costMs: rttMs / 2 }));
  }

  receive(from: PeerId, bytes: Uint8Array): void {
    this.receivedBytes += bytes.length + OVERHEAD_BYTES;
    const frame = decodeNeighbourFrame(bytes);
    if (frame.kind === 'link-announce' || frame.kind === 'link-pull' || frame.kind === 'link-state') {
      this.#flood?.onFrame(from, frame);
    }
  }

  edgesChanged(): void {
    this.#flood?.edgesChanged();
  }

  /** Takes these lists from its first neighbour, who is asked for each. */
  learn(lists: readonly HeldLinkState[]): void {
    const [neighbour] = this.links.keys();
    if (neighbour === undefined) return;
    for (let at = 0; at < lists.length; at += MAX_NAMES) {
      const some = lists.slice(at, at + MAX_NAMES);
      this.#flood?.onFrame(neighbour, { kind: 'link-announce', names: some });
      for (const { body, signature } of some) this.#flood?.onFrame(neighbour, { kind: 'link-state', body, signature });
    }
  }

  channelUp(peer: PeerId): void {
    this.#flood?.neighbourUp(peer);
  }

  channelDown(peer: PeerId): void {
    this.#flood?.neighbourDown(peer);
  }
}

export class GraphOverlay {
  readonly world: SimWorld;
  readonly nodes: readonly OverlayNode[];
  readonly links: readonly Link[];
  #muted = false;

  constructor(seed: number, topology: Topology, rttMs: (a: number, b: number) => number) {
    this.world = new SimWorld({ seed });
    const membership = new AllowList();
    this.nodes = Array.from({ length: topology.nodes }, (_, index) => {
      const rng = this.world.rng.fork(`identity/${index}`);
      const seeds = { identity: rng.bytes(32), static: rng.bytes(32) };
      const now = unixMs(SIMULATED_START_UNIX_MS);
      const identity = new Identity({ crypto: fakeCrypto(), seeds, networkId: NETWORK_ID, now });
      const place = topology.places[index];
      membership.allow({ peer: identity.peer, operator: `operator ${index % 50}`, region: `region ${place}` });
      this.world.addMachine(`node-${index}`);
      return new OverlayNode(index, identity, membership);
    });
    this.links = topology.links.map(([i, j]) => {
      const [a, b] = [this.nodes[i] as OverlayNode, this.nodes[j] as OverlayNode];
      const usualRttMs = rttMs(topology.places[i] as number, topology.places[j] as number);
      const link: Link = { ends: [a, b], usualRttMs, rttMs: usualRttMs, up: false, lastAtMs: [0, 0] };
      a.links.set(b.peer, link);
      b.links.set(a.peer, link);
      return link;
    });
  }

  /**
   * Everybody runs, all channels are up, and everybody holds the list of everybody: what is measured is not how a thousand
   * nodes come to know each other at once. The lists are handed over as if one neighbour had been asked for all of them.
   */
  startAll(): void {
    this.#muted = true;
    for (const link of this.links) link.up = true;
    for (const node of this.nodes) this.#run(node);
    for (const node of this.nodes) node.edgesChanged();
    this.world.scheduler.runFor(SIGNING_MS);
    const lists = this.nodes.flatMap(node => node.graph.get(node.peer) ?? []);
    for (const node of this.nodes) node.learn(lists);
    this.world.scheduler.runFor(SIGNING_MS); // what they announce now is known to everybody
    this.#muted = false;
  }

  /** The node starts; its channels to whoever runs come up after a handshake. */
  start(node: OverlayNode): void {
    this.#run(node);
    for (const link of node.links.values()) this.world.scheduler.after(2 * link.rttMs, () => this.#connect(link));
  }

  #run(node: OverlayNode): void {
    const deliver = (from: OverlayNode, link: Link, frame: Uint8Array): void => this.#deliver(from, link, frame);
    this.world.machine(`node-${node.index}`)?.start(process => node.start(process, deliver));
  }

  #connect(link: Link): void {
    const [a, b] = link.ends;
    if (link.up || !a.running || !b.running) return;
    link.up = true;
    a.channelUp(b.peer);
    b.channelUp(a.peer);
  }

  /** The process dies; its neighbours see their connections end, half a round-trip time later. */
  kill(node: OverlayNode): void {
    node.stop();
    this.world.machine(`node-${node.index}`)?.stop();
    for (const [peer, link] of node.links) {
      if (!link.up) continue;
      link.up = false;
      const other = link.ends[0].peer === peer ? link.ends[0] : link.ends[1];
      this.world.scheduler.after(link.rttMs / 2, () => other.process?.enter(() => other.channelDown(node.peer)));
    }
  }

  #deliver(from: OverlayNode, link: Link, frame: Uint8Array): void {
    if (this.#muted) return;
    from.sentBytes += frame.length + OVERHEAD_BYTES;
    const side = link.ends[0] === from ? 1 : 0;
    const to = link.ends[side];
    const { process } = to;
    const { scheduler } = this.world;
    const atMs = Math.max(scheduler.nowMs + link.rttMs / 2, link.lastAtMs[side]);
    link.lastAtMs[side] = atMs;
    scheduler.at(atMs, () => {
      if (link.up && to.process === process) process?.enter(() => to.receive(from.peer, frame));
    });
  }

  /** Calls `act` every so often; returns how to stop. */
  every(ms: number, act: () => void): Cancel {
    let stopped = false;
    const again = (): void => {
      if (stopped) return;
      act();
      this.world.scheduler.after(ms, again);
    };
    again();
    return () => {
      stopped = true;
    };
  }
}
