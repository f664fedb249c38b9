/**
 * Which neighbour is asked for which list of edges: each version once, of a neighbour that announced it, and of the next
 * one when it does not come. A neighbour that announces what does not exist, or does not answer, holds up nobody else's
 * answer (overlay.md point 2).
 */
import type { Instant } from '../env.js';
import { after } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import { isNewer, RateLimit } from '../route/index.js';
import type { LinkStateName } from '../wire/index.js';

/** The newest version that one neighbour announced of one origin. */
interface Offer {
  name: LinkStateName;
  /** What it was asked for last, and until when its answer is waited for. */
  asked: LinkStateName | undefined;
  until: Instant;
  tries: number;
}

interface Asked {
  offers: number;
  /** Questions whose answers are waited for. */
  due: number;
  /** It left a question unanswered: until then others are asked besides. */
  slowUntil: Instant;
  readonly rate: RateLimit;
}

const ANSWER_TIMEOUT_MS = 1_000;
const MAX_TRIES = 3;
const SLOW_MS = 60_000;

export class LinkStatePulls {
  readonly #isWanted: (name: LinkStateName, now: Instant) => boolean;
  readonly #pull: (neighbour: PeerId, names: readonly LinkStateName[]) => void;
  readonly #offers = new Map<PeerId, Map<PeerId, Offer>>();
  readonly #neighbours = new Map<PeerId, Asked>();
  readonly #wanted = new Map<PeerId, LinkStateName[]>();

  /** `isWanted` is asked before each question; `pull` sends one. */
  constructor(
    isWanted: (name: LinkStateName, now: Instant) => boolean,
    pull: (neighbour: PeerId, names: readonly LinkStateName[]) => void,
  ) {
    this.#isWanted = isWanted;
    this.#pull = pull;
  }

  /** Nothing waits to be asked or answered. */
  get idle(): boolean {
    return this.#offers.size === 0;
  }

  /** A neighbour announced versions that are news. */
  onAnnounce(from: PeerId, names: readonly LinkStateName[], now: Instant): void {
    for (const name of names) {
      this.#note(from, name, now);
      this.#askFor(name.origin, now);
    }
    this.#send();
  }

  #note(from: PeerId, name: LinkStateName, now: Instant): void {
    let neighbour = this.#neighbours.get(from);
    if (neighbour === undefined) {
      const rate = new RateLimit(LIMITS.linkStatesPerSecond, LIMITS.linkStateBurst);
      neighbour = { offers: 0, due: 0, slowUntil: now, rate };
      this.#neighbours.set(from, neighbour);
    }
    let offers = this.#offers.get(name.origin);
    const known = offers?.get(from);
    if (known !== undefined) {
      if (isNewer(name, known.name)) known.name = name;
      return;
    }
    if (neighbour.offers >= LIMITS.maxRosterPeers) return;
    neighbour.offers += 1;
    if (offers === undefined) {
      offers = new Map();
      this.#offers.set(name.origin, offers);
    }
    offers.set(from, { name, asked: undefined, until: now, tries: 0 });
  }

  #askFor(origin: PeerId, now: Instant): void {
    for (const [from, offer] of this.#offers.get(origin) ?? []) {
      const neighbour = this.#neighbours.get(from) as Asked;
      if (offer.asked !== undefined || this.#isUnderWay(origin, offer.name, now)) continue;
      if (neighbour.due >= LIMITS.maxLinkStatePulls || !this.#isWanted(offer.name, now)) continue;
      if (!neighbour.rate.take(now)) continue;
      offer.asked = offer.name;
      offer.until = after(now, ANSWER_TIMEOUT_MS);
      offer.tries += 1;
      neighbour.due += 1;
      const wanted = this.#wanted.get(from);
      if (wanted === undefined) this.#wanted.set(from, [offer.name]);
      else wanted.push(offer.name);
    }
  }

  /** Whether somebody who answers was asked for this very version: another one may not exist. */
  #isUnderWay(origin: PeerId, name: LinkStateName, now: Instant): boolean {
    for (const [from, { asked }] of this.#offers.get(origin) ?? []) {
      const isSame = asked !== undefined && !isNewer(asked, name) && !isNewer(name, asked);
      if (isSame && now >= (this.#neighbours.get(from) as Asked).slowUntil) return true;
    }
    return false;
  }

  #send(): void {
    for (const [from, names] of this.#wanted) this.#pull(from, names);
    this.#wanted.clear();
  }

  /** A list came. False when this neighbour was not asked for it. */
  onAnswer(from: PeerId, origin: PeerId): boolean {
    const offer = this.#offers.get(origin)?.get(from);
    if (offer === undefined || offer.tries === 0) return false;
    const { asked } = offer;
    if (asked !== undefined && isNewer(offer.name, asked)) this.#freeToAskAgain(from, offer);
    else this.#drop(origin, from);
    return true;
  }

  #freeToAskAgain(from: PeerId, offer: Offer): void {
    offer.asked = undefined;
    (this.#neighbours.get(from) as Asked).due -= 1;
  }

  /** The neighbours that announced this version or a newer one. */
  holders(name: LinkStateName): PeerId[] {
    const found: PeerId[] = [];
    for (const [from, offer] of this.#offers.get(name.origin) ?? []) if (!isNewer(name, offer.name)) found.push(from);
    return found;
  }

  /** A version is held: what is not newer need not be asked for. */
  settle(name: LinkStateName): void {
    for (const [from, offer] of this.#offers.get(name.origin) ?? []) {
      if (!isNewer(offer.name, name)) this.#drop(name.origin, from);
    }
  }

  /** Asks others for what did not come in time, and for what had to wait. */
  poll(now: Instant): void {
    for (const [origin, offers] of [...this.#offers]) {
      for (const [from, offer] of [...offers]) {
        if (offer.asked === undefined || now < offer.until) continue;
        const neighbour = this.#neighbours.get(from) as Asked;
        neighbour.slowUntil = after(now, SLOW_MS);
        this.#freeToAskAgain(from, offer);
        offers.delete(from); // others first
        if (offer.tries < MAX_TRIES) offers.set(from, offer);
        else neighbour.offers -= 1;
      }
      if (offers.size === 0) this.#offers.delete(origin);
      else this.#askFor(origin, now);
    }
    this.#send();
  }

  /** The channel is gone, or nothing more is believed that comes from there. */
  forgetNeighbour(from: PeerId): void {
    for (const [origin, offers] of [...this.#offers]) if (offers.has(from)) this.#drop(origin, from);
    this.#neighbours.delete(from);
  }

  #drop(origin: PeerId, from: PeerId): void {
    const offers = this.#offers.get(origin);
    const offer = offers?.get(from);
    if (offers === undefined || offer === undefined) return;
    if (offer.asked !== undefined) this.#freeToAskAgain(from, offer);
    (this.#neighbours.get(from) as Asked).offers -= 1;
    offers.delete(from);
    if (offers.size === 0) this.#offers.delete(origin);
  }
}
