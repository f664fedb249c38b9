/**
 * Rekeying of a session as decisions, pure: when the sender of a direction goes on to its next key, and which key the
 * receiver tries for a packet (channel.md, "Soft rekey"). A packet shows one bit, the parity of its phase; both halves
 * tell the rest from packet numbers, which are never reset and which each path counts for itself.
 */
import { KeyUse, RekeySchedule } from '../channel/rekey-schedule.js';
import { after, type Instant } from '../env.js';
import { MAX_PATHS } from '../route/index.js';
import type { PhaseBit } from '../wire/index.js';

/** The longest life of a key that was replaced, whatever the PTO is. */
const MAX_PREVIOUS_LIFE_MS = 30_000;
const NONE = Number.POSITIVE_INFINITY;

const bitOf = (phase: number): PhaseBit => (phase % 2 === 0 ? 0 : 1);

/**
 * The sender: the next key is due by packets, bytes or age, but never before a packet of the present phase was
 * receipted. So the receiver is one phase behind at most, and one bit is enough.
 */
export class SendPhase {
  readonly #schedule: RekeySchedule;
  /** By path: the first packet of the present phase. */
  readonly #first = new Float64Array(MAX_PATHS).fill(NONE);
  #phase = 0;
  /** The handshake has confirmed the first phase. */
  #confirmed = true;

  constructor(now: Instant) {
    this.#schedule = new RekeySchedule(now);
  }

  get bit(): PhaseBit {
    return bitOf(this.#phase);
  }

  /** Whether the next key must be taken before another packet is sealed. */
  isDue(now: Instant): boolean {
    return this.#confirmed && this.#schedule.isDue(now);
  }

  onRekeyed(now: Instant): void {
    this.#phase += 1;
    this.#confirmed = false;
    this.#first.fill(NONE);
    this.#schedule.onRekeyed(now);
  }

  onSealed(path: number, packet: number, bytes: number): void {
    this.#schedule.onSealed(bytes);
    if (!this.#confirmed && packet < (this.#first[path] ?? 0)) this.#first[path] = packet;
  }

  /** A receipt whose newest packet is this one: it could be opened, so the receiver has the present key. */
  onReceipt(path: number, newest: number): void {
    if (!this.#confirmed && newest >= (this.#first[path] ?? NONE)) this.#confirmed = true;
  }
}

export type KeyName = 'present' | 'previous' | 'next';

const GONE: readonly KeyName[] = [];
const PRESENT: readonly KeyName[] = ['present'];
const PREVIOUS: readonly KeyName[] = ['previous'];
const NEXT: readonly KeyName[] = ['next'];
const PREVIOUS_OR_NEXT: readonly KeyName[] = ['previous', 'next'];

/** The receiver: it moves on only when a packet has opened under the next key, so a forged bit changes nothing. */
export class ReceivePhase {
  /** By path: the lowest packet that opened under the present key. */
  readonly #first = new Float64Array(MAX_PATHS).fill(NONE);
  readonly #use = new KeyUse();
  #phase = 0;
  #overused = false;
  #previousUntil: Instant | undefined;

  /** The keys to try, in this order. None, when the key of the packet is gone. */
  keysFor(bit: PhaseBit, path: number, packet: number): readonly KeyName[] {
    if (bit === bitOf(this.#phase)) return PRESENT;
    const first = this.#first[path] ?? NONE;
    if (first === NONE) return this.#previousUntil === undefined ? NEXT : PREVIOUS_OR_NEXT;
    // Numbers only grow: below one of this phase nothing of the next can be, and above it nothing of the previous.
    if (packet > first) return NEXT;
    return this.#previousUntil === undefined ? GONE : PREVIOUS;
  }

  /** The peer sealed more under one key than it may: a session of new keys should replace this one. */
  get overused(): boolean {
    return this.#overused;
  }

  /** A packet of `bytes` opened under `key`. `previousLifeMs` is how long packets of the phase that ends may still come. */
  onOpened(key: KeyName, path: number, packet: number, bytes: number, previousLifeMs: number, now: Instant): void {
    if (key === 'previous') return;
    if (key === 'next') {
      this.#phase += 1;
      this.#first.fill(NONE);
      this.#use.onRekeyed();
      this.#previousUntil = after(now, Math.min(previousLifeMs, MAX_PREVIOUS_LIFE_MS));
    }
    if (!this.#use.onOpened(bytes)) this.#overused = true;
    if (packet < (this.#first[path] ?? 0)) this.#first[path] = packet;
  }

  /** When the previous key must be destroyed. */
  get previousUntil(): Instant | undefined {
    return this.#previousUntil;
  }

  /** True once, when the time of the previous key is over. */
  expire(now: Instant): boolean {
    if (this.#previousUntil === undefined || now < this.#previousUntil) return false;
    this.#previousUntil = undefined;
    return true;
  }
}
