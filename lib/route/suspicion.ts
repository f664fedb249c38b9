/**
 * Which relay, or which link, is to blame (overlay.md point 14): from the node's own paths to all of its destinations, and
 * from nothing that anybody says. The evidence is paired: a copy was lost though a copy of the same message, sent at about
 * the same time over another path, arrived. So when everything is silent, nobody is blamed.
 *
 * Who can be blamed for certain? On a path over one relay the relay, or the destination that denies receipts to frame it:
 * what shows towards one destination only is charged to the link between them. On a path over two relays either may have
 * framed the other: unless one of them is known, their link is charged. A charged link is adjacent to whoever did it.
 */
import type { Instant } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import type { Route } from './explain.js';
import { ALARM_SCORE, LossTest } from './loss-test.js';

export interface Suspect {
  /** The relay, or both ends of the link. */
  readonly peers: readonly [PeerId] | readonly [PeerId, PeerId];
  /** Of the sequential test for loss, on the worst path over it; `threshold` is what made it a suspect. */
  readonly score: number;
  readonly threshold: number;
  /** Copies that were lost over it while others of the same messages arrived. */
  readonly lost: number;
  /** Towards how many destinations this shows. */
  readonly destinations: number;
}

/** A suspect that is new, or one that no longer is one. */
export interface SuspicionChange {
  readonly suspect: Suspect;
  readonly cleared: boolean;
}

/** Records of routes; the one that was opened longest ago is forgotten first. 4 paths to each of 256 destinations. */
const MAX_RECORDS = 1_024;
/** Without new evidence for this long, a record is clean. */
const FORGET_MS = 600_000;
/** How often the records are looked through. */
const ASSESS_MS = 100;
/** So many receipts make a record that speaks for its relays. */
const GOOD_RECEIPTS = 20;
const MAX_CHANGES = 64;

/** What became of the copies that were sent over one route to one destination. */
export class Outcomes {
  readonly destination: PeerId;
  readonly route: Route;
  readonly test: LossTest = new LossTest();
  receipts = 0;
  lossCount = 0;
  lastLossAt: Instant | undefined;
  #bad = false;

  constructor(destination: PeerId, route: Route) {
    this.destination = destination;
    this.route = route;
  }

  /** It loses too much; once that was found, until its score is halved. */
  get bad(): boolean {
    this.#bad = this.test.alarmed || (this.#bad && this.test.score > ALARM_SCORE / 2);
    return this.#bad;
  }

  arrived(): void {
    this.receipts += 1;
    this.test.arrived();
  }

  /** Call it only when another copy of the same message came through. */
  lost(now: Instant): void {
    this.lossCount += 1;
    this.lastLossAt = now;
    this.test.lost(now, 0);
  }

  /** The path lost a race or exceeded its loss: as much as four losses. */
  convicted(now: Instant): void {
    for (let i = 0; i < 4; i++) this.test.lost(now, 0);
    this.lastLossAt = now;
  }

  forget(now: Instant): void {
    if (this.lastLossAt === undefined || now - this.lastLossAt < FORGET_MS) return;
    this.lastLossAt = undefined;
    this.lossCount = 0;
    this.test.reset();
  }
}

export class Suspicion {
  readonly #records = new Map<string, Outcomes>();
  #suspects = new Map<string, Suspect>();
  #assessedAt: Instant | undefined;
  #changes: SuspicionChange[] = [];

  /** The record of a route to a destination, which outlives its paths and sessions. */
  outcomes(destination: PeerId, route: Route): Outcomes | undefined {
    if (route.length === 0) return undefined; // nobody to suspect
    const key = `${destination}:${route.join('>')}`;
    const record = this.#records.get(key) ?? new Outcomes(destination, route);
    this.#records.delete(key);
    this.#records.set(key, record);
    if (this.#records.size > MAX_RECORDS) {
      for (const oldest of this.#records.keys()) {
        this.#records.delete(oldest);
        break;
      }
    }
    return record;
  }

