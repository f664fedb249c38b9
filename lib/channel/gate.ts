/**
 * What strangers may cost before they are authenticated: how many at once, how often per address, how much processor
 * time together. Everything beyond is refused before any DH or KEM.
 */
import type { Cancel, Clock, Instant } from '../env.js';
import { LIMITS } from '../limits.js';
import { addressKey, isLoopback } from './address-key.js';
import { AdmissionSlots } from './admission-slots.js';
import { Turns } from './turns.js';

export interface HandshakeGateOptions {
  /** Connections that are not authenticated yet; strangers may have half of them. Default 1,024. */
  readonly maxHalfOpen?: number;
  /** Per IPv4 address or IPv6 /64. Default 20, burst 5. */
  readonly handshakesPerSecond?: number;
  readonly handshakeBurst?: number;
  /** Verdicts of `admit` that are awaited at once. Default 256. */
  readonly maxAdmissions?: number;
  /** Share of one core that handshakes may take. Default 0.19. */
  readonly cpuShare?: number;
  /** Time of one core that handshakes may take at once; strangers may have half of it. Default 100. */
  readonly cpuBurstMs?: number;
  /** How long a first message waits for processor time at most. Default 3,000. */
  readonly maxWaitMs?: number;
  /** Addresses whose peers were admitted: for how long that counts, and how many are remembered. Default 600,000; 4,096. */
  readonly trustMs?: number;
  readonly maxTrustedAddresses?: number;
  /** Addresses whose rate is remembered. Default 16,384. */
  readonly maxRatedAddresses?: number;
  /** Addresses without a rate. Default: loopback, where only this host's own programs are. */
  readonly isExempt?: (remoteAddress: string) => boolean;
}

/** One half-open connection, from its accept until `leave`. */
export interface HandshakeTicket {
  /**
   * Its first message has come, so it is evicted no more. Calls back when it is its turn, in this call or a later one:
   * with false when no time was left for another handshake for `maxWaitMs`, or will not be, and the message is not to be
   * read. It is not called after `leave`.
   */
  onFirstMessage(onTurn: (mayBegin: boolean) => void): void;
  /** Runs a part of the handshake at the expense of the budget. */
  run<T>(work: () => T): T;
  /** Whether the handshake may go on: what has begun may use up what is kept for others, but no more. */
  mayGoOn(): boolean;
  /** It failed, and is closed as soon as its answer has left: until then it holds its place, unless somebody needs it. */
  onFailed(): void;
  /** Its peer was admitted: for a while this address is no stranger's. */
  onAdmitted(): void;
  /** The connection is closed, or authenticated. */
  leave(): void;
}

export interface HandshakeGateStats {
  readonly halfOpen: number;
  /** Turned away at the door, or because no time was left. */
  readonly refused: number;
  /** Dropped because another needed the place. */
  readonly evicted: number;
  /** Time of one core that handshakes took so far. */
  readonly spentMs: number;
}

const nothing = (): void => undefined;

interface Entry {
  readonly evict: () => void;
  readonly leave: () => void;
}

/**
 * One call of a handshake is counted with its time on the clock, and at most this: where the process was stopped or
 * the machine slept meanwhile, the clock says much more than was spent. The slowest hybrid step in pure JavaScript
 * takes less.
 */
