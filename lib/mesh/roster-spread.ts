/**
 * Spreads rosters: versions are announced to every neighbour, the body pulled once from one that has it, a part at a time,
 * and believed only for its signatures (overlay.md point 1). Neighbours who promise what they do not deliver are asked
 * later each time, and others first.
 */
import { equalBytes } from '../bytes.js';
import type { Priority } from '../channel/types.js';
import { after, type Cancel, type Instant } from '../env.js';
import { HopfairError } from '../errors.js';
import type { PeerId, RosterChange, RosterMembership } from '../identity/index.js';
import { LIMITS } from '../limits.js';
import { RateLimit } from '../route/index.js';
import { decodeRosterFrame, encodeRosterFrame, MAX_ROSTER_PART_BYTES, type RosterFrame } from '../wire/index.js';
import type { MeshContext } from './context.js';

export interface RosterSpreadHost {
  /** Those with a channel, visitors among them. */
  neighbours(): readonly PeerId[];
  send(to: PeerId, frame: Uint8Array, priority: Priority): void;
  /** A neighbour came to hold what this node holds: what it ignored of new members before is news to it now. */
  caughtUp(neighbour: PeerId): void;
  /** A neighbour has nothing newer. */
  onNothingNew(neighbour: PeerId): void;
  /** `from`: the neighbour that handed it over, undefined when the application did. */
  onChange(change: RosterChange, from: PeerId | undefined): void;
}

const STORE_RECORD = 'roster';
/** An announcement may have been lost, or come before its hearer was ready. */
const REANNOUNCE_MS = 60_000;
const PART_TIMEOUT_MS = 2_000;
/** A neighbour that delivers, but slowly, holds up the others for so long and no longer. */
const PULL_TIMEOUT_MS = 5_000;
const PULL_TIMEOUT_PER_PART_MS = 100;
const FIRST_WAIT_MS = 1_000;
const MAX_WAIT_MS = 600_000;
/** A roster that does not verify is no accident. */
const STRIKES_OF_A_FORGERY = 4;
/** Neighbours, present and former, whose strikes are remembered. */
const MAX_REMEMBERED = 1_024;

interface Neighbour {
  connected: boolean;
  /** The newest that it announced on the present channel; -1 before. */
  version: number;
  bytes: number;
  /** The last version of ours of which the host was told that this neighbour has come to hold it. */
  caughtUpWith: number;
  /** Pulls from it that came to nothing, in a row. */
  strikes: number;
  notBefore: Instant;
  readonly announcements: RateLimit;
  readonly parts: RateLimit;
}

interface Pull {
  readonly from: PeerId;
  readonly version: number;
  readonly bytes: Uint8Array;
  received: number;
  readonly deadline: Instant;
  stopTimer: Cancel;
}

export class RosterSpread {
  readonly #context: MeshContext;
  readonly #membership: RosterMembership;
  readonly #host: RosterSpreadHost;
  readonly #neighbours = new Map<PeerId, Neighbour>();
  readonly #stopListening: Cancel;
  #announcement: Uint8Array | undefined;
  #bodyHash: Uint8Array | undefined;
  #pull: Pull | undefined;
  /** Who handed over the roster that is being adopted. */
  #bringer: PeerId | undefined;
  #cancelRetry: Cancel | undefined;
  #cancelReannounce: Cancel | undefined;

  /** Throws ROSTER_INVALID when what the store kept is not a roster of this network and these root keys. */
  constructor(context: MeshContext, membership: RosterMembership, host: RosterSpreadHost) {
    this.#context = context;
    this.#membership = membership;
    this.#host = host;
    const kept = context.store?.get(STORE_RECORD);
    if (kept !== undefined) membership.restore(kept); // unless the application brought a newer one along
    this.#hold();
    this.#stopListening = membership.onChange(change => this.#onChange(change));
    this.#reannounceLater();
  }

  close(): void {
    this.#stopListening();
    this.#endPull();
    this.#cancelRetry?.();
    this.#cancelReannounce?.();
  }

