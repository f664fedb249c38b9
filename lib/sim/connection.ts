/**
 * One connection of the simulated transport: two directions, each reliable and in order as TCP is, with a bounded send
 * buffer, a bounded receive window, and a wire that loses, delays, damages and dies.
 */
import { concat } from '../bytes.js';
import type { Cancel } from '../env.js';
import { HopfairError, invariant } from '../errors.js';
import type { Connection, ConnectionHandler, TransportLimits } from '../transport.js';
import type { SimProcess } from './machine.js';
import type { SeededRng } from './rng.js';
import { checksum } from './trace.js';
import type { SimWorld } from './world.js';

const HIGH_WATER_BYTES = 262_144;
const LOW_WATER_BYTES = 65_536;
/** Received bytes that the reader has not taken: beyond it the sender's buffer fills. */
const RECEIVE_WINDOW_BYTES = 262_144;
const RETRANSMIT_MS = 20;
const MAX_RETRANSMIT_MS = 320;
/** A message that was not acknowledged for this long resets the connection, as tcp_retries2 does much later. */
const GIVE_UP_MS = 10_000;

const connectionLost = (why: string): HopfairError => new HopfairError('CONNECTION_LOST', why, { retryable: true });

/** A message on its way, or with no bytes, the orderly end. */
interface Segment {
  readonly bytes: Uint8Array | undefined;
  readonly sentAtMs: number;
  arrived: boolean;
}

export interface EndOptions {
  readonly process: SimProcess;
  readonly address: string;
  readonly limits: TransportLimits;
}

export class Wire {
  readonly world: SimWorld;
  readonly rng: SeededRng;
  readonly ends: readonly [SimConnection, SimConnection];
  /** Everything sent vanishes, and nobody is told. */
  silent = false;

  constructor(world: SimWorld, rng: SeededRng, dialler: EndOptions, listener: EndOptions) {
    this.world = world;
    this.rng = rng;
    this.ends = [
      new SimConnection(this, dialler, listener.address, 0),
      new SimConnection(this, listener, dialler.address, 1),
    ];
  }

  get closed(): boolean {
    return this.ends.every(end => end.isClosed);
  }

  /** Both ends learn that the connection is lost. */
  reset(): void {
    for (const end of this.ends) end.closed(connectionLost('connection reset'));
  }
}

export class SimConnection implements Connection {
  readonly process: SimProcess;
  readonly remoteAddress: string;
  readonly #wire: Wire;
  readonly #index: 0 | 1;
  readonly #limits: TransportLimits;
  #maxMessageBytes: number;
  readonly #forgetDeath: Cancel;
  #handler: ConnectionHandler | undefined;
  #closeCause: HopfairError | undefined;
  #state: 'open' | 'closing' | 'closed' = 'open';
  /** Sending: accepted and not yet on the wire; on the wire and not yet arrived in order. */
  readonly #outgoing: Segment[] = [];
  readonly #inFlight: Segment[] = [];
  #bufferedBytes = 0;
  #inFlightBytes = 0;
  #serializing = false;
  #awaitsDrain = false;
  /** Receiving: arrived in order and not yet handled. */
  readonly #unread: Segment[] = [];
  #unreadBytes = 0;
  #paused = false;

  constructor(wire: Wire, options: EndOptions, remoteAddress: string, index: 0 | 1) {
    this.#wire = wire;
    this.process = options.process;
    this.remoteAddress = remoteAddress;
    this.#index = index;
    this.#limits = options.limits;
    this.#maxMessageBytes = options.limits.maxMessageBytes;
    this.#forgetDeath = this.process.onDeath(() => this.#die());
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  get #peer(): SimConnection {
    return this.#wire.ends[1 - this.#index] as SimConnection;
  }

  limitMessages(maxBytes: number): void {
    this.#maxMessageBytes = Math.min(maxBytes, this.#limits.maxMessageBytes);
  }

