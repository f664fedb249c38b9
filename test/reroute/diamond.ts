/**
 * The diamond: source and destination, which reach each other over relay A or relay B only. Every node is a process of its
 * own, because a signal must hit one of them alone and no event loop may wait for another's work.
 */
import { toHex } from '../../lib/bytes.js';
import { createIdentity, createIdentitySeeds, nodeEnv, type PeerId } from '../../lib/index.js';
import { Child } from './child.js';
import type { NodeAnswers, NodeConfig, NodeEvent, NodeRequest } from './node-process.js';

export const PLACES = ['source', 'a', 'b', 'destination'] as const;
export type Place = (typeof PLACES)[number];
export type RelayName = 'a' | 'b';

const NETWORK_ID = 'diamond';
const START_TIMEOUT_MS = 30_000;
const ENTRY = new URL('./node-process.ts', import.meta.url);

export interface DiamondOptions {
  /** Where a relay listens: `tcp://host:port`, port 0 for any. */
  readonly listenAt: (relay: RelayName) => string;
  /** What its neighbour dials, once it is known where the relay listens. */
  readonly dialAt: (from: 'source' | 'destination', relay: RelayName, bound: string) => Promise<string> | string;
  readonly onRoute: (event: NodeEvent) => void;
  /** The network namespace of a node; by default that of this process. */
  readonly spaceOf?: (place: Place) => string;
}

export class Diamond {
  readonly peers: Readonly<Record<Place, PeerId>>;
  readonly #children: Readonly<Record<Place, Child<NodeRequest>>>;
  readonly #seeds: Readonly<Record<Place, NodeConfig['seeds']>>;

  private constructor({ onRoute, spaceOf }: DiamondOptions) {
    const env = nodeEnv();
    const drawn = PLACES.map(place => {
      const seeds = createIdentitySeeds(n => env.rng.bytes(n));
      const { peer } = createIdentity({ networkId: NETWORK_ID, seeds });
      return { place, peer, seeds: { identity: toHex(seeds.identity), static: toHex(seeds.static) } };
    });
    const by = <T>(pick: (one: (typeof drawn)[number]) => T): Record<Place, T> =>
      Object.fromEntries(drawn.map(one => [one.place, pick(one)])) as Record<Place, T>;
    this.peers = by(one => one.peer);
    this.#seeds = by(one => one.seeds);
    this.#children = by(({ place }) => {
      const onEvent = (event: unknown): void => {
        if (place === 'source') onRoute(event as NodeEvent);
      };
      return new Child<NodeRequest>(`the ${nameOf(place)}`, ENTRY, onEvent, spaceOf?.(place));
    });
  }

  /** Resolves when the session is up over both relays. */
  static async start(options: DiamondOptions): Promise<Diamond> {
    const diamond = new Diamond(options);
    try {
      await diamond.#connect(options);
    } catch (error) {
      await diamond.end();
      throw error;
    }
    return diamond;
  }

  async #connect({ listenAt, dialAt }: DiamondOptions): Promise<void> {
    const { peers } = this;
    const members = PLACES.map(place => ({ peer: peers[place], operator: place, mayRelay: isRelay(place) }));
    const start = (place: Place, listen: string[], dial: NodeConfig['dial']) =>
      this.ask<NodeAnswers['start']>(place, {
        kind: 'start',
        config: {
          ...{ networkId: NETWORK_ID, seeds: this.#seeds[place], members, listen, dial },
          ...(isRelay(place) && { relayTo: peers.destination }),
        },
      });
    const relays = ['a', 'b'] as const;
    const bound = await Promise.all(
      relays.map(async relay => (await start(relay, [listenAt(relay)], [])).addresses[0]),
    );
    await Promise.all(
      (['source', 'destination'] as const).map(async place => {
        const dial = await Promise.all(
          relays.map(async (relay, i) => ({
            peer: peers[relay],
            address: await dialAt(place, relay, bound[i] ?? ''),
          })),
        );
        await start(place, [], dial);
      }),
    );
    const timeoutMs = START_TIMEOUT_MS;
    await this.ask('source', { kind: 'session', peer: peers.destination, routes: 2, timeoutMs }, 2 * timeoutMs);
    await this.ask('destination', { kind: 'receive', peer: peers.source });
  }

  ask<A>(place: Place, request: NodeRequest, timeoutMs?: number): Promise<A> {
    return this.#children[place].ask<A>(request, timeoutMs);
  }

  signal(place: Place, signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    this.#children[place].signal(signal);
  }

  relayOf(peer: string | undefined): RelayName | undefined {
    return peer === this.peers.a ? 'a' : peer === this.peers.b ? 'b' : undefined;
  }

  /** The routes of the source: the relay of the active one, and what was measured on both. */
  async view(): Promise<NodeAnswers['view']> {
    return this.ask('source', { kind: 'view', peer: this.peers.destination });
  }

  /** Everything that was sent has arrived, or the time is up. Returns what arrived. */
  async settle(sent: number, timeoutMs: number): Promise<NodeAnswers['arrivals']> {
    const deadline = performance.now() + timeoutMs;
    while (performance.now() < deadline) {
      const { count } = await this.ask<NodeAnswers['received']>('destination', { kind: 'received' });
      if (count >= sent) break;
      await new Promise(resolve => setTimeout(resolve, 50));
    }
    return this.ask('destination', { kind: 'arrivals' });
  }

  async end(): Promise<void> {
    await Promise.all(Object.values(this.#children).map(child => child.end()));
  }
}

export const isRelay = (place: Place): place is RelayName => place === 'a' || place === 'b';
const nameOf = (place: Place): string => (isRelay(place) ? `relay ${place.toUpperCase()}` : place);