  /** All suspects, as data. */
  suspects(now: Instant): readonly Suspect[] {
    this.#assess(now);
    return [...this.#suspects.values()];
  }

  /** Whether the relay itself is a suspect: it should come last among candidates, for every destination. */
  suspected(relay: PeerId, now: Instant): boolean {
    this.#assess(now);
    return this.#suspects.has(relay);
  }

  /** Whether the route leads over a suspect, relay or link. */
  crosses(destination: PeerId, route: Route, now: Instant): boolean {
    this.#assess(now);
    if (this.#suspects.size === 0) return false;
    return route.some((relay, i) => {
      return this.#suspects.has(relay) || this.#suspects.has(linkKey(relay, route[i + 1] ?? destination));
    });
  }

  /** What changed since the last call. */
  takeChanges(now: Instant): readonly SuspicionChange[] {
    this.#assess(now);
    if (this.#changes.length === 0) return this.#changes;
    const changes = this.#changes;
    this.#changes = [];
    return changes;
  }

  #assess(now: Instant): void {
    if (this.#assessedAt !== undefined && now - this.#assessedAt < ASSESS_MS) return;
    this.#assessedAt = now;
    const found = new Map<string, Suspect>();
    const bad: Outcomes[] = [];
    for (const record of this.#records.values()) {
      record.forget(now);
      if (record.bad) bad.push(record);
    }
    if (bad.length > 0) {
      this.#blameRelays(bad, found);
      blameLinks(bad, found);
    }
    this.#compare(found);
    this.#suspects = found;
  }

  /** A relay is one that loses towards more destinations than it serves, and towards two at least. */
  #blameRelays(bad: readonly Outcomes[], found: Map<string, Suspect>): void {
    const alone = new Map<PeerId, Outcomes[]>();
    for (const record of bad) {
      const [relay, second] = record.route;
      if (relay !== undefined && second === undefined) alone.set(relay, [...(alone.get(relay) ?? []), record]);
    }
    for (const [relay, records] of alone) {
      if (records.length < 2) continue;
      const served = new Set<PeerId>();
      for (const other of this.#records.values()) {
        const good = other.route.includes(relay) && !other.bad && other.receipts >= GOOD_RECEIPTS;
        if (good) served.add(other.destination);
      }
      for (const { destination } of records) served.delete(destination);
      if (records.length > served.size) found.set(relay, suspectOf([relay], records));
    }
  }

  #compare(found: ReadonlyMap<string, Suspect>): void {
    for (const [key, suspect] of found) if (!this.#suspects.has(key)) this.#changes.push({ suspect, cleared: false });
    for (const [key, suspect] of this.#suspects) if (!found.has(key)) this.#changes.push({ suspect, cleared: true });
    if (this.#changes.length > MAX_CHANGES) this.#changes.splice(0, this.#changes.length - MAX_CHANGES);
  }
}

/** Links are blamed for what no suspected relay explains, short routes first: they leave least doubt. */
function blameLinks(bad: readonly Outcomes[], found: Map<string, Suspect>): void {
  const byLength = [...bad].sort((a, b) => a.route.length - b.route.length);
  for (const record of byLength) {
    const { route, destination } = record;
    if (route.some((relay, i) => found.has(relay) || found.has(linkKey(relay, route[i + 1] ?? destination)))) continue;
    const middle = Math.max(0, Math.ceil(route.length / 2) - 1);
    const from = route[middle] as PeerId;
    const to = route[middle + 1] ?? destination;
    found.set(linkKey(from, to), suspectOf([from, to], [record]));
  }
}

const linkKey = (a: PeerId, b: PeerId): string => (a < b ? `${a}-${b}` : `${b}-${a}`);

function suspectOf(peers: Suspect['peers'], records: readonly Outcomes[]): Suspect {
  let score = 0;
  let lost = 0;
  for (const { test, lossCount } of records) {
    score = Math.max(score, test.score);
    lost += lossCount;
  }
  const destinations = new Set(records.map(record => record.destination)).size;
  return { peers, score, threshold: ALARM_SCORE, lost, destinations };
}
