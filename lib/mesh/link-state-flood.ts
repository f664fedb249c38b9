/**
 * Spreads link states: names are announced to every neighbour, bodies pulled once by whoever lacks them (overlay.md
 * point 2). What this node signs about itself is rate-limited; what others sign is checked before it is believed.
 */
import type { Cancel, Instant } from '../env.js';
import { HopfairError } from '../errors.js';
import { type PeerId, verifySignature } from '../identity/index.js';
import { type LinkStateDatabase, RateLimit, type VerifiedLinkState, verifiedLinkState } from '../route/index.js';
import {
  decodeLinkState,
  type Edge,
  encodeLinkState,
  type LinkState,
  type LinkStateName,
  type NeighbourFrame,
} from '../wire/index.js';
import type { MeshContext } from './context.js';

type FloodFrame = Extract<NeighbourFrame, { kind: 'link-announce' | 'link-pull' | 'link-state' }>;

export interface FloodHost {
  neighbours(): readonly PeerId[];
  /** The present edges of this node and their costs. */
  edges(): readonly Edge[];
  send(neighbour: PeerId, frame: NeighbourFrame): void;
  /** The graph changed. */
  onChange(): void;
}

/** Waits before the first, second, third origination of a burst; then the sustained interval. */
const BURST_DELAYS_MS = [20, 100, 500] as const;
const SUSTAINED_MS = 5_000;
const REFRESH_MS = 60_000;
/** What was not refreshed for this long is forgotten: its origin is gone. */
const EXPIRY_MS = 200_000;
const COST_CHECK_MS = 1_000;
/** A pull that was not answered may be repeated elsewhere after this. */
const PULL_TIMEOUT_MS = 1_000;
const NAMES_PER_FRAME = 256;
/** New versions per origin that are checked: twice what an honest one may send. */
const ACCEPT_PER_SECOND = 0.4;
const ACCEPT_BURST = 10;

export class LinkStateFlood {
  readonly #context: MeshContext;
  readonly #database: LinkStateDatabase;
  readonly #host: FloodHost;
  readonly #pulled = new Map<PeerId, { readonly name: LinkStateName; readonly until: Instant }>();
  readonly #accepts = new Map<PeerId, RateLimit>();
  readonly #heardAt = new Map<PeerId, Instant>();
  readonly #dirty = new Set<PeerId>();
  #announcing = false;
  #epoch: number;
  #sequence = 0;
  #recent: Instant[] = [];
  #cancelOrigination: Cancel | undefined;
  #cancelCheck: Cancel | undefined;
  #advertised: readonly Edge[] = [];

  #closed = false;

  constructor(context: MeshContext, database: LinkStateDatabase, host: FloodHost) {
    this.#context = context;
    this.#database = database;
    this.#host = host;
    this.#epoch = context.env.clock.unix();
    this.#checkLater();
  }

  close(): void {
    this.#closed = true; // the channels that close after this change edges, which nobody has to hear of
    this.#cancelOrigination?.();
    this.#cancelCheck?.();
  }

  // ---------------------------------------------------------------- our own

  /** A channel came or went. */
  edgesChanged(): void {
    if (this.#closed || this.#cancelOrigination !== undefined) return;
    const { clock } = this.#context.env;
    const now = clock.now();
    this.#recent = this.#recent.filter(at => now - at < SUSTAINED_MS);
    const delayMs = BURST_DELAYS_MS[this.#recent.length] ?? SUSTAINED_MS - (now - (this.#recent[0] ?? now));
    this.#cancelOrigination = clock.schedule(Math.max(delayMs, 1), () => {
      this.#cancelOrigination = undefined;
      this.#originate();
    });
  }

