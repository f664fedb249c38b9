/**
 * The sessions of one link and how each takes over from the one before it: the new one is set up beside the old, takes
 * the streams once the peer has spoken in it and it has as many paths, and the old one then stays for what is on its way
 * (channel.md, "A fresh DH"). Messages have numbers of their own, so what travels in both arrives once.
 */
import { equalBytes } from '../bytes.js';
import { after, type Instant } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import type { Parcel } from './out-message.js';
import type { SecureSession } from './secure-session.js';

/** What it takes to be one of them. */
export type Heir = Pick<
  SecureSession,
  'role' | 'since' | 'established' | 'paths' | 'slowestPtoMs' | 'tag' | 'pump' | 'end'
>;

export interface SuccessionHost<S> {
  /** What an ended session had under way. */
  requeue(parcels: readonly Parcel[]): void;
  /** The session that all else should use from now on. */
  onCurrent(session: S): void;
}

/** Handshakes of both ends that finish within this time were begun at once; a later one is a new beginning. */
const SIMULTANEOUS_MS = 2_000;
/** A session in which the peer says nothing at all has failed. */
const HELLO_TIMEOUT_MS = 5_000;
/** Rather fewer paths than an old key for longer. */
const HAND_OVER_TIMEOUT_MS = 1_000;
const DRAIN_PTOS = 3;
const MIN_DRAIN_MS = 100;
const MAX_DRAIN_MS = 30_000;

/** What of a session decides between two. */
export type Claim = Pick<Heir, 'role' | 'since'>;

/**
 * Whether `present` stands against `newcomer`. Of two that were begun at once that of the lower PeerId stands, at both
 * ends; otherwise the newer one, since its initiator may have lost the other.
 */
export function stands(present: Claim, newcomer: Claim, selfIsLower: boolean): boolean {
  const beganAtOnce = newcomer.since - present.since < SIMULTANEOUS_MS;
  return beganAtOnce && present.role !== newcomer.role && (present.role === 'initiator') === selfIsLower;
}

interface Retiring<S> {
  readonly session: S;
  readonly since: Instant;
  /** Undefined until the streams were handed over. */
  endsAt: Instant | undefined;
}

export class Succession<S extends Heir> {
  readonly #host: SuccessionHost<S>;
  readonly #selfIsLower: boolean;
  #current: S | undefined;
  /** Its handshake is done, but the peer has not spoken in it yet. */
  #next: S | undefined;
  #retiring: Retiring<S> | undefined;

  constructor(self: PeerId, peer: PeerId, host: SuccessionHost<S>) {
    this.#selfIsLower = self < peer;
    this.#host = host;
  }

  get current(): S | undefined {
    return this.#current;
  }

  get next(): S | undefined {
    return this.#next;
  }

  /** The session that takes new messages. */
  get carrier(): S | undefined {
    const retiring = this.#retiring;
    return retiring !== undefined && retiring.endsAt === undefined ? retiring.session : this.#current;
  }

  /** Those that paths may join. */
  byTag(tag: Uint8Array): S | undefined {
    return [this.#current, this.#next].find(session => session !== undefined && equalBytes(session.tag, tag));
  }

  /** A handshake succeeded. False when another one stands; the session is ended then. */
  install(session: S): boolean {
    if (this.#current === undefined) {
      this.#current = session;
      this.#host.onCurrent(session);
      return true;
    }
    if (this.#next !== undefined && stands(this.#next, session, this.#selfIsLower)) {
      session.end('superseded', false);
      return false;
    }
    this.#next?.end('superseded', false);
    this.#next = session;
    return true;
  }

  /** The peer spoke in this session for the first time. False when another one stands; this one is ended then. */
  onHello(session: S, isNewRun: boolean, now: Instant): boolean {
    if (session !== this.#next) return session === this.#current;
    const present = this.#current;
    this.#next = undefined;
    if (present !== undefined && !isNewRun && stands(present, session, this.#selfIsLower)) {
      session.end('superseded', false);
      return false;
    }
    this.#endRetiring();
    this.#current = session;
    if (present !== undefined) {
      this.#retiring = { session: present, since: now, endsAt: undefined };
      // A run that ended hears nothing any more, and what never began carries nothing.
      if (isNewRun || !present.established) this.#endRetiring();
    }
    this.#host.onCurrent(session);
    this.poll(now);
    return true;
  }

  /** Now and then, and after every change of paths. */
  poll(now: Instant): void {
    const next = this.#next;
    if (next !== undefined && (next.paths.length === 0 || now - next.since > HELLO_TIMEOUT_MS)) {
      this.#next = undefined;
      next.end('done', false);
    }
    const retiring = this.#retiring;
    if (retiring === undefined) return;
    if (retiring.endsAt === undefined) this.#handOverIfReady(retiring, now);
    const isOver = retiring.endsAt !== undefined && now >= retiring.endsAt;
    if (!isOver && retiring.session.paths.length > 0) return;
    this.#endRetiring();
    this.#current?.pump();
  }

  #handOverIfReady(retiring: Retiring<S>, now: Instant): void {
    const { session, since } = retiring;
    const paths = this.#current?.paths.length ?? 0;
    if (paths < session.paths.length && now - since <= HAND_OVER_TIMEOUT_MS) return;
    const drainMs = Math.min(Math.max(DRAIN_PTOS * session.slowestPtoMs, MIN_DRAIN_MS), MAX_DRAIN_MS);
    retiring.endsAt = after(now, drainMs);
    this.#current?.pump();
  }

  #endRetiring(): void {
    const retiring = this.#retiring;
    this.#retiring = undefined;
    if (retiring !== undefined) this.#host.requeue(retiring.session.end('superseded', false));
  }

  /** Ends them all; with `tell`, the peer hears of it. */
  end(reason: 'superseded' | 'done', tell: boolean): void {
    const sessions = [this.#next, this.#current, this.#retiring?.session];
    this.#current = undefined;
    this.#next = undefined;
    this.#retiring = undefined;
    for (const session of sessions) if (session !== undefined) this.#host.requeue(session.end(reason, tell));
  }
}
