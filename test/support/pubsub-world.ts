/**
 * Publish/subscribe over simulated sessions, in virtual time: the shipping publisher and subscriber, whose messages a test
 * may look at and drop, and peers that speak the protocol by hand.
 */
import { type CryptoProvider, nobleCrypto } from '../../lib/crypto/index.js';
import { unixMs } from '../../lib/env.js';
import type { HopfairError } from '../../lib/errors.js';
import { AllowList, type AllowListEntry, Identity, type Membership, type PeerId } from '../../lib/identity/index.js';
import type { Publication, SubscribeOptions } from '../../lib/mesh/index.js';
import type { Messaging } from '../../lib/mesh/messaging.js';
import type { PublisherOptions } from '../../lib/mesh/publisher.js';
import { PubSub } from '../../lib/mesh/pubsub.js';
import {
  fakeCrypto,
  type LinkConditions,
  SimMessagingNetwork,
  type SimProcess,
  SimWorld,
} from '../../lib/sim/index.js';
import { decodePubSub, type PubSubMessage } from '../../lib/wire/index.js';

export const NETWORK = 'test';
export const SERVICE = 'hopfair/pubsub';

export interface PubSubHost {
  readonly name: string;
  readonly peer: PeerId;
  readonly identity: Identity;
  pubsub: PubSub;
  messaging: Messaging;
  /** Whether a message that this node sends leaves. */
  onSend: (to: PeerId, message: PubSubMessage) => boolean;
  /** Every message that it sent, those included that were dropped. */
  readonly sent: { readonly to: PeerId; readonly message: PubSubMessage; readonly atMs: number }[];
  readonly subscriptions: Subscribed[];
}

export interface Subscribed {
  readonly got: Publication[];
  readonly gotAtMs: number[];
  readonly abort: AbortController;
  error: HopfairError | undefined;
  ended: boolean;
}

/** A node that drops nothing. */
export const sendAll = (): boolean => true;

export interface RawPeer {
  readonly peer: PeerId;
  readonly identity: Identity;
  readonly received: { readonly from: PeerId; readonly message: PubSubMessage }[];
  send(to: PeerId, bytes: Uint8Array): void;
}

export interface PubSubWorldOptions {
  readonly seed?: string | number;
  readonly link?: Partial<LinkConditions>;
  readonly realCrypto?: boolean;
  readonly publisher?: PublisherOptions;
  readonly lossDetectionMs?: number;
  readonly world?: SimWorld;
  /** Keeps what every node sent. Default: true. */
  readonly record?: boolean;
}

export class PubSubWorld {
  readonly world: SimWorld;
  readonly crypto: CryptoProvider;
  readonly aliases: Map<string, string> = new Map();
  readonly #allowed = new AllowList();
  readonly #network: SimMessagingNetwork;
  readonly #publisher: PublisherOptions;
  readonly #rttMs: number;
  readonly #record: boolean;
  readonly #hosts = new Map<string, PubSubHost>();

  constructor(options: PubSubWorldOptions = {}) {
    const link = { delayMs: 5, ...options.link };
    this.world = options.world ?? new SimWorld({ seed: options.seed ?? 1, link });
    this.crypto = options.realCrypto ? nobleCrypto() : fakeCrypto();
    this.#network = new SimMessagingNetwork(this.world, { lossDetectionMs: options.lossDetectionMs ?? 5_000 });
    this.#publisher = options.publisher ?? {};
    this.#rttMs = 2 * link.delayMs;
    this.#record = options.record ?? true;
  }

  get membership(): Membership {
    const allowed = this.#allowed;
    return {
      isAdmitted: peer => allowed.isAdmitted(peer),
      labels: peer => allowed.labels(peer),
      edgeFloorMs: () => 0,
      aliasOf: name => this.aliases.get(name),
    };
  }

  add(name: string, labels: Partial<AllowListEntry> = {}): PubSubHost {
    const identity = this.#identity(name);
    this.#allowed.allow({ ...labels, peer: identity.peer });
    const host = {
      name,
      peer: identity.peer,
      identity,
      pubsub: undefined as unknown as PubSub,
      messaging: undefined as unknown as Messaging,
      onSend: sendAll,
      sent: [],
      subscriptions: [],
    } satisfies PubSubHost;
    this.#hosts.set(name, host);
    this.world.addMachine(name).install(process => this.#start(host, process));
    this.start(name);
    return host;
  }

  host(name: string): PubSubHost {
    return this.#hosts.get(name) as PubSubHost;
  }

  start(name: string): void {
    this.world.machine(name)?.restart();
  }

  crash(name: string): void {
    this.world.machine(name)?.crash();
  }

  revoke(peer: PeerId): void {
    this.#allowed.revoke(peer);
  }

  #identity(name: string): Identity {
    const rng = this.world.rng.fork(`identity/${name}`);
    const seeds = { identity: rng.bytes(32), static: rng.bytes(32) };
    return new Identity({ crypto: this.crypto, seeds, networkId: NETWORK, now: unixMs(0) });
  }

