/** Mesh nodes on simulated machines: the shipping shells over the virtual network, in virtual time. */
import { type CryptoProvider, nobleCrypto } from '../../lib/crypto/index.js';
import type { PeerId } from '../../lib/identity/index.js';
import { AllowList, Identity } from '../../lib/identity/index.js';
import { type ForwardedFrame, type ForwardVerdict, MeshNode, type PeerEvent } from '../../lib/mesh/index.js';
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
}

const NETWORK = 'test';

export class MeshWorld {
  readonly world: SimWorld;
  readonly membership: AllowList = new AllowList();
  readonly crypto: CryptoProvider;
  readonly #transports: SimTransportNetwork;
  readonly #hosts = new Map<string, MeshHost & { seeds: { identity: Uint8Array; static: Uint8Array } }>();
  readonly #dials: Map<string, readonly string[]> = new Map();
  readonly #relays = new Set<string>();

  constructor(options: MeshWorldOptions = {}) {
    this.world = new SimWorld({ seed: options.seed ?? 1, ...(options.link && { link: options.link }) });
    this.crypto = options.realCrypto ? nobleCrypto() : fakeCrypto();
    this.#transports = new SimTransportNetwork(this.world);
  }

  /** Adds a node that dials these others, and starts it. */
  add(name: string, dials: readonly string[] = [], options: { relay?: boolean; outsider?: boolean } = {}): MeshHost {
    const rng = this.world.rng.fork(`identity/${name}`);
    const seeds = { identity: rng.bytes(32), static: rng.bytes(32) };
    const { peer } = new Identity({ crypto: this.crypto, seeds, networkId: NETWORK, now: 0 as never });
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

  crash(name: string): void {
    this.world.machine(name)?.crash();
  }

  /** Runs virtual time, letting the promises of node starts settle first. */
  async run(ms: number): Promise<void> {
    for (let i = 0; i < 20; i++) await Promise.resolve();
    this.world.scheduler.runFor(ms);
    for (let i = 0; i < 20; i++) await Promise.resolve();
  }
}
