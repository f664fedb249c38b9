/** Neighbours on simulated machines, without the rest of their nodes: channels in virtual time, every frame counted. */
import { type Channel, HandshakeGate } from '../../lib/channel/index.js';
import type { CryptoProvider } from '../../lib/crypto/index.js';
import { unixMs } from '../../lib/env.js';
import { AllowList, Identity, type IdentitySeeds, KnownPeers, type PeerId } from '../../lib/identity/index.js';
import { LIMITS } from '../../lib/limits.js';
import { Admission, type AdmitPeer } from '../../lib/mesh/admission.js';
import type { MeshContext } from '../../lib/mesh/context.js';
import { Holdings } from '../../lib/mesh/holdings.js';
import { Neighbours } from '../../lib/mesh/neighbours.js';
import type { ConnectionEvent } from '../../lib/mesh/types.js';
import { Suspicion } from '../../lib/route/index.js';
import {
  fakeCrypto,
  SIMULATED_START_UNIX_MS,
  type SimMachine,
  type SimProcess,
  SimTransportNetwork,
  SimWorld,
} from '../../lib/sim/index.js';
import type { Transport } from '../../lib/transport.js';

const networkId = 'test';
export const crypto: CryptoProvider = fakeCrypto();
const ISSUED_AT = unixMs(SIMULATED_START_UNIX_MS - 60_000);

/** One node's neighbours, and what they were told: every frame sent and received, in order. */
export class End {
  readonly name: string;
  readonly machine: SimMachine;
  readonly membership: AllowList;
  identity: Identity;
  readonly received: number[] = [];
  readonly sent: number[] = [];
  readonly ups: string[] = [];
  readonly events: ConnectionEvent[] = [];
  /** Closes every connection at the door, and counts them. */
  isBusy = false;
  turnedAway = 0;
  /** XX or IK, of every handshake that others began here. */
  readonly patterns: string[] = [];
  /** Channels that came to admission. */
  opened = 0;
  admit: AdmitPeer | undefined;
  neighbours: Neighbours | undefined;
  knownPeers: KnownPeers = new KnownPeers();
  readonly #net: Net;
  readonly #seeds: IdentitySeeds;

  constructor(net: Net, name: string) {
    this.#net = net;
    this.name = name;
    this.membership = net.membership;
    this.machine = net.world.addMachine(name);
    const rng = net.world.rng.fork(`identity/${name}`);
    this.#seeds = { identity: rng.bytes(32), static: rng.bytes(32) };
    this.identity = new Identity({ crypto, seeds: this.#seeds, networkId, now: ISSUED_AT });
    net.membership.allow(this.identity.peer);
  }

  get peer(): PeerId {
    return this.identity.peer;
  }

  get address(): string {
    return `sim://${this.name}:1`;
  }

  /** Another certificate for the same keys, as of this long ago or in the future. */
  identityAged(ms: number): Identity {
    return new Identity({ crypto, seeds: this.#seeds, networkId, now: unixMs(ISSUED_AT + ms) });
  }

  identityWithNewStaticKey(): Identity {
    const seeds = { ...this.#seeds, static: this.#net.world.rng.fork(`new/${this.name}`).bytes(32) };
    return new Identity({ crypto, seeds, networkId, now: unixMs(ISSUED_AT + 10_000) });
  }

  /** Starts a run of the node; it listens, and dials the others. */
  start(dials: readonly (End | string)[] = []): void {
    const { identity } = this;
    this.machine.start(process => {
      const { env } = process;
      const knownPeers = new KnownPeers();
      this.knownPeers = knownPeers;
      const context: MeshContext = {
        self: identity.peer,
        env,
        crypto,
        identity,
        networkId,
        membership: this.membership,
        knownPeers,
        store: undefined,
        runEpoch: env.clock.unix(),
        gate: new HandshakeGate(env.clock, { isExempt: () => true }),
        admission: new Admission(this.membership, knownPeers, env.clock, (peer, evidence) => {
          this.opened += 1;
          return this.admit === undefined ? true : this.admit(peer, evidence);
        }),
        relay: undefined,
        suspicion: new Suspicion(),
        sessionLifetimeMs: LIMITS.sessionLifetimeMs,
        maxSessions: LIMITS.maxSessions,
        holdings: new Holdings(LIMITS.maxReceiveBytes),
        handshakePolicy: () => ({ crypto, identity, networkId, postQuantum: 'off' }),
      };
      const settings = { channelLimits: {} };
      const neighbours = new Neighbours(context, [this.#watched(process)], settings, {
        onUp: () => this.ups.push('up'),
        onDown: (_peer, cause) => this.ups.push(`down ${cause}`),
        onMessage: (_from, message) =>
          this.received.push(new DataView(message.buffer, message.byteOffset).getUint32(0)),
        onDrain: () => undefined,
        onConnection: event => this.events.push(event),
      });
      this.neighbours = neighbours;
      void neighbours.listen(this.address);
      for (const other of dials) {
        neighbours.keep(typeof other === 'string' ? { address: other } : { peer: other.peer, address: other.address });
      }
    });
  }

  /** The transport of the process; it notes the pattern in the fourth byte of what those who dial say first. */
  #watched(process: SimProcess): Transport {
    const transport = this.#net.transports.transport(process);
    return {
      ...transport,
      listen: (address, limits, onConnection) => {
        if (transport.listen === undefined) throw new Error('the simulator listens');
        return transport.listen(address, limits, connection => {
          if (this.isBusy) {
            this.turnedAway += 1;
            connection.attach({ onMessage: () => undefined, onDrain: () => undefined, onClose: () => undefined });
            connection.close();
            return;
          }
          const { attach } = connection;
          connection.attach = handler => {
            let isFirst = true;
            const onMessage = (message: Uint8Array): void => {
              if (isFirst) this.patterns.push(message[3] === 2 ? 'IK' : 'XX');
              isFirst = false;
              handler.onMessage(message);
            };
            attach.call(connection, {
              onMessage,
              onDrain: () => handler.onDrain(),
              onClose: cause => handler.onClose(cause),
            });
          };
          onConnection(connection);
        });
      },
    };
  }

  channelTo(other: End): Channel | undefined {
    return this.neighbours?.channel(other.peer);
  }

  /** One numbered frame, counted if it was taken. */
  send(other: End, bytes = 64): boolean {
    const message = new Uint8Array(bytes);
    new DataView(message.buffer).setUint32(0, this.sent.length);
    const taken = this.channelTo(other)?.send(message) === true;
    if (taken) this.sent.push(this.sent.length);
    return taken;
  }

  get states(): string[] {
    return this.events.map(({ state, cause }) => (cause === undefined ? state : `${state} ${cause.code}`));
  }
}

export class Net {
  readonly world: SimWorld;
  readonly transports: SimTransportNetwork;
  readonly membership: AllowList = new AllowList();

  constructor(seed: string | number) {
    this.world = new SimWorld({ seed });
    this.transports = new SimTransportNetwork(this.world);
  }

  /** Promises of the programs settle at the start, and with `sliceMs` as often as that. */
  async run(ms: number, sliceMs?: number): Promise<void> {
    await new Promise(resolve => setImmediate(resolve));
    if (sliceMs === undefined) this.world.scheduler.runFor(ms);
    else await this.world.scheduler.runForAsync(ms, sliceMs);
    await new Promise(resolve => setImmediate(resolve));
  }
}
