/** What was refused here, counted by reason and told at a bounded rate: a flood of bad set-ups is not one of events. */
import type { Instant } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import type { RefusedEvent } from './types.js';

export type Refusal = Pick<RefusedEvent, 'source' | 'reason' | 'value' | 'limit'>;

const INTERVAL_MS = 1_000;

interface Told {
  at: Instant;
  /** Refusals that no event told yet. */
  untold: number;
}

export class Refusals {
  readonly #onEvent: (event: RefusedEvent) => void;
  readonly #byReason = new Map<string, number>();
  readonly #told = new Map<PeerId, Map<string, Told>>();

  constructor(onEvent: (event: RefusedEvent) => void) {
    this.#onEvent = onEvent;
  }

  get byReason(): ReadonlyMap<string, number> {
    return this.#byReason;
  }

  add(from: PeerId, refusal: Refusal, now: Instant): void {
    const { reason } = refusal;
    this.#byReason.set(reason, (this.#byReason.get(reason) ?? 0) + 1);
    let ofNeighbour = this.#told.get(from);
    if (ofNeighbour === undefined) {
      ofNeighbour = new Map();
      this.#told.set(from, ofNeighbour);
    }
    const told = ofNeighbour.get(reason);
    if (told !== undefined && now - told.at < INTERVAL_MS) {
      told.untold += 1;
      return;
    }
    ofNeighbour.set(reason, { at: now, untold: 0 });
    this.#onEvent({ from, ...refusal, count: 1 + (told?.untold ?? 0), atMs: now });
  }

  neighbourLost(peer: PeerId): void {
    this.#told.delete(peer);
  }
}
