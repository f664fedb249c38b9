/**
 * Spreads lists of edges: names are announced to the neighbours that may lack them, bodies pulled once by whoever does
 * (overlay.md point 2). What others sign is checked before it is believed; a neighbour answers for what it passes on.
 */
import type { Cancel, Instant } from '../env.js';
import { after } from '../env.js';
import { HopfairError } from '../errors.js';
import { type PeerId, verifySignature } from '../identity/index.js';
import { LIMITS } from '../limits.js';
import {
  isNewer,
  type LinkStateDatabase,
  RateLimit,
  type VerifiedLinkState,
  verifiedLinkState,
} from '../route/index.js';
import {
  decodeLinkState,
  type Edge,
  type LinkState,
  type LinkStateName,
  MAX_NAMES,
  type NeighbourFrame,
} from '../wire/index.js';
import type { FloodContext } from './context.js';
import { LinkStatePulls } from './link-state-pulls.js';
import { OwnList } from './own-list.js';

type FloodFrame = Extract<NeighbourFrame, { kind: 'link-announce' | 'link-pull' | 'link-state' }>;

export interface FloodHost {
  neighbours(): readonly PeerId[];
  /** The present edges of this node and their costs. */
  edges(): readonly Edge[];
  send(neighbour: PeerId, frame: NeighbourFrame): void;
  /** The graph changed. */
  onChange(): void;
}

/** What a change waits for others that come with it, and for neighbours who say that they know it already. */
const CHANGE_HOLD_MS = 25;
/** The same for a refresh, which nobody waits for: most neighbours announce it here before it is announced to them. */
const REFRESH_HOLD_MS = 500;
/** What was not refreshed for this long is forgotten: its origin is gone. */
const EXPIRY_MS = 200_000;
const CHECK_MS = 1_000;
const PULL_CHECK_MS = 100;

/** Neighbours that are told in one go, and the pause after it: a thousand of them must not delay everybody's orders. */
const ROUND_SLICE = 8;
const ROUND_PAUSE_MS = 2;

/** By origin: the neighbours that hold the present version for certain. */
type Pending = Map<PeerId, Set<PeerId>>;

/** News that is told to one neighbour after the other. */
interface Round {
  readonly news: Pending;
  readonly left: PeerId[];
}

