/** One end-to-end session of the simulated messaging: reliable and in order per service, over packets that get lost. */
import { invariant } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { Service } from '../mesh/messaging.js';
import type { Endpoint, SimMessagingNetwork } from './messaging.js';
import { checksum } from './trace.js';

interface Message {
  readonly bytes: Uint8Array;
  readonly sum: number;
  /** Position among everything sent in this direction. */
  readonly order: number;
  arrived: boolean;
}

/** What one end sends to the other. */
class Direction {
  readonly from: Endpoint;
  readonly to: Endpoint;
  /** Messages not handled yet, per service, oldest first. */
  readonly flows = new Map<Service, Message[]>();
  sent = 0;
  newestHandled = -1;
  queuedBytes = 0;

  constructor(from: Endpoint, to: Endpoint) {
    this.from = from;
    this.to = to;
  }
}

/** Retransmission backs off up to this multiple of the first time-out. */
const MAX_BACKOFF = 8;

export class SimSession {
  readonly id: number;
  readonly ends: readonly [Endpoint, Endpoint];
  /** False when nothing more is sent: what already left may still arrive. */
  open = true;
  /** Since when a partition stops one of its directions. */
  blockedSinceMs: number | undefined;
  readonly #network: SimMessagingNetwork;
  readonly #directions: readonly [Direction, Direction];

  constructor(network: SimMessagingNetwork, a: Endpoint, b: Endpoint, id: number) {
    this.#network = network;
    this.ends = [a, b];
    this.id = id;
    this.#directions = [new Direction(a, b), new Direction(b, a)];
  }

  otherEnd(end: Endpoint): Endpoint {
    return this.ends[0] === end ? this.ends[1] : this.ends[0];
  }

  /** As `Messaging.send`; with an expiry the message is sent once and may arrive out of order, or never. */
  send(from: Endpoint, service: Service, bytes: Uint8Array, expiresAtMs: number | undefined): boolean {
    const direction = this.#directions[0].from === from ? this.#directions[0] : this.#directions[1];
    if (direction.queuedBytes + bytes.length > LIMITS.maxSessionQueueBytes) return false;
    this.#network.onSent(from.self, direction.to.self, bytes);
    const message: Message = { bytes, sum: checksum(bytes), order: direction.sent++, arrived: false };
    if (expiresAtMs !== undefined) {
      this.#sendOnce(direction, service, message, expiresAtMs);
      return true;
    }
    direction.queuedBytes += bytes.length;
    const flow = direction.flows.get(service);
    if (flow === undefined) direction.flows.set(service, [message]);
    else flow.push(message);
    this.#transmit(direction, service, message, 1);
    return true;
  }

  #transmit(direction: Direction, service: Service, message: Message, backoff: number): void {
    if (!this.open) return;
    const { network, scheduler } = this.#network.world;
    const delayMs = network.fate(direction.from.name, direction.to.name);
    if (delayMs === undefined) {
      const waitMs = this.#network.retransmitMs * backoff;
      const longer = Math.min(backoff * 2, MAX_BACKOFF);
      scheduler.after(waitMs, () => this.#transmit(direction, service, message, longer));
    } else scheduler.after(delayMs, () => this.#arrive(direction, service, message));
  }

  #arrive(direction: Direction, service: Service, message: Message): void {
    message.arrived = true;
    direction.to.process.enter(() => {
      const flow = direction.flows.get(service) ?? [];
      while (flow[0]?.arrived === true && this.#known(direction)) {
        const next = flow.shift() as Message;
        direction.queuedBytes -= next.bytes.length;
        this.#handle(direction, service, next);
      }
    });
  }

  #sendOnce(direction: Direction, service: Service, message: Message, expiresAtMs: number): void {
    const { network, scheduler } = this.#network.world;
    const delayMs = network.fate(direction.from.name, direction.to.name);
    if (delayMs === undefined) return;
    scheduler.after(delayMs, () =>
      direction.to.process.enter(() => {
        if (scheduler.nowMs <= expiresAtMs && this.#known(direction)) this.#handle(direction, service, message);
      }),
    );
  }

  /** The receiver still has this session: what a dead peer had sent arrives until the death is noticed. */
  #known(direction: Direction): boolean {
    return direction.to.sessions.get(direction.from.self) === this;
  }

  #handle(direction: Direction, service: Service, message: Message): void {
    const { world } = this.#network;
    invariant(checksum(message.bytes) === message.sum, 'a message was changed after it was sent');
    if (message.order < direction.newestHandled) world.faults.count('reorder');
    else direction.newestHandled = message.order;
    world.note(`${direction.from.name}>${direction.to.name} ${service}`, message.sum);
    direction.to.deliver(direction.from.self, service, message.bytes);
  }
}
