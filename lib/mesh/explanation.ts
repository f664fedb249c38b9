/**
 * What a node knows of its way to one peer, as data for pages and the command line, and the text that is made from it
 * (overlay.md point 20). It decides nothing and asks nobody but this node.
 */
import type { Instant } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import {
  type Candidate,
  describeRoute,
  describeSuspect,
  explain,
  type LossWindow,
  type Route,
  type RouteEvent,
  type Suspect,
} from '../route/index.js';
import type { PeerLink } from './peer-link.js';
import type { RouteSnapshot } from './types.js';

/** A route that could be taken, from what nodes claim of their edges. */
export interface CandidateExplanation {
  readonly route: Route;
  /** Round-trip time as claimed and floored: it nominates the route and decides nothing. */
  readonly costMs: number;
  readonly use: RouteSnapshot['role'] | 'unused';
  /** Of an unused one: why. */
  readonly reason?: string;
}

/** A path that is set up. */
export interface PathExplanation extends RouteSnapshot {
  /** Misses of receipts since the last receipt on it. */
  readonly misses: number;
  /** For how long it is barred from voluntary use; 0 when it is not. */
  readonly barredForMs: number;
  /** Packets sent and lost, in windows of 10 s, 60 s and 10 min. */
  readonly loss: readonly LossWindow[];
}

/** Everything that `why` tells of one peer. Instants are of the node's own monotonic clock, as `atMs`. */
export interface PeerExplanation {
  readonly peer: PeerId;
  readonly atMs: number;
  /** An end-to-end session is up. */
  readonly session: boolean;
  readonly candidates: readonly CandidateExplanation[];
  /** Set when there is no candidate: what is missing. */
  readonly unreachable?: string;
  readonly paths: readonly PathExplanation[];
  /** Relays and links that this node blames, for this peer or any other. */
  readonly suspects: readonly Suspect[];
  /** The last 64 decisions, the oldest first. */
  readonly events: readonly RouteEvent[];
}

/** The paths of a link as they are now. */
export function snapshotsOf(link: PeerLink, now: Instant): PathExplanation[] {
  const flow = link.session?.flow;
  if (flow === undefined) return [];
  return [...flow.paths].map(path => {
    const barredForMs = link.barredForMs(path.route, now);
    return {
      flow: link.peer,
      route: path.route,
      role: path === flow.active ? 'active' : path === flow.standby ? 'standby' : 'spare',
      rttMs: path.rtt.smoothedMs,
      ptoMs: path.rtt.ptoMs,
      inFlightBytes: path.window.inFlight,
      quarantined: barredForMs > 0,
      misses: path.misses,
      barredForMs,
      loss: path.lossWindows,
    };
  });
}

export function explainPeer(
  peer: PeerId,
  link: PeerLink | undefined,
  candidates: readonly Candidate[],
  unreachable: string,
  suspects: readonly Suspect[],
  now: Instant,
): PeerExplanation {
  const paths = link === undefined ? [] : snapshotsOf(link, now);
  const explained = candidates.map(({ route, costMs }): CandidateExplanation => {
    const path = paths.find(path => sameRoute(path.route, route));
    if (path !== undefined) return { route, costMs, use: path.role };
    return { route, costMs, use: 'unused', reason: link?.whyUnused(route, now) ?? 'nothing was sent to it yet' };
  });
  return {
    peer,
    atMs: now,
    session: link?.up === true,
    candidates: explained,
    ...(explained.length === 0 && { unreachable }),
    paths,
    suspects,
    events: link === undefined ? [] : [...link.events],
  };
}

const sameRoute = (a: Route, b: Route): boolean => a.length === b.length && a.every((peer, i) => peer === b[i]);

/**
 * An explanation in lines for people, the newest decision last. `nameOf` gives names that people know the peers by;
 * by default peer ids, abbreviated.
 *
 * @example
 * console.log(explanationText(node.explain(peer)));
 */
export function explanationText(explanation: PeerExplanation, nameOf?: (peer: PeerId) => string): string {
  const { atMs, candidates, unreachable, paths, suspects, events, session } = explanation;
  const lines = [session ? 'session up' : 'no session'];
  for (const { role, route, rttMs, ptoMs, misses, barredForMs, loss } of paths) {
    const facts = [`RTT ${rttMs.toFixed(1)} ms`, `PTO ${ptoMs.toFixed(1)} ms`];
    if (misses > 0) facts.push(`${misses} misses`);
    const [recent] = loss;
    if (recent !== undefined && recent.lost > 0) {
      facts.push(`lost ${recent.lost} of ${recent.sent} in ${recent.windowMs / 1_000} s`);
    }
    if (barredForMs > 0) facts.push(`quarantined for ${Math.round(barredForMs)} ms`);
    lines.push(`${role.padEnd(8)} ${describeRoute(route, nameOf)}: ${facts.join(', ')}`);
  }
  for (const { route, costMs, use, reason } of candidates) {
    if (use === 'unused')
      lines.push(`unused   ${describeRoute(route, nameOf)}: claims ${costMs.toFixed(1)} ms; ${reason}`);
  }
  if (unreachable !== undefined) lines.push(`no candidate: ${unreachable}`);
  for (const { peers, lost, destinations } of suspects) {
    lines.push(`suspect  ${describeSuspect(peers, nameOf)}: ${lost} lost towards ${destinations} destinations`);
  }
  for (const event of events) {
    lines.push(`${((atMs - event.atMs) / 1_000).toFixed(1)} s ago: ${explain(event, nameOf)}`);
  }
  return lines.join('\n');
}