  #originate(): void {
    const { self, identity, env, relay } = this.#context;
    this.#recent.push(env.clock.now());
    this.#advertised = this.#host.edges();
    const state: LinkState = {
      origin: self,
      epoch: this.#epoch,
      sequence: ++this.#sequence,
      relay: relay !== undefined,
      edges: this.#advertised,
    };
    const body = encodeLinkState(state);
    this.#store(verifiedLinkState(state, body, identity.sign('link-state', state.epoch, body)));
  }

  /** Costs that drifted by more than 10 % and 2 ms are worth a new version; everything else can wait for the refresh. */
  #checkLater(): void {
    const { clock } = this.#context.env;
    this.#cancelCheck = clock.schedule(COST_CHECK_MS, () => {
      const costs = new Map(this.#host.edges().map(edge => [edge.peer, edge.costMs]));
      const drifted = this.#advertised.some(({ peer, costMs }) => {
        const difference = Math.abs((costs.get(peer) ?? costMs) - costMs);
        return difference > 2 && difference > costMs / 10;
      });
      const lastAt = this.#recent.at(-1);
      const stale = lastAt !== undefined && clock.now() - lastAt > REFRESH_MS;
      if (drifted || stale) this.edgesChanged();
      this.#forgetOld();
      this.#checkLater();
    });
  }

  #forgetOld(): void {
    const { env, membership, self } = this.#context;
    const now = env.clock.now();
    let changed = false;
    for (const { origin } of [...this.#database.states]) {
      const expired = now - (this.#heardAt.get(origin) ?? now) > EXPIRY_MS;
      if (origin === self || (!expired && membership.isAdmitted(origin, env.clock.unix()))) continue;
      this.#database.remove(origin);
      this.#heardAt.delete(origin);
      this.#accepts.delete(origin);
      changed = true;
    }
    if (changed) this.#host.onChange();
  }

  // ---------------------------------------------------------------- spreading

  /** A new neighbour learns what is known here. */
  neighbourUp(peer: PeerId): void {
    this.#announce([peer], [...this.#database.states]);
    this.edgesChanged();
  }

  #announce(neighbours: readonly PeerId[], states: readonly LinkStateName[]): void {
    for (let at = 0; at < states.length; at += NAMES_PER_FRAME) {
      const names = states.slice(at, at + NAMES_PER_FRAME);
      for (const neighbour of neighbours) this.#host.send(neighbour, { kind: 'link-announce', names });
    }
  }

  #store(state: VerifiedLinkState): void {
    if (this.#database.offer(state) !== 'newer') return;
    const { clock } = this.#context.env;
    this.#heardAt.set(state.origin, clock.now());
    this.#dirty.add(state.origin);
    if (this.#announcing) return;
    this.#announcing = true;
    clock.defer(this.#flush);
  }

  /** All that became known in one turn is announced together. */
  readonly #flush = (): void => {
    this.#announcing = false;
    const states = [...this.#dirty].flatMap(origin => this.#database.get(origin) ?? []);
    this.#dirty.clear();
    this.#announce(this.#host.neighbours(), states);
    this.#host.onChange();
  };

  onFrame(from: PeerId, frame: FloodFrame): void {
    if (frame.kind === 'link-announce') this.#onAnnounce(from, frame.names);
    else if (frame.kind === 'link-state') this.#onBody(from, frame.body, frame.signature);
    else {
      for (const { origin } of frame.names) {
        const state = this.#database.get(origin);
        if (state !== undefined) {
          this.#host.send(from, { kind: 'link-state', body: state.body, signature: state.signature });
        }
      }
    }
  }

  #onAnnounce(from: PeerId, names: readonly LinkStateName[]): void {
    const { env, membership, self } = this.#context;
    const now = env.clock.now();
    const unix = env.clock.unix();
    const wanted: LinkStateName[] = [];
    for (const name of names) {
      if (!this.#database.isNews(name) || !membership.isAdmitted(name.origin, unix)) continue;
      const pulled = this.#pulled.get(name.origin);
      const underWay = pulled !== undefined && now < pulled.until && !isNewer(name, pulled.name);
      if (underWay && name.origin !== self) continue;
      this.#pulled.set(name.origin, { name, until: (now + PULL_TIMEOUT_MS) as Instant });
      wanted.push(name);
    }
    if (wanted.length > 0) this.#host.send(from, { kind: 'link-pull', names: wanted });
  }

  #onBody(from: PeerId, body: Uint8Array, signature: Uint8Array): void {
    const { crypto, env, membership, networkId, self } = this.#context;
    let state: LinkState;
    try {
      state = decodeLinkState(body);
    } catch (error) {
      if (!(error instanceof HopfairError)) throw error;
      env.log.warn('link-state-malformed', { from, cause: error.message });
      return;
    }
    const { origin, epoch } = state;
    if (!this.#database.isNews(state) || !membership.isAdmitted(origin, env.clock.unix())) return;
    let accepts = this.#accepts.get(origin);
    if (accepts === undefined) {
      accepts = new RateLimit(ACCEPT_PER_SECOND, ACCEPT_BURST);
      this.#accepts.set(origin, accepts);
    }
    if (!accepts.take(env.clock.now())) return;
    if (!verifySignature(crypto, origin, { kind: 'link-state', networkId, epoch }, body, signature)) {
      env.log.warn('link-state-forged', { from, origin });
      return;
    }
    this.#pulled.delete(origin);
    if (origin === self) {
      // An earlier run of ours, with a clock ahead of the present one: outbid it.
      this.#epoch = Math.max(this.#epoch, epoch + 1);
      this.edgesChanged();
      return;
    }
    this.#store(verifiedLinkState(state, body.slice(), signature.slice()));
  }
}

function isNewer(a: LinkStateName, b: LinkStateName): boolean {
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.sequence > b.sequence);
}