  #start(host: PubSubHost, process: SimProcess): void {
    const endpoint = this.#network.join(process, host.peer);
    const messaging: Messaging = {
      self: host.peer,
      send: (to, service, bytes, options) => {
        if (this.#record) host.sent.push({ to, message: decodePubSub(bytes), atMs: this.world.scheduler.nowMs });
        const leaves = host.onSend === sendAll || host.onSend(to, decodePubSub(bytes));
        return !leaves || endpoint.send(to, service, bytes, options);
      },
      serve: (service, handler) => endpoint.serve(service, handler),
      onPeer: handler => endpoint.onPeer(handler),
      exportSecret: () => undefined,
    };
    const { crypto, membership } = this;
    const context = {
      self: host.peer,
      env: process.env,
      crypto,
      identity: host.identity,
      networkId: NETWORK,
      membership,
      runEpoch: process.env.clock.unix(),
    };
    host.messaging = messaging;
    host.pubsub = new PubSub(context, messaging, this.#publisher, () => this.#rttMs);
  }

  /** A peer whose messages a test writes. */
  raw(name: string): RawPeer {
    const identity = this.#identity(name);
    this.#allowed.allow({ peer: identity.peer });
    const received: RawPeer['received'] = [];
    let send: RawPeer['send'] = () => undefined;
    this.world.addMachine(name).start(process => {
      const endpoint = this.#network.join(process, identity.peer);
      endpoint.serve(SERVICE, (from, bytes) => received.push({ from, message: decodePubSub(bytes) }));
      send = (to, bytes) => endpoint.send(to, SERVICE, bytes);
    });
    return { peer: identity.peer, identity, received, send: (to, bytes) => send(to, bytes) };
  }

  /** What a reader that always reads gets of a topic. */
  subscribe(host: PubSubHost, topic: string, options: Omit<SubscribeOptions, 'signal'> = {}): Subscribed {
    const subscribed: Subscribed = {
      got: [],
      gotAtMs: [],
      abort: new AbortController(),
      error: undefined,
      ended: false,
    };
    host.subscriptions.push(subscribed);
    const publications = host.pubsub.subscriber.subscribe(topic, { ...options, signal: subscribed.abort.signal });
    const read = async (): Promise<void> => {
      for await (const publication of publications) {
        subscribed.got.push(publication);
        subscribed.gotAtMs.push(this.world.scheduler.nowMs);
      }
    };
    read().then(
      () => {
        subscribed.ended = true;
      },
      error => {
        subscribed.error = error;
      },
    );
    return subscribed;
  }

  /** Runs virtual time, in steps, so that readers read as it passes. */
  async run(ms: number, stepMs = 1): Promise<void> {
    const end = this.world.scheduler.nowMs + ms;
    do {
      this.world.scheduler.runFor(Math.min(stepMs, end - this.world.scheduler.nowMs));
      await new Promise(resolve => setImmediate(resolve));
    } while (this.world.scheduler.nowMs < end);
  }

  /** Publishes numbers `from` .. `to`, one in a flush. */
  async publish(host: PubSubHost, name: string, from: number, to: number, everyMs = 2): Promise<void> {
    for (let i = from; i <= to; i++) {
      host.pubsub.publisher.publish(name, Uint8Array.of(i >> 8, i));
      await this.run(everyMs);
    }
  }
}

/** The numbers that `publish` published, as they came. */
export const numbersOf = ({ got }: Subscribed): number[] =>
  got.flatMap(event => (event.kind === 'message' ? [(event.bytes[0] ?? 0) * 256 + (event.bytes[1] ?? 0)] : []));

export const gapsOf = ({ got }: Subscribed): Publication[] => got.filter(({ kind }) => kind === 'gap');

export const upTo = (last: number, first = 1): number[] =>
  Array.from({ length: last - first + 1 }, (_, i) => first + i);
