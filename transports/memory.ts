/** Connections within one process: `memory://name`. Delivery waits for the clock of an Env, real or virtual. */
import type { Clock } from '../lib/env.js';
import { HopfairError } from '../lib/errors.js';
import type { Connection, DialEvents, Listener, Transport, TransportLimits } from '../lib/transport.js';
import { InboxConnection } from './connection.js';
import { HIGH_WATER_BYTES } from './inbox.js';
import { join } from './join.js';

const SCHEME = 'memory://';

interface Endpoint {
  readonly limits: TransportLimits;
  readonly onConnection: (connection: Connection) => void;
}

/** The network that the transports of one process share. Those on different hubs do not see each other. */
export class MemoryHub {
  readonly clock: Clock;
  readonly #endpoints = new Map<string, Endpoint>();
  #dials = 0;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  bind(address: string, endpoint: Endpoint): () => void {
    if (!address.startsWith(SCHEME) || address.length === SCHEME.length) {
      throw new HopfairError('ADDRESS_INVALID', `"${address}" is not of the form ${SCHEME}name`);
    }
    if (this.#endpoints.has(address)) throw new HopfairError('LISTEN_FAILED', `${address} is taken`);
    this.#endpoints.set(address, endpoint);
    return () => {
      if (this.#endpoints.get(address) === endpoint) this.#endpoints.delete(address);
    };
  }

  /** Makes the two ends of a connection; undefined when nobody listens. */
  connect(address: string, limits: TransportLimits): Connection | undefined {
    const endpoint = this.#endpoints.get(address);
    if (endpoint === undefined) return undefined;
    const near = new MemoryConnection(this.clock, address, limits);
    const far = new MemoryConnection(this.clock, `memory://dialler-${++this.#dials}`, endpoint.limits);
    near.join(far);
    far.join(near);
    endpoint.onConnection(far);
    return near;
  }
}

/** Each end holds what it sent until the other end has taken it. */
class MemoryConnection extends InboxConnection {
  readonly #clock: Clock;
  #other: MemoryConnection | undefined;
  #outbox: Uint8Array[] = [];
  #buffered = 0;
  #reading = false;
  #scheduled = false;
  #closed = false;

  constructor(clock: Clock, remoteAddress: string, limits: TransportLimits) {
    super(remoteAddress, limits, fn => clock.defer(fn));
    this.#clock = clock;
  }

  join(other: MemoryConnection): void {
    this.#other = other;
  }

  get bufferedBytes(): number {
    return this.#buffered;
  }

  send(parts: readonly Uint8Array[]): boolean {
    if (this.closing) return false;
    const message = join(parts);
    this.#outbox.push(message);
    this.#buffered += message.length;
    this.#scheduleTransfer();
    this.full = this.#buffered > HIGH_WATER_BYTES;
    return !this.full;
  }

  close(): void {
    if (this.closing) return;
    this.closing = true;
    this.inbox.mute();
    this.#scheduleTransfer();
  }

  destroy(): void {
    this.#outbox = [];
    this.#buffered = 0;
    this.close();
  }

  #scheduleTransfer(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.defer(this.#transfer);
  }

  readonly #transfer = (): void => {
    this.#scheduled = false;
    const other = this.#other;
    if (other === undefined || this.#closed) return;
    let next = 0;
    while (next < this.#outbox.length && (other.#reading || other.closing)) {
      const message = this.#outbox[next++] as Uint8Array;
      this.#buffered -= message.length;
      if (message.length > other.maxMessageBytes) {
        other.refuseSize(message.length);
        return;
      }
      other.inbox.deliver(message);
    }
    this.#outbox.splice(0, next);
    if (this.closing && this.#outbox.length === 0) this.#end(undefined, undefined);
    else if (this.#buffered <= HIGH_WATER_BYTES / 2) this.onDrained();
  };

  protected startReading(): void {
    this.#reading = true;
    if (this.#other !== undefined) this.#other.#scheduleTransfer();
  }

  protected stopReading(): void {
    this.#reading = false;
  }

  protected abort(): void {
    this.#outbox = [];
    this.#end(this.cause, new HopfairError('CONNECTION_LOST', 'the other end refused what was sent'));
  }

  /** Both ends are gone; each is told why. */
  #end(here: HopfairError | undefined, there: HopfairError | undefined): void {
    const other = this.#other;
    this.closing = true;
    this.#closed = true;
    this.inbox.end(here);
    if (other === undefined || other.#closed) return;
    other.closing = true;
    other.#closed = true;
    other.inbox.end(there);
  }
}

/**
 * Connections to the transports on the same hub.
 *
 * @example
 * const hub = new MemoryHub(env.clock);
 * createNode({ transports: [memoryTransport(hub)], listen: ['memory://relay-1'] })
 */
export function memoryTransport(hub: MemoryHub): Transport {
  function dial(address: string, limits: TransportLimits, events: DialEvents): () => void {
    let cancelled = false;
    hub.clock.defer(() => {
      if (cancelled) return;
      const connection = hub.connect(address, limits);
      if (connection !== undefined) events.onConnection(connection);
      else events.onError(new HopfairError('DIAL_FAILED', `nobody listens at ${address}`, { retryable: true }));
    });
    return () => {
      cancelled = true;
    };
  }

  async function listen(
    address: string,
    limits: TransportLimits,
    onConnection: (connection: Connection) => void,
  ): Promise<Listener> {
    const unbind = hub.bind(address, { limits, onConnection });
    return { address, close: async () => unbind() };
  }

  return { schemes: ['memory'], dial, listen };
}
