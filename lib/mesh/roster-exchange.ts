/** What a node with a roster does to have the newest one: `RosterSpread` and `RosterVisits`, put together. */
import type { Channel } from '../channel/index.js';
import { type PeerId, type RosterChange, RosterMembership } from '../identity/index.js';
import type { MeshContext } from './context.js';
import { RosterSpread } from './roster-spread.js';
import { RosterVisits } from './roster-visits.js';

export interface RosterExchangeHost {
  peers(): readonly PeerId[];
  channel(peer: PeerId): Channel | undefined;
  /** A neighbour came to hold what this node holds. */
  caughtUp(neighbour: PeerId): void;
  /** `from`: the neighbour that handed it over, undefined when the application did. */
  onChange(change: RosterChange, from: PeerId | undefined): void;
}

export class RosterExchange {
  readonly visits: RosterVisits;
  readonly #spread: RosterSpread;

  /** Throws ROSTER_INVALID when what the store kept is not a roster of this network and these root keys. */
  constructor(context: MeshContext, membership: RosterMembership, host: RosterExchangeHost) {
    this.visits = new RosterVisits(context, membership, {
      onUp: peer => this.#spread.neighbourUp(peer),
      onMessage: (from, message) => this.#spread.onFrame(from, message),
      onDown: peer => this.#spread.neighbourDown(peer),
    });
    this.#spread = new RosterSpread(context, membership, {
      neighbours: () => [...host.peers(), ...this.visits.peers],
      send: (to, frame, priority) => {
        if (!this.visits.send(to, frame, priority)) host.channel(to)?.send(frame, { priority });
      },
      caughtUp: neighbour => host.caughtUp(neighbour),
      onNothingNew: neighbour => this.visits.end(neighbour),
      onChange: (change, from) => host.onChange(change, from),
    });
  }

  neighbourUp(peer: PeerId): void {
    this.#spread.neighbourUp(peer);
  }

  neighbourDown(peer: PeerId): void {
    this.#spread.neighbourDown(peer);
  }

  onFrame(from: PeerId, frame: Uint8Array): void {
    this.#spread.onFrame(from, frame);
  }

  close(): void {
    this.#spread.close();
  }
}

/** Undefined for a node whose membership is no roster. */
export function rosterExchange(context: MeshContext, host: RosterExchangeHost): RosterExchange | undefined {
  const { membership } = context;
  return membership instanceof RosterMembership ? new RosterExchange(context, membership, host) : undefined;
}
