/**
 * The fault model of the virtual network: what becomes of one packet between two machines. Connections (`SimTransport`)
 * and sessions (`SimMessaging`) both ask it, so that one scenario means the same to either.
 */
import type { Cancel } from '../env.js';
import type { Fault } from './faults.js';
import type { SeededRng } from './rng.js';
import type { SimWorld } from './world.js';

/** What a directed link is like. */
export interface LinkConditions {
  /** One-way delay of the empty link. */
  readonly delayMs: number;
  /** Mean of an exponentially distributed extra delay. */
  readonly jitterMs: number;
  /** Probability that a packet is lost. */
  readonly loss: number;
  /** Probability that a message on a connection has a bit flipped. */
  readonly corrupt: number;
  /** Probability that a message finds its connection reset. */
  readonly reset: number;
  /** Throughput of one connection; infinite where nothing queues. */
  readonly bytesPerMs: number;
}

export const GOOD_LINK: LinkConditions = {
  delayMs: 1,
  jitterMs: 0,
  loss: 0,
  corrupt: 0,
  reset: 0,
  bytesPerMs: Number.POSITIVE_INFINITY,
};

type PartitionKind = Extract<Fault, `partition-${string}`>;

const linkKey = (from: string, to: string): string => `${from}>${to}`;

export class SimNetwork {
  readonly #world: SimWorld;
  readonly #rng: SeededRng;
  readonly #blocked = new Map<string, PartitionKind>();
  readonly #links = new Map<string, LinkConditions>();
  readonly #cloggedUntilMs = new Map<string, number>();
  readonly #watchers = new Set<() => void>();
  #usual: LinkConditions;

  constructor(world: SimWorld, usual: Partial<LinkConditions>) {
    this.#world = world;
    this.#rng = world.rng.fork('network');
    this.#usual = { ...GOOD_LINK, ...usual };
  }

  /** Changes what links without conditions of their own are like. */
  setUsual(conditions: Partial<LinkConditions>): void {
    this.#usual = { ...this.#usual, ...conditions };
  }

  /** Gives the link conditions of its own, in one direction. */
  setLink(from: string, to: string, conditions: Partial<LinkConditions>): void {
    this.#links.set(linkKey(from, to), { ...this.link(from, to), ...conditions });
  }

  link(from: string, to: string): LinkConditions {
    return this.#links.get(linkKey(from, to)) ?? this.#usual;
  }

  /** Each side hears only itself. */
  partition(sides: readonly (readonly string[])[]): void {
    this.#separate(sides, 'partition-two-way');
  }

  /** What `from` sends to `to` is lost; the other direction works. */
  partitionOneWay(from: readonly string[], to: readonly string[]): void {
    for (const a of from) for (const b of to) if (a !== b) this.#blocked.set(linkKey(a, b), 'partition-one-way');
    this.#changed();
  }

  /** The sides do not hear each other, but both hear the bridge. */
  partitionWithBridge(left: readonly string[], right: readonly string[]): void {
    this.#separate([left, right], 'partition-bridge');
  }

  /** Ends every partition and clog. */
  heal(): void {
    this.#blocked.clear();
    this.#cloggedUntilMs.clear();
    this.#changed();
  }

  /** Packets wait until the clog ends, and then arrive in a burst. */
  clog(from: string, to: string, durationMs: number): void {
    this.#cloggedUntilMs.set(linkKey(from, to), this.#world.scheduler.nowMs + durationMs);
  }

  blocked(from: string, to: string): boolean {
    return this.#blocked.has(linkKey(from, to));
  }

  /** Calls `fn` after each change of the partitions. */
  onChange(fn: () => void): Cancel {
    this.#watchers.add(fn);
    return () => this.#watchers.delete(fn);
  }

  /** The fate of one packet: its delay in ms, or undefined when it is lost. What acts is counted. */
  fate(from: string, to: string): number | undefined {
    const { faults, scheduler } = this.#world;
    const key = linkKey(from, to);
    const partition = this.#blocked.get(key);
    if (partition !== undefined) {
      faults.count(partition);
      return undefined;
    }
    const link = this.#links.get(key) ?? this.#usual;
    if (link.loss > 0 && this.#rng.chance(link.loss)) {
      faults.count('drop');
      return undefined;
    }
    let delayMs = link.delayMs;
    if (link.jitterMs > 0) {
      delayMs += this.#rng.exponential(link.jitterMs);
      faults.count('jitter');
    }
    const clogMs = (this.#cloggedUntilMs.get(key) ?? 0) - scheduler.nowMs;
    if (clogMs > 0) {
      delayMs += clogMs;
      faults.count('clog');
    }
    return delayMs;
  }

  #separate(sides: readonly (readonly string[])[], kind: PartitionKind): void {
    sides.forEach((side, i) => {
      for (const other of sides.filter((_, j) => j !== i).flat()) {
        for (const member of side) this.#blocked.set(linkKey(member, other), kind);
      }
    });
    this.#changed();
  }

  #changed(): void {
    this.#world.note('partitions changed', this.#blocked.size);
    for (const watcher of this.#watchers) watcher();
  }
}
