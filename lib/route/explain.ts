/**
 * Why a flow did what it did. Every switch, quarantine and refused hedge is one of these events: the measured value, the
 * threshold that it crossed, and the alternatives that lost (overlay.md point 20). Nothing here decides anything.
 */
import type { PeerId } from '../identity/peer-id.js';

/**
 * - `path-lost`: a channel below the path died, or a relay or the destination closed it.
 * - `unreceipted`: messages missed their receipts on it while their copies over the standby got theirs.
 * - `loss`: the share of lost packets in a window is above what is tolerated.
 * - `delay`: its round-trip time rose, and the standby won the race.
 * - `faster-alternate`: nothing is wrong, but the standby is better by 10 % and 2 ms over enough paired samples.
 * - `first-path`: there was no route before.
 */
export type RouteTrigger = 'first-path' | 'path-lost' | 'unreceipted' | 'loss' | 'delay' | 'faster-alternate';

/** A path as its relays in order; an empty list is the direct channel. */
export type Route = readonly PeerId[];

export interface Alternative {
  readonly route: Route;
  readonly reason: string;
}

export interface RouteEvent {
  readonly kind: 'switch' | 'quarantine' | 'hedge-refused' | 'race-aborted';
  /** The destination of the flow. */
  readonly flow: PeerId;
  readonly from: Route | undefined;
  /** Undefined when no path is left. */
  readonly to: Route | undefined;
  readonly trigger: RouteTrigger;
  /** What was measured, in the unit that `threshold` has too. */
  readonly measured: number;
  readonly threshold: number;
  readonly unit: 'ms' | 'share' | 'points' | 'tokens' | 'paths';
  /** From the first sign of trouble (the sending of the first message that was missed) to this event. */
  readonly ms: number;
  /** Of a quarantine: for how long the route `from` is barred from voluntary use. */
  readonly lastsMs?: number;
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

/** One event as one line of text. */
export function explain(event: RouteEvent, nameOf: (peer: PeerId) => string = abbreviate): string {
  const describe = (route: Route | undefined): string => describeRoute(route, nameOf);
  const numbers = `measured ${round(event.measured)} ${event.unit}, threshold ${round(event.threshold)}`;
  const losers = event.alternatives.map(other => `${describe(other.route)}: ${other.reason}`).join('; ');
  const lasts = event.lastsMs === undefined ? '' : ` for ${round(event.lastsMs)} ms`;
  const change = event.kind === 'quarantine' ? '' : ` -> ${describe(event.to)}`;
  const head = `${event.kind} ${describe(event.from)}${change}${lasts}`;
  return `${head} because of ${event.trigger} (${numbers}) after ${round(event.ms)} ms${losers && `; not ${losers}`}`;
}

const round = (value: number): number => Math.round(value * 1000) / 1000;
