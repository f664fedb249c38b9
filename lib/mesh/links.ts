/** The links of this node, by peer. */
import type { Cancel } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import type { MeshContext } from './context.js';
import { messageCost } from './credit.js';
import type { Service } from './messaging.js';
import type { ArrivedSetup, PathSetups } from './path-setup.js';
import { type LinkHost, PeerLink } from './peer-link.js';
import { SessionResponder } from './session-responder.js';

/** A session that was used since is not given up for another one. */
const MIN_IDLE_MS = 60_000;
const MAINTENANCE_MS = 250;

export class Links {
  readonly #context: MeshContext;
  readonly #setups: PathSetups;
  readonly #host: LinkHost;
  readonly #links = new Map<PeerId, PeerLink>();
  readonly #responder: SessionResponder;
  #cancelMaintenance: Cancel | undefined;

  constructor(context: MeshContext, setups: PathSetups, host: LinkHost) {
    this.#context = context;
    this.#setups = setups;
    this.#host = host;
    this.#responder = new SessionResponder(context, (result, end, rttMs) => {
      this.open(result.peer).install(result, end, 'responder', rttMs);
    });
    this.#maintainLater();
  }

  get(peer: PeerId): PeerLink | undefined {
    return this.#links.get(peer);
  }

  get all(): IterableIterator<PeerLink> {
    return this.#links.values();
  }

  /** The link to a peer that this node wants to reach, or that has proved who it is. */
  open(peer: PeerId): PeerLink {
    let link = this.#links.get(peer);
    if (link === undefined) {
      link = new PeerLink(this.#context, this.#setups, peer, this.#host);
      this.#links.set(peer, link);
    }
    return link;
  }

  /** The reader of a service has taken a message of this length, which may have come in an earlier life of the link. */
  taken(peer: PeerId, service: Service, bytes: number, reliable: boolean): void {
    const link = this.#links.get(peer);
    if (link === undefined) this.#context.holdings.of(peer).takeUnread(service, messageCost(bytes));
    else link.taken(service, bytes, reliable);
  }

  onArrival({ setup, end, message }: ArrivedSetup): void {
    const peer = setup.source;
    const link = this.#links.get(peer);
    if (setup.purpose === 'join') {
      if (link === undefined) end.close('refused');
      else link.join(end, message);
      return;
    }
    const hasRoom = this.#responder.hasRoomFor(peer) && (link !== undefined || this.#makeRoom());
    const refusal = hasRoom ? link?.refuses(this.#context.env.clock.now()) : 'limit';
    if (refusal === undefined) this.#responder.respond(peer, end, message);
    else end.close(refusal);
  }

  /** False while all links are in use. Otherwise the one that was idle for longest goes, when there are too many. */
  #makeRoom(): boolean {
    if (this.#links.size < this.#context.maxSessions) return true;
    let idlest: PeerLink | undefined;
    for (const link of this.#links.values()) {
      if (link.isIdle && (idlest === undefined || link.lastUsedAt < idlest.lastUsedAt)) idlest = link;
    }
    if (idlest === undefined || this.#context.env.clock.now() - idlest.lastUsedAt < MIN_IDLE_MS) return false;
    this.#links.delete(idlest.peer);
    idlest.close('idle for longest of too many sessions');
    return true;
  }

  /** Routes changed: links without a session, or with too few paths, may do better now. */
  onRoutesChanged(): void {
    for (const link of this.#links.values()) link.keepPaths();
  }

  /** Ends the sessions of those who are no longer admitted; also four times a second by itself. */
  closeRevoked(): void {
    const { membership, env } = this.#context;
    const unix = env.clock.unix();
    for (const [peer, link] of this.#links) {
      if (membership.isAdmitted(peer, unix)) continue;
      this.#links.delete(peer);
      link.close('NOT_ADMITTED');
    }
  }

  #maintainLater(): void {
    this.#cancelMaintenance = this.#context.env.clock.schedule(MAINTENANCE_MS, () => {
      const now = this.#context.env.clock.now();
      for (const [peer, link] of this.#links) if (!link.maintain(now)) this.#links.delete(peer);
      this.closeRevoked();
      this.#maintainLater();
    });
  }

  close(): void {
    this.#cancelMaintenance?.();
    for (const link of this.#links.values()) link.close('closed here');
    this.#links.clear();
    this.#responder.close();
  }
}