const MAX_CALL_MS = 50;

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

  /** How long until there is more than `level` in it, as it fills by itself; 0 when there is. */
  msUntilAbove(level: number, now: Instant): number {
    const missing = level - this.level(now);
    return missing < 0 ? 0 : missing / this.#perMs + Number.EPSILON;
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
  readonly #trustMs: number;
  readonly #maxWaitMs: number;
  readonly #cpuShare: number;
  /** None begins on what is left of the burst then: those that have begun go on with it. */
  readonly #reserveMs: number;
  readonly #maxTrusted: number;
  readonly #maxRated: number;
  readonly #isExempt: (remoteAddress: string) => boolean;
  readonly #budget: TokenBucket;
  /** What of it strangers may take: half. */
  readonly #strangersBudget: TokenBucket;
  readonly #turns: Turns;
  /** Who may be evicted, the oldest first: strangers that have said nothing yet, or whose handshake has failed. */
  readonly #evictable = new Set<Entry>();
  #halfOpen = 0;
  #strangers = 0;
  readonly #buckets = new Map<string, TokenBucket>();
  readonly #trusted = new Map<string, Instant>();
  #refused = 0;
  #evicted = 0;
  #spentMs = 0;
  #begun = 0;

  constructor(clock: Clock, options: HandshakeGateOptions = {}) {
    this.admissions = new AdmissionSlots(options.maxAdmissions ?? LIMITS.maxAdmissions);
    this.#clock = clock;
    this.#maxHalfOpen = options.maxHalfOpen ?? LIMITS.maxHalfOpen;
    this.#perSecond = options.handshakesPerSecond ?? LIMITS.handshakesPerSecond;
    this.#burst = options.handshakeBurst ?? LIMITS.handshakeBurst;
    this.#trustMs = options.trustMs ?? LIMITS.trustedAddressMs;
    this.#maxTrusted = options.maxTrustedAddresses ?? LIMITS.maxTrustedAddresses;
    this.#maxRated = options.maxRatedAddresses ?? LIMITS.maxRatedAddresses;
    this.#isExempt = options.isExempt ?? isLoopback;
    this.#maxWaitMs = options.maxWaitMs ?? LIMITS.maxHandshakeWaitMs;
    this.#turns = new Turns(clock, isKnown => this.#msUntilTime(isKnown));
    const cpuShare = options.cpuShare ?? LIMITS.handshakeCpuShare;
    this.#cpuShare = cpuShare;
    const cpuBurstMs = options.cpuBurstMs ?? LIMITS.handshakeCpuBurstMs;
    this.#reserveMs = cpuBurstMs / 4;
    this.#budget = new TokenBucket(cpuBurstMs, cpuShare, clock.now());
    this.#strangersBudget = new TokenBucket(cpuBurstMs / 2, cpuShare / 2, clock.now());
  }

  get stats(): HandshakeGateStats {
    return { halfOpen: this.#halfOpen, refused: this.#refused, evicted: this.#evicted, spentMs: this.#spentMs };
  }

  /** A ticket, or undefined when the connection must be dropped. `evict` is called when another takes its place. */
  enter(remoteAddress: string, evict: () => void): HandshakeTicket | undefined {
    const now = this.#clock.now();
    const key = addressKey(remoteAddress);
    const trusted = this.#isTrusted(key, now);
    if (this.#isOverrun(trusted) || !this.#isWithinRate(key, remoteAddress, now) || !this.#makeRoom(trusted)) {
      this.#refused++;
      return undefined;
    }
    let isIn = true;
    let stopWaiting: Cancel = nothing;
    const leave = (): void => {
      if (!isIn) return;
      isIn = false;
      stopWaiting();
      this.#evictable.delete(entry);
      this.#halfOpen--;
      if (!trusted) this.#strangers--;
    };
    const entry: Entry = { evict, leave };
    this.#halfOpen++;
    if (!trusted) {
      this.#strangers++;
      this.#evictable.add(entry);
    }
    return {
      onFirstMessage: onTurn => {
        this.#evictable.delete(entry);
        stopWaiting = this.#wait(trusted, onTurn);
      },
      run: work => this.#run(work, trusted),
      mayGoOn: () => this.#budget.level(this.#clock.now()) > 0,
      onFailed: () => {
        if (isIn && !trusted) this.#evictable.add(entry);
      },
      onAdmitted: () => this.#trust(key, this.#clock.now()),
      leave,
    };
  }

  /**
   * Waits for a turn and for time. Many who come at once are served one after the other, as fast as the budget fills:
   * turned away, they would all come again, and the budget would lie idle in between. Returns how to stop waiting.
   */
  #wait(trusted: boolean, onTurn: (mayBegin: boolean) => void): Cancel {
    if (this.#isOverrun(trusted)) {
      this.#refused++;
      onTurn(false);
      return nothing;
    }
    const stopTimer = this.#clock.schedule(this.#maxWaitMs, () => {
      leaveQueue();
      this.#refused++;
      onTurn(false);
    });
    const begin = (): void => {
      stopTimer();
      this.#begun++;
      onTurn(true);
    };
    const leaveQueue = this.#turns.add(begin, trusted);
    return () => {
      stopTimer();
      leaveQueue();
    };
  }

  /** Strangers leave half of the budget to those who are known. */
  #msUntilTime(trusted: boolean): number {
    const now = this.#clock.now();
    const ms = this.#budget.msUntilAbove(this.#reserveMs, now);
    return trusted ? ms : Math.max(ms, this.#strangersBudget.msUntilAbove(0, now));
  }

  /** Those who wait already will take all the time that there is for as long as a newcomer may wait. */
  #isOverrun(trusted: boolean): boolean {
    const meanMs = this.#spentMs / Math.max(this.#begun, 1);
    const share = trusted ? this.#cpuShare : this.#cpuShare / 2;
    return this.#turns.ahead(trusted) * meanMs > this.#maxWaitMs * share;
  }

  #run<T>(work: () => T, trusted: boolean): T {
    const begun = this.#clock.now();
    try {
      return work();
    } finally {
      const elapsedMs = this.#clock.now() - begun;
      this.charge(elapsedMs);
      if (!trusted) this.#strangersBudget.take(Math.min(elapsedMs, MAX_CALL_MS), this.#clock.now());
    }
  }

  /** Processor time that handshakes took; also those that needed no ticket: refreshes of live channels. */
  charge(ms: number): void {
    const spentMs = Math.min(ms, MAX_CALL_MS);
    this.#spentMs += spentMs;
    this.#budget.take(spentMs, this.#clock.now());
  }

  #isWithinRate(key: string, remoteAddress: string, now: Instant): boolean {
    if (this.#isExempt(remoteAddress)) return true;
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      bucket = new TokenBucket(this.#burst, this.#perSecond / 1_000, now);
      this.#buckets.set(key, bucket);
      forgetOldest(this.#buckets, this.#maxRated);
    }
    if (bucket.level(now) < 1) return false;
    bucket.take(1, now);
    return true;
  }

  /** Strangers share half of the slots; a newcomer takes that of the oldest who can be spared. */
  #makeRoom(trusted: boolean): boolean {
    const isFull = this.#halfOpen >= this.#maxHalfOpen;
    const strangersFull = !trusted && this.#strangers >= Math.ceil(this.#maxHalfOpen / 2);
    if (!isFull && !strangersFull) return true;
    for (const entry of this.#evictable) {
      this.#evicted++;
      entry.leave();
      entry.evict();
      return true;
    }
    return false;
  }

  #isTrusted(key: string, now: Instant): boolean {
    const since = this.#trusted.get(key);
    return since !== undefined && now - since < this.#trustMs;
  }

  #trust(key: string, now: Instant): void {
    this.#trusted.delete(key);
    this.#trusted.set(key, now);
    forgetOldest(this.#trusted, this.#maxTrusted);
  }
}

function forgetOldest<V>(map: Map<string, V>, max: number): void {
  if (map.size <= max) return;
  for (const key of map.keys()) {
    map.delete(key);
    return;
  }
}
