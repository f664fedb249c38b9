/**
 * Counts what the nodes report and judges the run: nothing lost, nothing twice, every replica the same. Knows nothing of
 * networks; it is fed reports and asked for a summary.
 */
import { createHash } from 'node:crypto';
import type { EntryReport, ModeName, Report, RouteReport } from './messages.js';
import type { OffenderReport } from './offenders.js';

export interface FrontRunTally {
  readonly tried: number;
  readonly won: number;
}

export interface Summary {
  readonly type: 'summary';
  readonly submitted: number;
  readonly delivered: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly divergent: number;
  readonly reroutes: readonly RouteReport[];
  /** Of those that a fault made necessary: from its first sign, by flows that send a few messages a second. */
  readonly rerouteMs: { readonly p50: number; readonly p95: number };
  readonly latencyMs: { readonly p50: number; readonly p99: number };
  readonly frontRun: { readonly [mode in ModeName]: FrontRunTally };
  readonly stateHashes: readonly string[];
  readonly malformedLines: number;
  readonly verdict: 'pass' | 'fail';
}

/** What a run measured besides, where it did. */
export interface Measured {
  readonly offenders: readonly OffenderReport[];
  readonly cpuSecondsPer10s: number;
}

interface Attack {
  readonly mode: ModeName;
  /** Order id of the victim. */
  readonly victim: string;
  /** `account/reference` of the front-runner's own order. */
  readonly order: string;
}

/** The running hash over order ids by which the logs of members and observers are compared. */
export class LogDigest {
  #digest = '';
  #count = 0;

  get count(): number {
    return this.#count;
  }

  get digest(): string {
    return this.#digest;
  }

  append(id: string): void {
    this.#digest = createHash('sha256').update(this.#digest).update(id).digest('hex');
    this.#count++;
  }
}

/** One log as one observer reported it. */
class ObservedLog {
  readonly entries: EntryReport[] = [];
  /** Digest after each count of entries. */
  readonly digests: string[] = [''];
  /** Index by order id, and by `account/reference`. */
  readonly byId = new Map<string, number>();
  readonly byOrder = new Map<string, number>();
  readonly #running = new LogDigest();
  /** Reports that did not begin where the one before ended. */
  gaps = 0;

  append(firstIndex: number, entries: readonly EntryReport[]): void {
    if (firstIndex !== this.entries.length) this.gaps++;
    for (const entry of entries) {
      this.byId.set(entry.id, this.entries.length);
      this.byOrder.set(entry.order, this.entries.length);
      this.entries.push(entry);
      this.#running.append(entry.id);
      this.digests.push(this.#running.digest);
    }
  }
}

/** The value below which a share of the samples lies, to a tenth; 0 without any. */
function quantiles(samples: readonly number[]): (share: number) => number {
  const sorted = Float64Array.from(samples).sort();
  return share => Math.round((sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0) * 10) / 10;
}

export class Tally {
  readonly reroutes: RouteReport[] = [];
  malformedLines = 0;
  readonly #submitted: Record<ModeName, Set<string>> = { sealed: new Set(), plain: new Set() };
  /** Submitted to the sealed log and not known to be delivered. */
  readonly #outstanding = new Set<string>();
  readonly #latencies: number[] = [];
  readonly #logs: Record<ModeName, Map<string, ObservedLog>> = { sealed: new Map(), plain: new Map() };
  /** What each member said last about its own log. */
  readonly #members = new Map<string, { count: number; digest: string }>();
  readonly #states = new Map<string, { applied: number; stateHash: string }>();
  readonly #attacks: Attack[] = [];

  /** Takes one report of the node `name`. */
  add(name: string, report: Report): void {
    switch (report.kind) {
      case 'route':
        this.reroutes.push(report.event);
        break;
      case 'submitted':
        for (const order of report.orders) {
          this.#submitted[report.mode].add(order);
          if (report.mode === 'sealed') this.#outstanding.add(order);
        }
        if (report.mode === 'sealed') for (const latency of report.latenciesMs) this.#latencies.push(latency);
        break;
      case 'entries':
        this.#log(report.mode, name).append(report.firstIndex, report.entries);
        break;
      case 'log':
        this.#members.set(name, report);
        break;
      case 'state':
        this.#states.set(name, report);
        break;
      case 'attack':
        this.#attacks.push(report);
        break;
    }
  }

