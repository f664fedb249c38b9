/** Makes the packets of one session as they leave: what they carry, header, key and seal; and counts them. */
import { concat } from '../bytes.js';
import type { Clock, Instant } from '../env.js';
import { LIMITS } from '../limits.js';
import type { FlowEffect } from '../route/index.js';
import { type Credit, encodePacket, NO_TTL, type Packet, type Receipt, receiptBytes } from '../wire/index.js';
import { chunksOf, headerTtlMs, type Parcel } from './out-message.js';
import type { PathEnd } from './path-end.js';
import type { SessionKeys } from './session-keys.js';
import { count, type SessionTraffic } from './session-traffic.js';

/** What packets tell of the owner of the session. */
export interface SealerHost {
  readonly runId: Uint8Array;
  readonly traffic: SessionTraffic;
  /** What the peer is to be told of the credit of this service; undefined when nothing came for it. */
  creditOf(service: string): number | undefined;
}

/** Where packets are written before they are sealed, which happens at once: one for all sessions. */
const PLAINTEXT = new Uint8Array(LIMITS.maxFrameBytes);

export class PacketSealer {
  readonly #keys: SessionKeys;
  readonly #clock: Clock;
  readonly #host: SealerHost;
  readonly #onRekeyed: () => void;
  /** Something was receipted: the peer knows who speaks, and is told no more. */
  helloReceipted = false;

  /** `onRekeyed` is deferred: the peer must receipt something of the new phase before the next, and most often does. */
  constructor(keys: SessionKeys, clock: Clock, host: SealerHost, onRekeyed: () => void) {
    this.#keys = keys;
    this.#clock = clock;
    this.#host = host;
    this.#onRekeyed = onRekeyed;
  }

  get #hello(): Uint8Array | undefined {
    return this.helloReceipted ? undefined : this.#host.runId;
  }

  /** One copy of a parcel, as the flow decided it. */
  send(
    end: PathEnd,
    { path, packet: number, payload, copy }: Extract<FlowEffect<Parcel>, { kind: 'transmit' }>,
    receipts: readonly Receipt[],
    atOnce: boolean,
    now: Instant,
  ): void {
    const packet: Packet = {
      elicits: true,
      atOnce,
      hello: this.#hello,
      receipts,
      credits: this.#creditsOf(payload),
      chunks: chunksOf(payload, now),
      runs: payload.runs,
      close: false,
    };
    const urgent = payload.class === 'critical';
    const header = this.#header(end, path, number, urgent, headerTtlMs(payload, now), now);
    const sealed = this.#keys.seal(path, number, header, encodePacket(packet, PLAINTEXT));
    const { traffic } = this.#host;
    count(traffic[copy], header.length + sealed.length);
    for (const receipt of receipts) traffic.receipts.bytes += receiptBytes(receipt);
    end.send(header, sealed, urgent ? 'urgent' : payload.class);
  }

  /** A frame that asks for no receipt: receipts, the end of the session, or nothing. */
  seal(end: PathEnd, path: number, number: number, receipts: readonly Receipt[], close: boolean): Uint8Array {
    const header = this.#header(end, path, number, true, NO_TTL, this.#clock.now());
    const nothing = { elicits: false, atOnce: false, credits: [], chunks: [], runs: [] };
    const packet: Packet = { ...nothing, hello: this.#hello, receipts, close };
    return concat(header, this.#keys.seal(path, number, header, encodePacket(packet, PLAINTEXT)));
  }

  #creditsOf({ credits }: Parcel): readonly Credit[] {
    return credits.flatMap(service => {
      const limit = this.#host.creditOf(service);
      return limit === undefined ? [] : [{ service, limit }];
    });
  }

  /** Takes the next key first, when that is due: the header names the phase. */
  #header(end: PathEnd, path: number, number: number, urgent: boolean, ttlMs: number, now: Instant): Uint8Array {
    if (this.#keys.rekeyIfDue(now)) this.#clock.defer(this.#onRekeyed);
    return end.header(path, number, urgent, this.#keys.phase, ttlMs);
  }
}
