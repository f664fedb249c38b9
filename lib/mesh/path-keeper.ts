/**
 * Keeps the paths of one session set up before they are needed (overlay.md point 3): the initiator joins the best
 * candidates, those too that appear while others work. Barred ones stay set up as long as there is room, but do not count,
 * so that others are tried. A route that fails waits longer each time.
 */
import { concat, equalBytes } from '../bytes.js';
import { after, type Cancel, type Instant } from '../env.js';
import type { Candidate, Route } from '../route/index.js';
import type { MeshContext } from './context.js';
import type { PathEnd } from './path-end.js';
import type { PathSetups } from './path-setup.js';
import { SESSION_TAG_BYTES, type SecureSession } from './secure-session.js';

interface Pending {
  readonly end: PathEnd;
  readonly stopTimer: Cancel;
}

const TARGET_PATHS = 3;
/** Paths kept beyond those that are wanted: barred ones, and those that a better candidate replaced. */
const EXTRA_PATHS = 2;
const JOIN_TIMEOUT_MS = 1_000;
const RETRY_MS = 250;
const MAX_RETRY_MS = 30_000;
const MAX_ROUTES_REMEMBERED = 64;

export class PathKeeper {
  readonly #context: MeshContext;
  readonly #setups: PathSetups;
  readonly #candidates: (count: number) => readonly Candidate[];
  readonly #pending = new Map<string, Pending>();
  readonly #failures = new Map<string, { count: number; notBefore: Instant }>();

  constructor(context: MeshContext, setups: PathSetups, candidates: (count: number) => readonly Candidate[]) {
    this.#context = context;
    this.#setups = setups;
    this.#candidates = candidates;
  }

  /** Joins what is missing, and closes what became superfluous. Cheap when nothing is. */
  keep(session: SecureSession): void {
    const now = this.#context.env.clock.now();
    const { flow } = session;
    // Messages that ask for k independent paths lose one when a relay of them fails: one more is kept.
    const wantedPaths = flow.wantedPaths(now);
    const wanted = Math.max(TARGET_PATHS, wantedPaths > 0 ? wantedPaths + 1 : 0);
    const live = new Set(session.paths.map(path => path.route.join('>')));
    const needed = new Set<string>();
    for (const { route } of this.#candidates(wanted + 1)) {
      if (needed.size >= wanted) break;
      const key = route.join('>');
      const isUp = live.has(key);
      if (isUp && !flow.barred(route, now)) needed.add(key);
      if (isUp) continue;
      const failure = this.#failures.get(key);
      if (failure !== undefined && now < failure.notBefore) continue;
      needed.add(key);
      if (!this.#pending.has(key)) this.#join(session, route, key);
    }
    let superfluous = live.size - wanted - EXTRA_PATHS;
    for (const key of live) {
      if (superfluous <= 0) return;
      if (!needed.has(key) && session.releasePath(key)) superfluous -= 1;
    }
  }

  /** Why a candidate is not set up, for explanations. */
  whyUnset(key: string, now: Instant): string {
    if (this.#pending.has(key)) return 'being set up';
    const failure = this.#failures.get(key);
    if (failure === undefined) return 'not needed: enough others are set up';
    const waitMs = Math.max(0, failure.notBefore - now);
    return `set-up failed ${failure.count} times, tried again after ${Math.round(waitMs)} ms`;
  }

  stop(): void {
    for (const { end, stopTimer } of this.#pending.values()) {
      stopTimer();
      end.close('superseded');
    }
    this.#pending.clear();
  }

  #join(session: SecureSession, route: Route, key: string): void {
    const id = session.allotPathId();
    if (id === undefined) return;
    const { clock } = this.#context.env;
    const startedAt = clock.now();
    const end = this.#setups.open(
      session.peer,
      route,
      'join',
      opened => concat(session.tag, session.sealJoin(id, opened)),
      {
        onData: () => undefined, // the answer comes before the first packet, on the same channels
        onMessage: answer => {
          const isOurs = equalBytes(answer.subarray(0, SESSION_TAG_BYTES), session.tag);
          if (!isOurs || session.closed || session.openJoin(answer.subarray(SESSION_TAG_BYTES)) !== id) {
            this.#fail(session, key);
            return;
          }
          this.#pending.get(key)?.stopTimer();
          this.#pending.delete(key);
          this.#failures.delete(key);
          session.addPath(id, end, clock.now() - startedAt);
        },
        onClose: () => this.#fail(session, key),
      },
    );
    const stopTimer = clock.schedule(JOIN_TIMEOUT_MS, () => this.#fail(session, key));
    this.#pending.set(key, { end, stopTimer });
  }

  #fail(session: SecureSession, key: string): void {
    const pending = this.#pending.get(key);
    if (pending === undefined) return;
    this.#pending.delete(key);
    pending.stopTimer();
    pending.end.close('done');
    const count = (this.#failures.get(key)?.count ?? 0) + 1;
    const { clock } = this.#context.env;
    const waitMs = Math.min(RETRY_MS * 2 ** (count - 1), MAX_RETRY_MS);
    if (this.#failures.size >= MAX_ROUTES_REMEMBERED) this.#failures.clear();
    this.#failures.set(key, { count, notBefore: after(clock.now(), waitMs) });
    if (!session.closed) this.keep(session);
  }
}