  get #version(): number {
    return this.#membership.roster?.version ?? -1;
  }

  // ---------------------------------------------------------------- what is held here

  #onChange(change: RosterChange): void {
    this.#hold();
    if (this.#pull !== undefined && this.#pull.version <= change.version) this.#endPull();
    const { log } = this.#context.env;
    const { version, oldVersion, added, removed } = change;
    log.info('roster-adopted', { version, oldVersion, added: added.length, removed: removed.length });
    this.#host.onChange(change, this.#bringer);
    this.#announce(this.#host.neighbours());
    this.#next();
  }

  /** Keeps the roster held: on disk, and ready to be announced. */
  #hold(): void {
    const { document } = this.#membership;
    if (document === undefined) return;
    const { crypto, store, env } = this.#context;
    this.#bodyHash = crypto.hash('SHA256').digest(document.body);
    this.#announcement = encodeRosterFrame({
      kind: 'roster-announce',
      version: this.#version,
      bytes: document.bytes.length,
      bodyHash: this.#bodyHash,
    });
    store?.set(STORE_RECORD, document.bytes, failure => {
      if (failure !== undefined) env.log.error('roster-not-stored', { cause: failure.message });
    });
  }

  /** Nobody is bothered with a roster that is expired. */
  #announce(to: readonly PeerId[]): void {
    const expiry = this.#membership.roster?.expiry;
    if (this.#announcement === undefined || expiry === undefined || this.#context.env.clock.unix() > expiry) return;
    for (const neighbour of to) this.#host.send(neighbour, this.#announcement, 'normal');
  }

  #reannounceLater(): void {
    this.#cancelReannounce = this.#context.env.clock.schedule(REANNOUNCE_MS, () => {
      this.#announce(this.#host.neighbours());
      this.#reannounceLater();
    });
  }

  // ---------------------------------------------------------------- neighbours

  neighbourUp(peer: PeerId): void {
    const neighbour = this.#neighbour(peer);
    neighbour.connected = true;
    neighbour.version = -1;
    this.#announce([peer]);
  }

  neighbourDown(peer: PeerId): void {
    const neighbour = this.#neighbours.get(peer);
    if (neighbour === undefined) return;
    neighbour.connected = false;
    if (this.#pull?.from === peer) this.#failPull('it went away', 1);
  }

  #neighbour(peer: PeerId): Neighbour {
    let neighbour = this.#neighbours.get(peer);
    if (neighbour === undefined) {
      neighbour = {
        connected: false,
        version: -1,
        bytes: 0,
        caughtUpWith: -1,
        strikes: 0,
        notBefore: this.#context.env.clock.now(),
        announcements: new RateLimit(LIMITS.rosterAnnouncementsPerSecond, LIMITS.rosterAnnouncementBurst),
        parts: new RateLimit(LIMITS.rosterPartsPerSecond, LIMITS.rosterPartBurst),
      };
      this.#neighbours.set(peer, neighbour);
      this.#forgetOne();
    }
    return neighbour;
  }

  #forgetOne(): void {
    if (this.#neighbours.size <= MAX_REMEMBERED) return;
    for (const [peer, { connected }] of this.#neighbours) {
      if (connected) continue;
      this.#neighbours.delete(peer);
      return;
    }
  }

  onFrame(from: PeerId, bytes: Uint8Array): void {
    const neighbour = this.#neighbours.get(from);
    if (neighbour?.connected !== true) return;
    let frame: RosterFrame;
    try {
      frame = decodeRosterFrame(bytes);
    } catch (error) {
      if (!(error instanceof HopfairError)) throw error;
      this.#context.env.log.warn('frame-malformed', { from, cause: error.message });
      return;
    }
    if (frame.kind === 'roster-announce') this.#onAnnounce(from, neighbour, frame);
    else if (frame.kind === 'roster-pull') this.#serve(from, neighbour, frame);
    else this.#onPart(from, frame);
  }

  #onAnnounce(from: PeerId, neighbour: Neighbour, frame: Extract<RosterFrame, { kind: 'roster-announce' }>): void {
    const { clock, log } = this.#context.env;
    if (!neighbour.announcements.take(clock.now())) return;
    const { version: before } = neighbour;
    neighbour.version = frame.version;
    neighbour.bytes = frame.bytes;
    if (frame.version > this.#version) {
      this.#next();
      return;
    }
    if (frame.version === this.#version) {
      const isSame = this.#bodyHash !== undefined && equalBytes(this.#bodyHash, frame.bodyHash);
      if (!isSame) log.warn('roster-conflict', { from, version: frame.version });
      else if (before !== -1 && before < frame.version && neighbour.caughtUpWith < frame.version) {
        neighbour.caughtUpWith = frame.version; // once for each version, whatever it announces in between
        this.#host.caughtUp(from);
      }
    }
    this.#host.onNothingNew(from);
  }

  #serve(to: PeerId, neighbour: Neighbour, { version, offset }: { version: number; offset: number }): void {
    if (!neighbour.parts.take(this.#context.env.clock.now())) return;
    const { document } = this.#membership;
    if (document === undefined || version !== this.#version || offset >= document.bytes.length) {
      this.#announce([to]); // it asks for what was announced before
      return;
    }
    const bytes = document.bytes.subarray(offset, offset + MAX_ROSTER_PART_BYTES);
    this.#host.send(to, encodeRosterFrame({ kind: 'roster-part', version, offset, bytes }), 'bulk');
  }

  // ---------------------------------------------------------------- pulling

  /** Begins a pull from the neighbour that failed least, and of these from the one with the newest; or waits. */
  #next(): void {
    if (this.#pull !== undefined) return;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    const { clock } = this.#context.env;
    const now = clock.now();
    let best: readonly [PeerId, Neighbour] | undefined;
    let earliest: Instant | undefined;
    for (const entry of this.#neighbours) {
      const [, neighbour] = entry;
      if (!neighbour.connected || neighbour.version <= this.#version) continue;
      if (neighbour.notBefore > now) {
        if (earliest === undefined || neighbour.notBefore < earliest) earliest = neighbour.notBefore;
      } else if (best === undefined || isBetter(neighbour, best[1])) best = entry;
    }
    if (best !== undefined) this.#begin(best[0], best[1], now);
    else if (earliest !== undefined) this.#cancelRetry = clock.schedule(earliest - now, () => this.#next());
  }

  #begin(from: PeerId, { version, bytes }: Neighbour, now: Instant): void {
    const parts = Math.ceil(bytes / MAX_ROSTER_PART_BYTES);
    this.#pull = {
      from,
      version,
      bytes: new Uint8Array(bytes),
      received: 0,
      deadline: after(now, PULL_TIMEOUT_MS + PULL_TIMEOUT_PER_PART_MS * parts),
      stopTimer: () => undefined,
    };
    this.#askForPart(this.#pull);
  }

  #askForPart(pull: Pull): void {
    const { clock } = this.#context.env;
    pull.stopTimer();
    const waitMs = Math.min(PART_TIMEOUT_MS, Math.max(0, pull.deadline - clock.now()));
    pull.stopTimer = clock.schedule(waitMs, () => this.#failPull('it did not deliver in time', 1));
    const frame = encodeRosterFrame({ kind: 'roster-pull', version: pull.version, offset: pull.received });
    this.#host.send(pull.from, frame, 'normal');
  }

  #onPart(from: PeerId, { version, offset, bytes }: Extract<RosterFrame, { kind: 'roster-part' }>): void {
    const pull = this.#pull;
    if (pull === undefined || pull.from !== from || pull.version !== version || pull.received !== offset) return;
    if (bytes.length === 0 || offset + bytes.length > pull.bytes.length) {
      this.#failPull('it sent more or less than it announced', STRIKES_OF_A_FORGERY);
      return;
    }
    pull.bytes.set(bytes, offset);
    pull.received += bytes.length;
    if (pull.received < pull.bytes.length) this.#askForPart(pull);
    else this.#adopt(pull);
  }

  #adopt(pull: Pull): void {
    this.#endPull();
    this.#bringer = pull.from;
    try {
      this.#membership.update(pull.bytes, this.#context.env.clock.unix());
      if (this.#version === pull.version) this.#neighbour(pull.from).strikes = 0;
      else this.#strike(pull, 'it delivered another version', STRIKES_OF_A_FORGERY);
    } catch (error) {
      if (!(error instanceof HopfairError && error.code === 'ROSTER_INVALID')) throw error;
      this.#strike(pull, error.message, STRIKES_OF_A_FORGERY);
    } finally {
      this.#bringer = undefined;
    }
    this.#next();
  }

  #failPull(why: string, strikes: number): void {
    const pull = this.#endPull();
    if (pull !== undefined) this.#strike(pull, why, strikes);
    this.#next();
  }

  #strike({ from, version }: Pull, why: string, strikes: number): void {
    const { clock, log } = this.#context.env;
    const neighbour = this.#neighbour(from);
    neighbour.strikes += strikes;
    const waitMs = Math.min(FIRST_WAIT_MS * 2 ** (neighbour.strikes - 1), MAX_WAIT_MS);
    neighbour.notBefore = after(clock.now(), waitMs);
    log.warn('roster-pull-failed', { from, version, why, waitMs });
  }

  #endPull(): Pull | undefined {
    const pull = this.#pull;
    this.#pull = undefined;
    pull?.stopTimer();
    return pull;
  }
}

const isBetter = (a: Neighbour, b: Neighbour): boolean =>
  a.strikes < b.strikes || (a.strikes === b.strikes && a.version > b.version);
