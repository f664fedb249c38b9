/**
 * Brings up a session with one peer: a handshake over one candidate path after another, until one succeeds or nobody
 * wants the session any more. Of two handshakes at once, that of the smaller PeerId stands.
 */
import { HandshakeDriver, type HandshakeResult } from '../channel/index.js';
import type { Cancel } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import type { Candidate } from '../route/index.js';
import type { MeshContext } from './context.js';
import type { PathEnd } from './path-end.js';
import type { PathSetups } from './path-setup.js';
import { admitSession } from './session-admission.js';

export interface ConnectorHost {
  candidates(): readonly Candidate[];
  /** Whether anybody still waits for the session. */
  wanted(): boolean;
  onSession(result: HandshakeResult, end: PathEnd, rttMs: number): void;
}

interface Attempt {
  readonly end: PathEnd;
  readonly driver: HandshakeDriver;
  readonly stopTimer: Cancel;
  /** Set while the peer of a finished handshake waits to be let in. */
  admission: { readonly result: HandshakeResult; readonly stop: Cancel } | undefined;
}

const FIRST_TIMEOUT_MS = 1_000;
const MAX_TIMEOUT_MS = 5_000;
const RETRY_MS = 100;
const MAX_RETRY_MS = 5_000;
/** After so many failures of its own the smaller PeerId lets the other one try. */
const PATIENCE = 2;

export class Connector {
  readonly #context: MeshContext;
  readonly #setups: PathSetups;
  readonly #peer: PeerId;
  readonly #host: ConnectorHost;
  #attempt: Attempt | undefined;
  #failures = 0;
  #cancelRetry: Cancel | undefined;
  #round = 0;

  constructor(context: MeshContext, setups: PathSetups, peer: PeerId, host: ConnectorHost) {
    this.#context = context;
    this.#setups = setups;
    this.#peer = peer;
    this.#host = host;
  }

  get failures(): number {
    return this.#failures;
  }

  /** A failed attempt is being slept off; `start` does not wait for it. */
  get waiting(): boolean {
    return this.#cancelRetry !== undefined;
  }

  /** Tries at once unless an attempt is under way. */
  start(): void {
    if (this.#attempt !== undefined || !this.#host.wanted()) return;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    const candidates = this.#host.candidates();
    const candidate = candidates[this.#round++ % Math.max(candidates.length, 1)];
    if (candidate === undefined) this.#retryLater();
    else this.#begin(candidate);
  }

  /** Routes changed: what had to wait may work now. */
  nudge(): void {
    if (this.#attempt === undefined && this.#cancelRetry !== undefined) {
      this.#round = 0;
      this.start();
    }
  }

  /** Whether a handshake that the peer began may go ahead. Ours goes on until that one is proved, which stops it. */
  get yields(): boolean {
    return this.#attempt === undefined || this.#peer < this.#context.self || this.#failures >= PATIENCE;
  }

  /** A session is up, or none is wanted. */
  stop(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#endAttempt()?.end.close('superseded');
    this.#failures = 0;
    this.#round = 0;
  }

  #begin({ route }: Candidate): void {
    const { env, handshakePolicy, knownPeers } = this.#context;
    const remoteStatic = knownPeers.staticKey(this.#peer, env.clock.unix());
    const driver = new HandshakeDriver({
      ...handshakePolicy(),
      role: 'initiator',
      context: 'session',
      expectedPeer: this.#peer,
      random: length => env.rng.bytes(length),
      now: env.clock.unix(),
      ...(remoteStatic !== undefined && { remoteStatic }),
    });
    const startedAt = env.clock.now();
    const end = this.#setups.open(this.#peer, route, 'handshake', () => driver.start(), {
      onData: () => undefined, // nothing can be opened yet
      onMessage: message => this.#onReply(message, env.clock.now() - startedAt),
      onClose: reason => this.#fail(`closed: ${reason}`, reason === 'refused'),
    });
    const timeoutMs = Math.min(FIRST_TIMEOUT_MS * 2 ** this.#failures, MAX_TIMEOUT_MS);
    const stopTimer = env.clock.schedule(timeoutMs, () => this.#fail('timed out', true));
    this.#attempt = { end, driver, stopTimer, admission: undefined };
  }

  #onReply(message: Uint8Array, rttMs: number): void {
    const attempt = this.#attempt;
    if (attempt === undefined || attempt.admission !== undefined) return;
    const step = attempt.driver.receive(message);
    if (step.kind === 'failed') {
      this.#fail(step.error.message, true);
      return;
    }
    if (step.reply !== undefined) attempt.end.sendMessage(step.reply);
    if (step.kind !== 'done') return;
    attempt.stopTimer();
    this.#admit(attempt, step.result, rttMs);
  }

  #admit(attempt: Attempt, result: HandshakeResult, rttMs: number): void {
    attempt.admission = { result, stop: () => undefined };
    const stop = admitSession(this.#context, attempt.end, result, refusal => {
      if (refusal !== undefined) {
        this.#fail(refusal.message, false);
        return;
      }
      this.#attempt = undefined;
      this.#host.onSession(result, attempt.end, rttMs);
    });
    if (this.#attempt === attempt) attempt.admission = { result, stop };
  }

  /** `mayBeKey`: a peer whose static key is another one by now would have failed like this. */
  #fail(why: string, mayBeKey: boolean): void {
    const attempt = this.#endAttempt();
    if (attempt === undefined) return;
    attempt.end.close('done');
    this.#context.env.log.debug('session-attempt-failed', { peer: this.#peer, why });
    if (mayBeKey && attempt.driver.pattern === 'IK') {
      // XX asks for the key, under the same policy.
      this.#context.knownPeers.distrustKey(this.#peer);
      this.start();
      return;
    }
    this.#failures += 1;
    this.#retryLater();
  }

  #endAttempt(): Attempt | undefined {
    const attempt = this.#attempt;
    this.#attempt = undefined;
    attempt?.stopTimer();
    attempt?.driver.destroy();
    attempt?.admission?.stop();
    attempt?.admission?.result.destroy();
    return attempt;
  }

  #retryLater(): void {
    const { clock, rng } = this.#context.env;
    const capMs = Math.min(RETRY_MS * 2 ** this.#failures, MAX_RETRY_MS);
    this.#cancelRetry = clock.schedule(capMs * (0.5 + rng.float() / 2), () => {
      this.#cancelRetry = undefined;
      this.start();
    });
  }
}
