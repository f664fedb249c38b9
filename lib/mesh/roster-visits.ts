/**
 * Visits: channels with peers that this node's roster does not admit, over which nothing but a newer roster comes. So a
 * node whose roster is expired, or was overtaken while it was away, gets the present one without admitting anybody
 * (decision 134). A visit becomes an ordinary channel when the new roster admits the peer, and ends otherwise.
 */
import type { Channel, Priority } from '../channel/index.js';
import type { Cancel } from '../env.js';
import { HopfairError } from '../errors.js';
import type { PeerId, RosterMembership } from '../identity/index.js';
import { LIMITS } from '../limits.js';
import type { MeshContext } from './context.js';

export interface RosterVisitsHost {
  onUp(peer: PeerId): void;
  onMessage(from: PeerId, message: Uint8Array): void;
  onDown(peer: PeerId): void;
}

/** What becomes of one: called once. */
export interface VisitOutcome {
  /** The peer is a member now; the channel is the caller's. */
  admitted(): void;
  refused(why: HopfairError): void;
}

interface Visit {
  readonly channel: Channel;
  readonly outcome: VisitOutcome;
  readonly stopTimer: Cancel;
}

export class RosterVisits {
  readonly #context: MeshContext;
  readonly #membership: RosterMembership;
  readonly #host: RosterVisitsHost;
  readonly #visits = new Map<PeerId, Visit>();

  constructor(context: MeshContext, membership: RosterMembership, host: RosterVisitsHost) {
    this.#context = context;
    this.#membership = membership;
    this.#host = host;
  }

  get peers(): readonly PeerId[] {
    return [...this.#visits.keys()];
  }

  /** Whether a peer that has proved who it is may stay for a roster. */
  mayBegin(peer: PeerId, isDialled: boolean): boolean {
    const unix = this.#context.env.clock.unix();
    return (
      !this.#membership.isAdmitted(peer, unix) &&
      !this.#visits.has(peer) &&
      this.#visits.size < LIMITS.maxRosterVisits &&
      this.#membership.mayBringRoster(peer, isDialled, unix)
    );
  }

  begin(channel: Channel, outcome: VisitOutcome): void {
    const { peer } = channel;
    const stopTimer = this.#context.env.clock.schedule(LIMITS.rosterVisitMs, () => this.end(peer));
    const visit: Visit = { channel, outcome, stopTimer };
    this.#visits.set(peer, visit);
    channel.attach({
      onMessage: message => this.#host.onMessage(peer, message),
      onDrain: () => undefined,
      onClose: cause => {
        if (this.#leave(peer, visit)) outcome.refused(refusal(peer, cause));
      },
    });
    this.#host.onUp(peer);
  }

  /** False when the peer is no visitor. */
  send(to: PeerId, frame: Uint8Array, priority: Priority): boolean {
    return this.#visits.get(to)?.channel.send(frame, { priority }) === true;
  }

  /** Another roster counts. */
  membershipChanged(): void {
    const unix = this.#context.env.clock.unix();
    for (const [peer, visit] of [...this.#visits]) {
      if (this.#membership.isAdmitted(peer, unix) && this.#leave(peer, visit)) visit.outcome.admitted();
    }
  }

  /** It brought nothing. */
  end(peer: PeerId): void {
    const visit = this.#visits.get(peer);
    if (visit === undefined || !this.#leave(peer, visit)) return;
    visit.channel.revoke();
    visit.outcome.refused(refusal(peer));
  }

  close(): void {
    for (const peer of this.peers) this.end(peer);
  }

  /** True the first time. */
  #leave(peer: PeerId, visit: Visit): boolean {
    if (this.#visits.get(peer) !== visit) return false;
    this.#visits.delete(peer);
    visit.stopTimer();
    this.#host.onDown(peer);
    return true;
  }
}

const refusal = (peer: PeerId, cause?: HopfairError): HopfairError =>
  new HopfairError('NOT_ADMITTED', `${peer} is not a member, and brought no newer roster`, { cause });
