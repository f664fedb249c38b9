/**
 * A transport over the virtual network, for everything that runs on connections: `sim://machine` listens on a machine.
 * It keeps the promises of lib/transport.ts and passes the same conformance suite as the real ones.
 */
import { HopfairError } from '../errors.js';
import type { Connection, DialEvents, Listener, Transport, TransportLimits } from '../transport.js';
import { type EndOptions, Wire } from './connection.js';
import type { SimProcess } from './machine.js';
import type { SeededRng } from './rng.js';
import type { SimWorld } from './world.js';

interface Listening {
  readonly process: SimProcess;
  readonly limits: TransportLimits;
  readonly onConnection: (connection: Connection) => void;
}

const ADDRESS = /^sim:\/\/([A-Za-z0-9.-]+)(?::(\d+))?$/;
/** Handshake packets are repeated this often, and this many times. */
const CONNECT_RETRY_MS = 250;
const CONNECT_ATTEMPTS = 5;

/** All connections of a world. One transport per process, from `transport`. */
export class SimTransportNetwork {
  readonly #world: SimWorld;
  readonly #rng: SeededRng;
  readonly #listening = new Map<string, Listening>();
  readonly #wires = new Set<Wire>();
  #ports = 1024;

  constructor(world: SimWorld) {
    this.#world = world;
    this.#rng = world.rng.fork('connections');
  }

  /** The transport of a process that just started. */
  transport(process: SimProcess): Transport {
    return {
      schemes: ['sim'],
      dial: (address, limits, events) => this.#dial(process, address, limits, events),
      listen: (address, limits, onConnection) => this.#listen(process, address, limits, onConnection),
    };
  }

  /** The open connections between two machines go silent for good; new ones work. */
  silence(a: string, b: string): void {
    for (const wire of this.#wires) {
      const names = wire.ends.map(end => end.process.machine.name);
      if (names.includes(a) && names.includes(b)) wire.silent = true;
    }
  }

  #dial(process: SimProcess, address: string, limits: TransportLimits, events: DialEvents): () => void {
    const { network, scheduler } = this.#world;
    let cancelled = false;
    const settle = (fn: () => void): void => {
      process.enter(() => {
        if (cancelled) return;
        cancelled = true;
        fn();
      });
    };
    const refuse = (code: 'ADDRESS_INVALID' | 'DIAL_FAILED', why: string): void =>
      settle(() => events.onError(new HopfairError(code, `${address}: ${why}`, { retryable: code === 'DIAL_FAILED' })));
    const target = ADDRESS.exec(address)?.[1];
    if (target === undefined) {
      scheduler.defer(() => refuse('ADDRESS_INVALID', 'not of the form sim://machine:port'));
      return () => {
        cancelled = true;
      };
    }
    const here = process.machine.name;
    const attempt = (left: number): void => {
      if (cancelled || !process.alive) return;
      const there = network.fate(here, target);
      const back = network.fate(target, here);
      if (there === undefined || back === undefined) {
        if (left === 0) refuse('DIAL_FAILED', 'timed out');
        else scheduler.after(CONNECT_RETRY_MS, () => attempt(left - 1));
        return;
      }
      scheduler.after(there, () => {
        const listening = this.#listening.get(address);
        if (cancelled || !process.alive) return;
        if (listening === undefined) {
          scheduler.after(back, () => refuse('DIAL_FAILED', 'refused'));
          return;
        }
        const dialler = { process, address: `sim://${here}:${this.#ports++}`, limits };
        const [dialled, accepted] = this.#connect(dialler, { ...listening, address });
        listening.process.enter(() => listening.onConnection(accepted));
        scheduler.after(back, () => {
          if (cancelled) dialled.destroy();
          else settle(() => events.onConnection(dialled));
        });
      });
    };
    scheduler.defer(() => attempt(CONNECT_ATTEMPTS));
    return () => {
      cancelled = true;
    };
  }

  #connect(dialler: EndOptions, listener: EndOptions): Wire['ends'] {
    for (const wire of this.#wires) if (wire.closed) this.#wires.delete(wire);
    const wire = new Wire(this.#world, this.#rng, dialler, listener);
    this.#wires.add(wire);
    return wire.ends;
  }

  #listen(
    process: SimProcess,
    address: string,
    limits: TransportLimits,
    onConnection: (connection: Connection) => void,
  ): Promise<Listener> {
    const [, machine, port] = ADDRESS.exec(address) ?? [];
    if (machine !== process.machine.name) {
      return Promise.reject(
        new HopfairError('ADDRESS_INVALID', `${address} is not of the form sim://${process.machine.name}:port`),
      );
    }
    const bound = port === '0' ? `sim://${machine}:${this.#ports++}` : address;
    if (this.#listening.has(bound)) {
      return Promise.reject(new HopfairError('LISTEN_FAILED', `${bound} is in use`));
    }
    const close = (): void => {
      this.#listening.delete(bound);
    };
    this.#listening.set(bound, { process, limits, onConnection });
    process.onDeath(close);
    return Promise.resolve({ address: bound, close: () => Promise.resolve(close()) });
  }
}
