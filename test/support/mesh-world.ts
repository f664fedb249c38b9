/** Mesh nodes on simulated machines: the shipping shells over the virtual network, in virtual time. */
import { type Channel, type ChannelHandler, openChannel } from '../../lib/channel/index.js';
import { type CryptoProvider, nobleCrypto } from '../../lib/crypto/index.js';
import { type Logger, type UnixMs, unixMs } from '../../lib/env.js';
import type { PeerId } from '../../lib/identity/index.js';
import { AllowList, Identity } from '../../lib/identity/index.js';
import { LIMITS } from '../../lib/limits.js';
import {
  type ForwardedFrame,
  type ForwardVerdict,
  MeshNode,
  type NodeOptions,
  type PeerEvent,
} from '../../lib/mesh/index.js';
import type { RouteEvent } from '../../lib/route/index.js';
import { fakeCrypto, type LinkConditions, SimTransportNetwork, SimWorld } from '../../lib/sim/index.js';

export interface MeshHost {
  readonly name: string;
  readonly peer: PeerId;
  node: MeshNode;
  /** For relays: decides about each frame that passes. */
  onForward: (frame: ForwardedFrame) => ForwardVerdict;
  readonly routeEvents: RouteEvent[];
  readonly peerEvents: PeerEvent[];
  /** Runs on every start of the node, before anything arrives. */
  onStart: (node: MeshNode) => void;
}

export interface MeshWorldOptions {
  readonly seed?: string | number;
  readonly link?: Partial<LinkConditions>;
  /** The real primitives instead of the fake ones that only detect tampering. */
  readonly realCrypto?: boolean;
  /** For every node. */
  readonly node?: Partial<NodeOptions>;
  /** For one node, asked at each of its starts. */
  readonly nodeOf?: (name: string) => Partial<NodeOptions>;
  readonly logger?: (machine: string) => Logger;
}

const NETWORK = 'test';
const IGNORING: ChannelHandler = { onMessage: () => undefined, onDrain: () => undefined, onClose: () => undefined };

export class MeshWorld {
  readonly world: SimWorld;
  readonly membership: AllowList = new AllowList();
  readonly crypto: CryptoProvider;
  readonly #transports: SimTransportNetwork;
  readonly #hosts = new Map<string, MeshHost & { seeds: { identity: Uint8Array; static: Uint8Array } }>();
  readonly #dials: Map<string, readonly string[]> = new Map();
  readonly #relays = new Set<string>();
  readonly #nodeOptions: Partial<NodeOptions>;
  readonly #nodeOf: (name: string) => Partial<NodeOptions>;
  #rawChannels = 0;

  constructor(options: MeshWorldOptions = {}) {
    this.world = new SimWorld({
      seed: options.seed ?? 1,
      ...(options.link && { link: options.link }),
      ...(options.logger && { logger: options.logger }),
    });
    this.crypto = options.realCrypto ? nobleCrypto() : fakeCrypto();
    this.#nodeOptions = options.node ?? {};
    this.#nodeOf = options.nodeOf ?? (() => ({}));
    this.#transports = new SimTransportNetwork(this.world);
  }

  /** Adds a node that dials these others, and starts it. */
  add(name: string, dials: readonly string[] = [], options: { relay?: boolean; outsider?: boolean } = {}): MeshHost {
    const rng = this.world.rng.fork(`identity/${name}`);
    const seeds = { identity: rng.bytes(32), static: rng.bytes(32) };
    const { peer } = new Identity({ crypto: this.crypto, seeds, networkId: NETWORK, now: unixMs(0) });
    if (!options.outsider) this.membership.allow({ peer });
    const host = {
      name,
      peer,
      seeds,
      node: undefined as unknown as MeshNode,
      onForward: (): ForwardVerdict => 'forward',
      routeEvents: [],
      peerEvents: [],
      onStart: (): void => undefined,
    } satisfies MeshHost & { seeds: unknown };
    this.#hosts.set(name, host);
    this.#dials.set(name, dials);
    if (options.relay) this.#relays.add(name);
    this.world.addMachine(name);
    this.start(name);
    return host;
  }

  host(name: string): MeshHost {
    const host = this.#hosts.get(name);
    if (host === undefined) throw new Error(`no host ${name}`);
    return host;
  }

  start(name: string): void {
    const host = this.#hosts.get(name);
    const machine = this.world.machine(name);
    if (host === undefined || machine === undefined) throw new Error(`no host ${name}`);
    machine.start(process => {
      const identity = new Identity({
        crypto: this.crypto,
        seeds: host.seeds,
        networkId: NETWORK,
        now: process.env.clock.unix(),
      });
      const node = new MeshNode({
        identity,
        networkId: NETWORK,
        membership: this.membership,
        transports: [this.#transports.transport(process)],
        env: process.env,
        crypto: this.crypto,
        postQuantum: 'off',
        ...this.#nodeOptions,
        ...this.#nodeOf(name),
        relay: this.#relays.has(name) && { onForward: frame => host.onForward(frame) },
      });
      host.node = node;
      node.on('route', event => host.routeEvents.push(event));
      node.on('peer', event => host.peerEvents.push(event));
      host.onStart(node);
      const dials = (this.#dials.get(name) ?? []).map(other => ({
        peer: this.host(other).peer,
        address: `sim://${other}:1`,
      }));
      void node.start([`sim://${name}:1`], dials);
    });
  }

  /** From its next start on, the node has another static key. */
  changeStaticKey(name: string): void {
    const host = this.#hosts.get(name);
    if (host !== undefined) host.seeds.static = this.world.rng.fork(`another static key of ${name}`).bytes(32);
  }

  crash(name: string): void {
    this.world.machine(name)?.crash();
  }

  /** A channel of a peer that speaks the protocol by hand, from a machine of its own. */
  async rawChannel(
    target: string,
    identity: Identity,
    handlerOf: (channel: Channel) => ChannelHandler = () => IGNORING,
  ): Promise<Channel> {
    this.#rawChannels += 1;
    const machine = this.world.addMachine(`raw-${this.#rawChannels}-${target}`);
    let opened: Channel | undefined;
    machine.start(process => {
      const { env } = process;
      const limits = { maxMessageBytes: LIMITS.maxMessageBytes };
      this.#transports.transport(process).dial(`sim://${target}:1`, limits, {
        onConnection: connection => {
          const policy = { crypto: this.crypto, identity, networkId: NETWORK, postQuantum: 'off' } as const;
          openChannel(
            connection,
            { ...policy, env, role: 'initiator' },
            {
              onChannel: channel => {
                opened = channel;
                channel.attach(handlerOf(channel));
              },
              onFailed: error => {
                throw error;
              },
            },
          );
        },
        onError: error => {
          throw error;
        },
      });
    });
    await this.run(200);
    if (opened === undefined) throw new Error('no channel');
    return opened;
  }

  /** Wall time of a machine. */
  unixMs(name: string): UnixMs {
    return this.world.machine(name)?.process?.env.clock.unix() ?? unixMs(0);
  }

  /** Runs virtual time; what the programs await is settled before and after it. */
  async run(ms: number): Promise<void> {
    await promisesSettled();
    this.world.scheduler.runFor(ms);
    await promisesSettled();
  }
}

/** A real turn of the event loop: every promise that is due has run then. */
const promisesSettled = (): Promise<void> => new Promise(resolve => setImmediate(resolve));
