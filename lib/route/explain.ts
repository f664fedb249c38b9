/**
 * Why a flow did what it did. Every switch, quarantine and refused hedge is one of these events: the measured value, the
 * threshold that it crossed, and the alternatives that lost (overlay.md point 20). Nothing here decides anything.
 */
import type { PeerId } from '../identity/peer-id.js';

/**
 * - `path-lost`: a channel below the path died, or a relay or the destination closed it.
 * - `unreceipted`: messages missed their receipts on it while their copies over the standby got theirs.
 * - `loss`: it loses more packets than is tolerated, by the sequential test (`score`) or in a window (`share`).
 * - `receipt-loss`: it loses more packets on the way back, receipts above all.
 * - `silence`: nothing was receipted on it for long, and it was given up.
 * - `delay`: its round-trip time rose, and the standby won the race.
 * - `faster-alternate`: nothing is wrong, but the standby is better by 10 % and 2 ms over enough paired samples.
 * - `first-path`: there was no route before.
 * - `k-path`: a message asked for so many independent paths.
 */
export type RouteTrigger =
  | 'first-path'
  | 'path-lost'
  | 'unreceipted'
  | 'loss'
  | 'receipt-loss'
  | 'silence'
  | 'delay'
  | 'faster-alternate'
  | 'k-path';

/** A path as its relays in order; an empty list is the direct channel. */
export type Route = readonly PeerId[];

export interface Alternative {
  readonly route: Route;
  readonly reason: string;
}

export interface RouteEvent {
  /**
   * `paths-short`: a message went over fewer independent paths than it asked for. `suspicion`, `suspicion-cleared`: the
   * relay or link in `suspect` is blamed for what was lost, or no longer. The others say what became of the flow.
   */
  readonly kind:
    | 'switch'
    | 'quarantine'
    | 'hedge-refused'
    | 'race-aborted'
    | 'paths-short'
    | 'suspicion'
    | 'suspicion-cleared';
  /** The destination of the flow. */
  readonly flow: PeerId;
  readonly from: Route | undefined;
  /** Undefined when no path is left. */
  readonly to: Route | undefined;
  readonly trigger: RouteTrigger;
  /** What was measured, in the unit that `threshold` has too. */
  readonly measured: number;
  readonly threshold: number;
  readonly unit: 'ms' | 'share' | 'score' | 'points' | 'tokens' | 'paths';
  /** From the first sign of trouble (the sending of the first message that was missed) to this event. */
  readonly ms: number;
  /** Of a quarantine: for how long the route `from` is barred from voluntary use. */
  readonly lastsMs?: number;
  /** Of a suspicion: the relay, or both ends of the link. */
  readonly suspect?: readonly PeerId[];
  readonly alternatives: readonly Alternative[];
  /** Monotonic instant of the deciding node. */
  readonly atMs: number;
}

const abbreviate = (peer: PeerId): string => (peer.length > 14 ? `${peer.slice(0, 11)}…` : peer);

/** A route for people: `direct`, or its relays joined by arrows. `nameOf` gives names that people know them by. */
export function describeRoute(route: Route | undefined, nameOf: (peer: PeerId) => string = abbreviate): string {
  if (route === undefined) return 'no path';
  return route.length === 0 ? 'direct' : route.map(peer => nameOf(peer)).join(' > ');
}

/** A suspect for people: one relay, or the link between two peers. */
export function describeSuspect(suspect: readonly PeerId[], nameOf: (peer: PeerId) => string = abbreviate): string {
  const names = suspect.map(peer => nameOf(peer));
  return suspect.length > 1 ? `link ${names.join(' - ')}` : `relay ${names.join()}`;
}

/** One event as one line of text. */
export function explain(event: RouteEvent, nameOf: (peer: PeerId) => string = abbreviate): string {
  const describe = (route: Route | undefined): string => describeRoute(route, nameOf);
  const numbers = `measured ${round(event.measured)} ${event.unit}, threshold ${round(event.threshold)}`;
  const losers = event.alternatives.map(other => `${describe(other.route)}: ${other.reason}`).join('; ');
  const lasts = event.lastsMs === undefined ? '' : ` for ${round(event.lastsMs)} ms`;
  const change = event.kind === 'switch' || event.kind === 'hedge-refused' ? ` -> ${describe(event.to)}` : '';
  const whom = event.suspect === undefined ? describe(event.from) : describeSuspect(event.suspect, nameOf);
  const head = `${event.kind} ${whom}${change}${lasts}`;
  return `${head} because of ${event.trigger} (${numbers}) after ${round(event.ms)} ms${losers && `; not ${losers}`}`;
}

const round = (value: number): number => Math.round(value * 1000) / 1000;