export class LinkStateFlood {
  readonly #context: FloodContext;
  readonly #database: LinkStateDatabase;
  readonly #host: FloodHost;
  readonly #own: OwnList;
  readonly #pulls: LinkStatePulls;
  /** Lists of each origin that may still be checked. */
  readonly #checks = new Map<PeerId, RateLimit>();
  readonly #answers = new Map<PeerId, RateLimit>();
  readonly #bannedUntil = new Map<PeerId, Instant>();
  readonly #heardAt = new Map<PeerId, Instant>();
  #changed: Pending = new Map();
  #refreshed: Pending = new Map();
  /** The present one, and those that follow: two at most, since what is new meanwhile waits for the next. */
  readonly #rounds: Round[] = [];
  readonly #timers: {
    changed?: Cancel | undefined;
    refreshed?: Cancel | undefined;
    round?: Cancel | undefined;
    pulls?: Cancel | undefined;
  } = {};
  #cancelCheck: Cancel | undefined;
  #closed = false;

  constructor(context: FloodContext, database: LinkStateDatabase, host: FloodHost) {
    this.#context = context;
    this.#database = database;
    this.#host = host;
    this.#own = new OwnList(context, {
      edges: () => host.edges(),
      claimOf: neighbour => database.claimMs(neighbour, context.self),
      publish: list => this.#store(list, []),
    });
    this.#pulls = new LinkStatePulls(
      (name, now) => database.isNews(name) && this.#checks.get(name.origin)?.has(now) !== false,
      (neighbour, names) => host.send(neighbour, { kind: 'link-pull', names }),
    );
    this.#checkLater();
  }

  close(): void {
    this.#closed = true; // the channels that close after this change edges, which nobody has to hear of
    this.#own.close();
    this.#cancelCheck?.();
    for (const cancel of Object.values(this.#timers)) cancel?.();
  }

  // ---------------------------------------------------------------- neighbours

  /** Each learns what the other knows. */
  neighbourUp(peer: PeerId): void {
    this.#announce(peer, [...this.#database.states]);
    this.edgesChanged();
  }

  neighbourDown(peer: PeerId): void {
    this.#pulls.forgetNeighbour(peer);
    this.#answers.delete(peer);
    this.edgesChanged();
  }

  /** A channel came or went. */
  edgesChanged(): void {
    if (!this.#closed) this.#own.edgesChanged();
  }

  #checkLater(): void {
    const { clock } = this.#context.env;
    this.#cancelCheck = clock.schedule(CHECK_MS, () => {
      const now = clock.now();
      this.#own.poll(now);
      this.#forgetOld(now);
      for (const [peer, until] of this.#bannedUntil) if (now >= until) this.#bannedUntil.delete(peer);
      this.#checkLater();
    });
  }

  #forgetOld(now: Instant): void {
    const { env, membership, self } = this.#context;
    const unix = env.clock.unix();
    let changed = false;
    for (const [origin, heardAt] of this.#heardAt) {
      if (this.#database.get(origin) !== undefined) {
        if (origin === self || (now - heardAt <= EXPIRY_MS && membership.isAdmitted(origin, unix))) continue;
        this.#database.remove(origin);
        changed = true;
      }
      this.#heardAt.delete(origin);
      this.#checks.delete(origin);
    }
    if (changed) this.#host.onChange();
  }

  // ---------------------------------------------------------------- spreading

  #store(state: VerifiedLinkState, holders: readonly PeerId[]): void {
    const verdict = this.#database.offer(state);
    if (verdict === 'old' || verdict === 'full') return;
    const { clock, rng } = this.#context.env;
    const { origin } = state;
    this.#heardAt.set(origin, clock.now());
    // A refresh that overtakes a change carries it; one of our own may be the answer to an older run of ours.
    const isUrgent = verdict === 'newer' || this.#changed.has(origin) || origin === this.#context.self;
    if (isUrgent) {
      this.#refreshed.delete(origin);
      this.#changed.set(origin, new Set(holders));
      this.#timers.changed ??= clock.schedule(CHANGE_HOLD_MS, this.#announceChanged);
    } else {
      this.#refreshed.set(origin, new Set(holders));
      this.#timers.refreshed ??= clock.schedule(REFRESH_HOLD_MS * (0.5 + rng.float()), this.#announceRefreshed);
    }
  }

  readonly #announceChanged = (): void => {
    this.#timers.changed = undefined;
    this.#host.onChange();
    if (this.#rounds.length > 1) {
      this.#timers.changed = this.#context.env.clock.schedule(CHANGE_HOLD_MS, this.#announceChanged);
      return;
    }
    this.#beginRound(this.#changed);
    this.#changed = new Map();
  };

  readonly #announceRefreshed = (): void => {
    this.#timers.refreshed = undefined;
    if (this.#rounds.length > 1) {
      this.#timers.refreshed = this.#context.env.clock.schedule(REFRESH_HOLD_MS, this.#announceRefreshed);
      return;
    }
    this.#beginRound(this.#refreshed);
    this.#refreshed = new Map();
  };

  #beginRound(news: Pending): void {
    this.#rounds.push({ news, left: [...this.#host.neighbours()] });
    if (this.#timers.round === undefined) this.#goOn();
  }

  /** Tells the next few neighbours. */
  readonly #goOn = (): void => {
    this.#timers.round = undefined;
    const [round] = this.#rounds;
    if (round === undefined) return;
    const present = round.left.length > ROUND_SLICE ? new Set(this.#host.neighbours()) : undefined;
    for (const neighbour of round.left.splice(0, ROUND_SLICE)) {
      if (present?.has(neighbour) !== false) this.#announce(neighbour, this.#newsFor(neighbour, round.news));
    }
    if (round.left.length === 0) this.#rounds.shift();
    if (this.#rounds.length > 0) this.#timers.round = this.#context.env.clock.schedule(ROUND_PAUSE_MS, this.#goOn);
  };

  #newsFor(neighbour: PeerId, news: Pending): readonly LinkStateName[] {
    const states: LinkStateName[] = [];
    for (const [origin, holders] of news) {
      const state = holders.has(neighbour) ? undefined : this.#database.get(origin);
      if (state !== undefined) states.push(state);
    }
    return states;
  }

  #announce(neighbour: PeerId, states: readonly LinkStateName[]): void {
    for (let at = 0; at < states.length; at += MAX_NAMES) {
      this.#host.send(neighbour, { kind: 'link-announce', names: states.slice(at, at + MAX_NAMES) });
    }
  }

  onFrame(from: PeerId, frame: FloodFrame): void {
    if (frame.kind === 'link-pull') this.#onPull(from, frame.names);
    else if (this.#bannedUntil.has(from)) return;
    else if (frame.kind === 'link-announce') this.#onAnnounce(from, frame.names);
    else this.#onBody(from, frame.body, frame.signature);
  }

  #onPull(from: PeerId, names: readonly LinkStateName[]): void {
    let answers = this.#answers.get(from);
    if (answers === undefined) {
      answers = new RateLimit(LIMITS.linkStatesPerSecond, LIMITS.linkStateBurst);
      this.#answers.set(from, answers);
    }
    const now = this.#context.env.clock.now();
    for (const { origin } of names) {
      const state = this.#database.get(origin);
      if (state === undefined || !answers.take(now)) continue;
      this.#host.send(from, { kind: 'link-state', body: state.body, signature: state.signature });
    }
  }

  #onAnnounce(from: PeerId, names: readonly LinkStateName[]): void {
    const { env, membership } = this.#context;
    const unix = env.clock.unix();
    const news: LinkStateName[] = [];
    for (const name of names) {
      const held = this.#database.get(name.origin);
      if (held === undefined || isNewer(name, held)) {
        if (membership.isAdmitted(name.origin, unix)) news.push(name);
      } else if (!isNewer(held, name)) {
        for (const news of [this.#changed, this.#refreshed, ...this.#rounds.map(round => round.news)]) {
          news.get(name.origin)?.add(from);
        }
      }
    }
    if (news.length === 0) return;
    this.#pulls.onAnnounce(from, news, env.clock.now());
    this.#pollPullsLater();
  }

  #pollPullsLater(): void {
    if (this.#pulls.idle) return;
    const { clock } = this.#context.env;
    this.#timers.pulls ??= clock.schedule(PULL_CHECK_MS, () => {
      this.#timers.pulls = undefined;
      this.#pulls.poll(clock.now());
      this.#pollPullsLater();
    });
  }

  // ---------------------------------------------------------------- bodies

  #onBody(from: PeerId, body: Uint8Array, signature: Uint8Array): void {
    const { crypto, env, membership, networkId, self } = this.#context;
    let state: LinkState;
    try {
      state = decodeLinkState(body);
    } catch (error) {
      if (!(error instanceof HopfairError)) throw error;
      this.#ban(from, 'link-state-malformed');
      return;
    }
    const { origin, epoch } = state;
    // Nobody but whoever was asked is heard: a forged list costs its sender the question, and its alleged origin nothing.
    if (!this.#pulls.onAnswer(from, origin)) return;
    if (!this.#database.isNews(state) || !membership.isAdmitted(origin, env.clock.unix())) return;
    if (!verifySignature(crypto, origin, { kind: 'link-state', networkId, epoch }, body, signature)) {
      this.#ban(from, 'link-state-forged');
      return;
    }
    const holders = [from, ...this.#pulls.holders(state)];
    this.#pulls.settle(state);
    if (origin === self) {
      this.#own.outbid(epoch);
      return;
    }
    this.#store(verifiedLinkState(state, body.slice(), signature.slice()), holders);
    if (this.#database.get(origin) !== undefined) this.#spend(origin);
  }

  /** Charged only for what the origin signed. */
  #spend(origin: PeerId): void {
    let checks = this.#checks.get(origin);
    if (checks === undefined) {
      checks = new RateLimit(LIMITS.linkStateVersionsPerSecond, LIMITS.linkStateVersionBurst);
      this.#checks.set(origin, checks);
    }
    checks.take(this.#context.env.clock.now());
  }

  /** Whoever passes on a list has checked it, or lies. */
  #ban(from: PeerId, why: string): void {
    const { clock, log } = this.#context.env;
    log.warn(why, { from });
    this.#bannedUntil.set(from, after(clock.now(), LIMITS.forgedLinkStateBanMs));
    this.#pulls.forgetNeighbour(from);
  }
}
