/**
 * What strangers may cost before they are authenticated: how many at once, how often per address, how much processor
 * time together. Everything beyond is refused before any DH or KEM.
 */
import type { Clock, Instant } from '../env.js';
import { LIMITS } from '../limits.js';
import { addressKey, isLoopback } from './address-key.js';
import { AdmissionSlots } from './admission-slots.js';

export interface HandshakeGateOptions {
  /** Connections that are not authenticated yet. Default 1,024. */
  readonly maxHalfOpen?: number;
  /** Per IPv4 address or IPv6 /64. Default 20, burst 5. */
  readonly handshakesPerSecond?: number;
  readonly handshakeBurst?: number;
  /** Verdicts of `admit` that are awaited at once. Default 256. */
  readonly maxAdmissions?: number;
  /** Share of one core that handshakes may take. Default 0.2. */
  readonly cpuShare?: number;
  /** Addresses without a rate. Default: loopback, where only this host's own programs are. */
  readonly isExempt?: (remoteAddress: string) => boolean;
}

/** One half-open connection, until `leave`; what is said after the first one counts for nothing. */
export interface HandshakeTicket {
  /** The first message has come: the connection is no longer evicted. */
  onFirstMessage(): void;
  /** Processor time that the handshake took. False once the budget is used up: go no further. */
  spend(ms: number): boolean;
  leave(authenticated: boolean): void;
}

interface Entry {
  readonly key: string;
  readonly evict: () => void;
  readonly trusted: boolean;
  waiting: boolean;
}

/** Addresses whose rate is remembered; the oldest is forgotten first, which only makes it whole again. */
const MAX_ADDRESSES = 16_384;
/** Addresses that authenticated recently: half of the slots and of the processor budget are kept for them. */
const MAX_TRUSTED = 4_096;
const TRUST_MS = 600_000;
const BUDGET_BURST_MS = 500;

/** A bucket that fills by `perMs` up to `capacity`. */
class TokenBucket {
  readonly #capacity: number;
  readonly #perMs: number;
  #tokens: number;
  #at: Instant;

  constructor(capacity: number, perMs: number, now: Instant) {
    this.#capacity = capacity;
    this.#perMs = perMs;
    this.#tokens = capacity;
    this.#at = now;
  }

  level(now: Instant): number {
    this.#tokens = Math.min(this.#capacity, this.#tokens + (now - this.#at) * this.#perMs);
    this.#at = now;
    return this.#tokens;
  }

  take(amount: number, now: Instant): void {
    this.#tokens = this.level(now) - amount;
  }
}

/**
 * One gate serves all listeners of a node.
 *
 * @example
 * const ticket = gate.enter(connection.remoteAddress, () => connection.destroy());
 * if (ticket === undefined) connection.destroy();
 */
export class HandshakeGate {
  /** Peers that have authenticated and wait for a verdict. */
  readonly admissions: AdmissionSlots;
  readonly #clock: Clock;
  readonly #maxHalfOpen: number;
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #isExempt: (remoteAddress: string) => boolean;
  readonly #budget: TokenBucket;
  readonly #halfOpen = new Set<Entry>();
  #strangers = 0;
  readonly #buckets = new Map<string, TokenBucket>();
  readonly #trusted = new Map<string, Instant>();
  #refused = 0;
  #evicted = 0;

  constructor(clock: Clock, options: HandshakeGateOptions = {}) {
    this.admissions = new AdmissionSlots(options.maxAdmissions ?? LIMITS.maxAdmissions);
    this.#clock = clock;
    this.#maxHalfOpen = options.maxHalfOpen ?? LIMITS.maxHalfOpen;
    this.#perSecond = options.handshakesPerSecond ?? LIMITS.handshakesPerSecond;
    this.#burst = options.handshakeBurst ?? LIMITS.handshakeBurst;
    this.#isExempt = options.isExempt ?? isLoopback;
    this.#budget = new TokenBucket(BUDGET_BURST_MS, options.cpuShare ?? LIMITS.handshakeCpuShare, clock.now());
  }

  get stats(): { readonly halfOpen: number; readonly refused: number; readonly evicted: number } {
    return { halfOpen: this.#halfOpen.size, refused: this.#refused, evicted: this.#evicted };
  }

  /** A ticket, or undefined when the connection must be dropped. `evict` is called when another takes its place. */
  enter(remoteAddress: string, evict: () => void): HandshakeTicket | undefined {
    const now = this.#clock.now();
    const key = addressKey(remoteAddress);
    const trusted = this.#isTrusted(key, now);
    const floor = trusted ? 0 : BUDGET_BURST_MS / 2;
    if (this.#budget.level(now) <= floor || !this.#isWithinRate(key, remoteAddress, now) || !this.#makeRoom(trusted)) {
      this.#refused++;
      return undefined;
    }
    const entry: Entry = { key, evict, trusted, waiting: true };
    this.#halfOpen.add(entry);
    if (!trusted) this.#strangers++;
    return {
      onFirstMessage: () => {
        entry.waiting = false;
      },
      spend: ms => {
        const at = this.#clock.now();
        this.#budget.take(ms, at);
        return this.#budget.level(at) > 0;
      },
      leave: authenticated => {
        this.#remove(entry);
        if (authenticated) this.#trust(key, this.#clock.now());
      },
    };
  }

  #isWithinRate(key: string, remoteAddress: string, now: Instant): boolean {
    if (this.#isExempt(remoteAddress)) return true;
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      bucket = new TokenBucket(this.#burst, this.#perSecond / 1_000, now);
      this.#buckets.set(key, bucket);
      forgetOldest(this.#buckets, MAX_ADDRESSES);
    }
    if (bucket.level(now) < 1) return false;
    bucket.take(1, now);
    return true;
  }

  /** Strangers share half of the slots; a newcomer takes that of the oldest who has not said anything yet. */
  #makeRoom(trusted: boolean): boolean {
    const isFull = this.#halfOpen.size >= this.#maxHalfOpen;
    const strangersFull = !trusted && this.#strangers >= Math.ceil(this.#maxHalfOpen / 2);
    if (!isFull && !strangersFull) return true;
    for (const entry of this.#halfOpen) {
      if (!entry.waiting || entry.trusted) continue;
      this.#remove(entry);
      this.#evicted++;
      entry.evict();
      return true;
    }
    return false;
  }

  #remove(entry: Entry): void {
    if (this.#halfOpen.delete(entry) && !entry.trusted) this.#strangers--;
  }

  #isTrusted(key: string, now: Instant): boolean {
    const since = this.#trusted.get(key);
    return since !== undefined && now - since < TRUST_MS;
  }

  #trust(key: string, now: Instant): void {
    this.#trusted.delete(key);
    this.#trusted.set(key, now);
    forgetOldest(this.#trusted, MAX_TRUSTED);
  }
}

function forgetOldest<V>(map: Map<string, V>, max: number): void {
  if (map.size <= max) return;
  for (const key of map.keys()) {
    map.delete(key);
    return;
  }
}