  attach(handler: ConnectionHandler): void {
    invariant(this.#handler === undefined, 'a connection has one handler');
    this.#handler = handler;
    this.#later(() => this.#read());
    if (this.#state === 'closed') this.#tellClosed();
  }

  send(parts: readonly Uint8Array[]): boolean {
    if (this.#state !== 'open') return false;
    const bytes = concat(...parts);
    this.#outgoing.push({ bytes, sentAtMs: this.#wire.world.scheduler.nowMs, arrived: false });
    this.#bufferedBytes += bytes.length;
    this.#pump();
    this.#awaitsDrain ||= this.#bufferedBytes > HIGH_WATER_BYTES;
    return this.#bufferedBytes <= HIGH_WATER_BYTES;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#later(() => this.#read());
  }

  close(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#outgoing.push({ bytes: undefined, sentAtMs: this.#wire.world.scheduler.nowMs, arrived: false });
    this.#pump();
  }

  destroy(): void {
    if (this.#state === 'closed') return;
    const { network, scheduler } = this.#wire.world;
    const [here, there] = [this.process.machine.name, this.#peer.process.machine.name];
    const delayMs = this.#wire.silent ? undefined : network.fate(here, there);
    const lost = connectionLost('the other end destroyed the connection');
    if (delayMs !== undefined) scheduler.after(delayMs, () => this.#peer.closed(lost));
    this.closed(undefined);
  }

  /** The process of this end died: its kernel resets the connection, or the whole machine lost power and is silent. */
  #die(): void {
    this.#state = 'closed';
    const peer = this.#peer;
    const { network, scheduler } = this.#wire.world;
    const delayMs = network.fate(this.process.machine.name, peer.process.machine.name);
    if (delayMs === undefined || this.#wire.rng.chance(0.5)) this.#wire.silent = true;
    else scheduler.after(delayMs, () => peer.closed(connectionLost('the other end died')));
  }

  /** Ends this side; the handler is told once, after what it has not read yet if the end was orderly. */
  closed(cause: HopfairError | undefined): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#forgetDeath();
    this.#outgoing.length = 0;
    this.#inFlight.length = 0;
    this.#bufferedBytes = 0;
    this.#unread.length = 0;
    this.#closeCause = cause;
    if (this.#handler !== undefined) this.#tellClosed();
  }

  #tellClosed(): void {
    this.#later(() => this.#handler?.onClose(this.#closeCause));
  }

  /** Nothing is ever called back from within a call of the owner. */
  #later(fn: () => void): void {
    this.#wire.world.scheduler.defer(() => this.process.enter(fn));
  }

  #pump(): void {
    const { network, scheduler } = this.#wire.world;
    const { bytesPerMs } = network.link(this.process.machine.name, this.#peer.process.machine.name);
    const window = (): number => RECEIVE_WINDOW_BYTES - this.#peer.#unreadBytes - this.#inFlightBytes;
    while (!this.#serializing && this.#outgoing.length > 0 && window() > 0) {
      const segment = this.#outgoing.shift() as Segment;
      const length = segment.bytes?.length ?? 0;
      if (length / bytesPerMs === 0) this.#leave(segment);
      else {
        this.#serializing = true;
        scheduler.after(length / bytesPerMs, () => {
          this.#serializing = false;
          if (this.#state === 'closed') return;
          this.#leave(segment);
          this.#pump();
        });
      }
    }
  }

  #leave(segment: Segment): void {
    this.#bufferedBytes -= segment.bytes?.length ?? 0;
    this.#inFlightBytes += segment.bytes?.length ?? 0;
    this.#inFlight.push(segment);
    this.#transmit(segment, RETRANSMIT_MS);
    if (!this.#awaitsDrain || this.#bufferedBytes > LOW_WATER_BYTES) return;
    this.#awaitsDrain = false;
    this.#later(() => {
      if (this.#state === 'open') this.#handler?.onDrain();
    });
  }

  #transmit(segment: Segment, timeoutMs: number): void {
    const { world, rng } = this.#wire;
    if (this.#state === 'closed' || this.#peer.#state === 'closed') return;
    if (this.#wire.silent) {
      world.faults.count('dead-link');
      return;
    }
    const [here, there] = [this.process.machine.name, this.#peer.process.machine.name];
    if (rng.chance(world.network.link(here, there).reset)) {
      world.faults.count('reset');
      this.#wire.reset();
      return;
    }
    const delayMs = world.network.fate(here, there);
    if (delayMs !== undefined) {
      world.scheduler.after(delayMs, () => {
        segment.arrived = true;
        this.#deliver();
      });
    } else if (world.scheduler.nowMs - segment.sentAtMs > GIVE_UP_MS) this.#wire.reset();
    else {
      const nextMs = Math.min(2 * timeoutMs, MAX_RETRANSMIT_MS);
      world.scheduler.after(timeoutMs, () => this.#transmit(segment, nextMs));
    }
  }

  /** What arrived in order becomes readable at the other end. */
  #deliver(): void {
    const peer = this.#peer;
    while (this.#inFlight[0]?.arrived === true) {
      const segment = this.#inFlight.shift() as Segment;
      this.#inFlightBytes -= segment.bytes?.length ?? 0;
      if (peer.#state === 'closed') continue;
      peer.#unread.push({ ...segment, bytes: this.#damaged(segment.bytes) });
      peer.#unreadBytes += segment.bytes?.length ?? 0;
    }
    peer.process.enter(() => peer.#read());
  }

  #damaged(bytes: Uint8Array | undefined): Uint8Array | undefined {
    const { world, rng } = this.#wire;
    const link = world.network.link(this.process.machine.name, this.#peer.process.machine.name);
    if (bytes === undefined || bytes.length === 0 || !rng.chance(link.corrupt)) return bytes;
    world.faults.count('corrupt');
    const damaged = bytes.slice();
    const at = rng.int(damaged.length);
    damaged[at] = (damaged[at] as number) ^ (1 << rng.int(8));
    return damaged;
  }

  #read(): void {
    while (!this.#paused && this.#state !== 'closed' && this.#handler !== undefined) {
      const segment = this.#unread.shift();
      if (segment === undefined) break;
      if (segment.bytes === undefined) {
        // An orderly end: both sides are done when the closing one learns that this one read it.
        const peer = this.#peer;
        this.closed(undefined);
        peer.closed(undefined);
        return;
      }
      this.#unreadBytes -= segment.bytes.length;
      if (segment.bytes.length > this.#maxMessageBytes) {
        this.#peer.closed(connectionLost('the other end refused a message'));
        this.closed(new HopfairError('LIMIT_EXCEEDED', `a message of ${segment.bytes.length} bytes`));
        return;
      }
      this.#wire.world.note(`${this.#peer.process.machine.name}>${this.process.machine.name}`, checksum(segment.bytes));
      this.#handler.onMessage(segment.bytes);
    }
    this.#peer.#pump();
  }
}
