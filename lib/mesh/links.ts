/** The links of this node, by peer, and the handshakes that others began with it. */
import { HandshakeDriver } from '../channel/index.js';
import type { Cancel } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import type { MeshContext } from './context.js';
import type { ArrivedSetup, PathSetups } from './path-setup.js';
import { type LinkHost, PeerLink } from './peer-link.js';

interface HalfOpen {
  readonly destroy: () => void;
}

const HALF_OPEN_TIMEOUT_MS = 5_000;
const MAX_HALF_OPEN = 256;
const MAX_HALF_OPEN_PER_PEER = 4;
const MAINTENANCE_MS = 250;

export class Links {
  readonly #context: MeshContext;
  readonly #setups: PathSetups;
  readonly #host: LinkHost;
  readonly #links = new Map<PeerId, PeerLink>();
  readonly #halfOpen = new Map<PeerId, Set<HalfOpen>>();
  #halfOpenCount = 0;
  #cancelMaintenance: Cancel | undefined;

  constructor(context: MeshContext, setups: PathSetups, host: LinkHost) {
    this.#context = context;
    this.#setups = setups;
    this.#host = host;
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

  onArrival({ setup, end, message }: ArrivedSetup): void {
    const peer = setup.source;
    if (setup.purpose === 'join') {
      const link = this.#links.get(peer);
      if (link === undefined) end.close('refused');
      else link.join(end, message);
      return;
    }
    const link = this.#links.get(peer);
    if (link !== undefined && !link.connector.yields) end.close('superseded');
    else if (!this.#hasRoomFor(peer)) end.close('limit');
    else this.#respond(peer, end, message);
  }

  #hasRoomFor(peer: PeerId): boolean {
    const mine = this.#halfOpen.get(peer)?.size ?? 0;
    return mine < MAX_HALF_OPEN_PER_PEER && this.#halfOpenCount < MAX_HALF_OPEN;
  }

  #respond(peer: PeerId, end: ArrivedSetup['end'], message: Uint8Array): void {
    const { env, handshakePolicy } = this.#context;
    const driver = new HandshakeDriver({
      ...handshakePolicy(),
      role: 'responder',
      context: 'session',
      random: length => env.rng.bytes(length),
      now: env.clock.unix(),
    });
    let repliedAt = env.clock.now();
    const halfOpen: HalfOpen = {
      destroy: () => {
        this.#forget(peer, halfOpen);
        stopTimer();
        driver.destroy();
        end.close('refused');
      },
    };
    const stopTimer = env.clock.schedule(HALF_OPEN_TIMEOUT_MS, halfOpen.destroy);
    this.#remember(peer, halfOpen);
    const onMessage = (received: Uint8Array): void => {
      const step = driver.receive(received);
      if (step.reply !== undefined && step.reply.length > 0) end.sendMessage(step.reply);
      if (step.kind === 'continue') {
        repliedAt = env.clock.now();
        return;
      }
      if (step.kind === 'failed' || step.result.peer !== peer || !step.result.confirmed) {
        if (step.kind === 'done') step.result.destroy();
        halfOpen.destroy();
        return;
      }
      this.#forget(peer, halfOpen);
      stopTimer();
      this.open(peer).install(step.result, end, 'responder', env.clock.now() - repliedAt);
    };
    end.attach({ onData: () => undefined, onMessage, onClose: halfOpen.destroy });
    onMessage(message);
  }

  #remember(peer: PeerId, halfOpen: HalfOpen): void {
    const mine = this.#halfOpen.get(peer) ?? new Set();
    this.#halfOpen.set(peer, mine.add(halfOpen));
    this.#halfOpenCount += 1;
  }

  #forget(peer: PeerId, halfOpen: HalfOpen): void {
    const mine = this.#halfOpen.get(peer);
    if (!mine?.delete(halfOpen)) return;
    this.#halfOpenCount -= 1;
    if (mine.size === 0) this.#halfOpen.delete(peer);
  }

  /** Routes changed: links without a session, or with too few paths, may do better now. */
  onRoutesChanged(): void {
    for (const link of this.#links.values()) link.keepPaths();
  }

  #closeRevoked(): void {
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
      this.#closeRevoked();
      this.#maintainLater();
    });
  }

  close(): void {
    this.#cancelMaintenance?.();
    for (const link of this.#links.values()) link.close('closed here');
    this.#links.clear();
    for (const mine of [...this.#halfOpen.values()]) for (const halfOpen of [...mine]) halfOpen.destroy();
  }
}
