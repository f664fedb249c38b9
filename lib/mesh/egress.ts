/**
 * What waits for one neighbour's channel: deficit round robin over the ingress channels, so that one that sends much
 * delays nobody else (overlay.md point 15). Bounded in bytes; when it is full, the largest ingress loses its oldest bulk.
 * Frames whose remaining ttl ran out here are dropped.
 */
import type { Channel, Priority } from '../channel/types.js';
import type { Clock, Instant } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import { dataTtl, NO_TTL, setDataTtl } from '../wire/index.js';

interface Waiting {
  readonly frame: Uint8Array;
  readonly urgent: boolean;
  readonly since: Instant;
}

interface Ingress {
  readonly from: PeerId;
  readonly urgent: Waiting[];
  readonly normal: Waiting[];
  bytes: number;
  deficit: number;
}

const QUANTUM_BYTES = LIMITS.maxFrameBytes;
/** The channel gets no more than this ahead of its window: what waits here is still fair, what waits there is not. */
const CHANNEL_BACKLOG_BYTES = 65_536;
const RETRY_MS = 1;

export class Egress {
  readonly #channelNow: () => Channel | undefined;
  readonly #clock: Clock;
  readonly #round: Ingress[] = [];
  readonly #byPeer = new Map<PeerId, Ingress>();
  #bytes = 0;
  #retrying = false;
  dropped = 0;

  /** `channelNow` gives the channel at present: one may follow another. */
  constructor(channelNow: () => Channel | undefined, clock: Clock) {
    this.#channelNow = channelNow;
    this.#clock = clock;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The frame is kept: the caller must not change it afterwards. */
  push(from: PeerId, frame: Uint8Array, urgent: boolean): void {
    if (this.#bytes === 0 && this.#hasRoom()) {
      if (!this.#send(frame, urgent)) this.dropped += 1;
      return;
    }
    let ingress = this.#byPeer.get(from);
    if (ingress === undefined) {
      ingress = { from, urgent: [], normal: [], bytes: 0, deficit: 0 };
      this.#byPeer.set(from, ingress);
      this.#round.push(ingress);
    }
    (urgent ? ingress.urgent : ingress.normal).push({ frame, urgent, since: this.#clock.now() });
    ingress.bytes += frame.length;
    this.#bytes += frame.length;
    if (this.#bytes > LIMITS.maxEgressQueueBytes) this.#dropFromLargest();
    this.pump();
  }

  /** Drops what waits: the neighbour is gone. */
  clear(): void {
    this.#round.length = 0;
    this.#byPeer.clear();
    this.#bytes = 0;
  }

  /** Sends while the channel has room; called again when it drains. */
  pump(): void {
    while (this.#bytes > 0) {
      if (!this.#hasRoom()) {
        this.#retryLater();
        return;
      }
      const ingress = this.#round[0] as Ingress;
      const next = ingress.urgent[0] ?? (ingress.normal[0] as Waiting);
      if (ingress.deficit < next.frame.length) {
        ingress.deficit += QUANTUM_BYTES;
        this.#round.push(this.#round.shift() as Ingress);
        continue;
      }
      ingress.deficit -= next.frame.length;
      this.#take(ingress, next.urgent);
      if (this.#subtractDwell(next)) this.#send(next.frame, next.urgent);
    }
  }

  #take(ingress: Ingress, urgent: boolean): void {
    const waiting = (urgent ? ingress.urgent : ingress.normal).shift() as Waiting;
    ingress.bytes -= waiting.frame.length;
    this.#bytes -= waiting.frame.length;
    if (ingress.bytes > 0) return;
    this.#byPeer.delete(ingress.from);
    this.#round.splice(this.#round.indexOf(ingress), 1);
  }

  #subtractDwell({ frame, since }: Waiting): boolean {
    const ttlMs = dataTtl(frame);
    if (ttlMs === NO_TTL) return true;
    const left = ttlMs - Math.ceil(this.#clock.now() - since);
    if (left <= 0) {
      this.dropped += 1;
      return false;
    }
    setDataTtl(frame, left);
    return true;
  }

  #dropFromLargest(): void {
    let largest = this.#round[0] as Ingress;
    for (const ingress of this.#round) if (ingress.bytes > largest.bytes) largest = ingress;
    this.dropped += 1;
    this.#take(largest, largest.normal.length === 0);
  }

  #hasRoom(): boolean {
    const channel = this.#channelNow();
    return channel !== undefined && channel.stats.queuedBytes < CHANNEL_BACKLOG_BYTES;
  }

  #send(frame: Uint8Array, urgent: boolean): boolean {
    const priority: Priority = urgent ? 'urgent' : 'normal';
    return this.#channelNow()?.send(frame, { priority }) ?? false;
  }

  #retryLater(): void {
    if (this.#retrying) return;
    this.#retrying = true;
    this.#clock.schedule(RETRY_MS, () => {
      this.#retrying = false;
      if (this.#channelNow() !== undefined) this.pump();
    });
  }
}