  #log(mode: ModeName, name: string): ObservedLog {
    const log = this.#logs[mode].get(name) ?? new ObservedLog();
    this.#logs[mode].set(name, log);
    return log;
  }

  get submitted(): number {
    return this.#submitted.sealed.size;
  }

  /** Orders of the sealed log that every observer has. */
  get delivered(): number {
    const logs = [...this.#logs.sealed.values()];
    if (logs.length === 0) return 0;
    // Asked for many times a second: what was delivered once stays so.
    for (const order of this.#outstanding)
      if (logs.every(log => log.byOrder.has(order))) this.#outstanding.delete(order);
    return this.submitted - this.#outstanding.size;
  }

  /** Entries of the longest observed log. */
  get logLength(): number {
    return this.#longest('sealed')?.entries.length ?? 0;
  }

  /** Entries of the longest observed log, newest last. */
  tail(count: number): readonly EntryReport[] {
    return this.#longest('sealed')?.entries.slice(-count) ?? [];
  }

  #longest(mode: ModeName): ObservedLog | undefined {
    let longest: ObservedLog | undefined;
    for (const log of this.#logs[mode].values())
      if (log.entries.length >= (longest?.entries.length ?? 0)) longest = log;
    return longest;
  }

  latencyMs(): { p50: number; p99: number } {
    const at = quantiles(this.#latencies);
    return { p50: at(0.5), p99: at(0.99) };
  }

  rerouteMs(): { p50: number; p95: number } {
    const forced = this.reroutes.filter(({ trigger }) => trigger !== 'faster-alternate');
    const at = quantiles(forced.map(({ ms }) => ms));
    return { p50: at(0.5), p95: at(0.95) };
  }

  /** An attack counts when both orders are in the log; it is won when the attacker is ahead and on the victim's side. */
  frontRun(mode: ModeName): FrontRunTally {
    const log = this.#longest(mode);
    let tried = 0;
    let won = 0;
    for (const attack of this.#attacks) {
      const victim = log?.byId.get(attack.victim);
      const own = log?.byOrder.get(attack.order);
      if (attack.mode !== mode || log === undefined || victim === undefined || own === undefined) continue;
      tried++;
      if (own < victim && log.entries[own]?.side === log.entries[victim]?.side) won++;
    }
    return { tried, won };
  }

  summary(): Summary {
    const logs = [...this.#logs.sealed.values()];
    const canonical = this.#longest('sealed');
    let duplicated = 0;
    let divergent = 0;
    for (const log of logs) {
      const orders = log.entries.map(entry => entry.order).filter(order => order !== '');
      duplicated += orders.length - new Set(orders).size;
      divergent += log.gaps;
      if (log.digests.at(-1) !== canonical?.digests[log.entries.length]) divergent++;
    }
    for (const { count, digest } of this.#members.values()) if (canonical?.digests[count] !== digest) divergent++;
    const stateHashes = [...this.#states.values()].map(state => state.stateHash);
    const submitted = this.submitted;
    const delivered = this.delivered;
    const lost = submitted - delivered;
    const agreed = stateHashes.length > 0 && new Set(stateHashes).size === 1;
    return {
      type: 'summary',
      submitted,
      delivered,
      lost,
      duplicated,
      divergent,
      reroutes: this.reroutes,
      rerouteMs: this.rerouteMs(),
      latencyMs: this.latencyMs(),
      frontRun: { plain: this.frontRun('plain'), sealed: this.frontRun('sealed') },
      stateHashes,
      malformedLines: this.malformedLines,
      verdict: submitted > 0 && lost === 0 && duplicated === 0 && divergent === 0 && agreed ? 'pass' : 'fail',
    };
  }
}
