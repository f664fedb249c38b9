/**
 * Fresh DH on a live channel (docs/channel.md, "Fresh keys"): a second handshake within the records of the first one, and
 * when the records of the peer change over to its keys. A state machine without I/O: sections and instants go in, what to
 * send and what to seal with comes out.
 */
import { after, type Instant } from '../env.js';
import { HopfairError, requireArgument } from '../errors.js';
import type { Certificate, PeerId } from '../identity/index.js';
import { LIMITS } from '../limits.js';
import type { CipherState } from '../noise/index.js';
import type { HandshakeDriver } from './handshake.js';
import type { ChannelLimits, HandshakeResult, HandshakeStep, Role } from './types.js';

/** Messages 1 and 3 are the initiator's, message 2 the responder's: the handshake is XX. */
export type RefreshMessageNumber = 1 | 2 | 3;

export interface KeyRefreshOptions {
  readonly self: PeerId;
  readonly peer: PeerId;
  readonly limits: Pick<ChannelLimits, 'keyRefreshIntervalMs' | 'maxFirstHandshakeBytes' | 'maxHandshakeBytes'>;
  /** The epoch of the certificate that the peer has presented already: an older one is refused. */
  readonly epoch: number;
  /** How long the peer may take for its next step. */
  readonly answerTimeoutMs: number;
  /** A peer that begins again sooner than this after the last time is cut off. */
  readonly minIntervalMs: number;
  /** Uniform in [0, 1): channels that were opened at once do not refresh at once. */
  readonly spread: number;
  /** A driver of the channel's own policy and suite, bound to the channel and to how many refreshes went before. */
  readonly newDriver: (role: Role, refreshes: number) => HandshakeDriver;
}

/** What the channel is to do, in this order. */
export interface RefreshOutput {
  readonly message?: { readonly number: RefreshMessageNumber; readonly bytes: Uint8Array };
  /** Seals everything that follows the message. */
  readonly tx?: CipherState;
  /** The newest certificate of the peer. */
  readonly certificate?: Certificate;
  /** The channel is over. */
  readonly error?: HopfairError;
}

/** `asked` and `answered` wait for messages 2 and 3, `switching` for the peer's change of keys. */
type State =
  | { readonly kind: 'idle' }
  | { readonly kind: 'asked' | 'answered'; readonly driver: HandshakeDriver; readonly deadline: Instant }
  | { readonly kind: 'switching'; readonly rx: CipherState; readonly deadline: Instant };

/** The end of the lower PeerId begins in this part of the hour, the other one only at its end: they seldom collide. */
const EARLIEST_SHARE = 0.75;
const LATEST_SHARE = 0.95;

/** Far enough above what the other end takes for a flood, whatever its records were delayed by. */
const MIN_INTERVAL_MS = 60_000;

/** Throws INVALID_ARGUMENT unless it is between a minute and an hour: both ends may count on that. */
export function requireRefreshInterval(ms: number): void {
  const isInRange = ms >= MIN_INTERVAL_MS && ms <= LIMITS.keyRefreshIntervalMs;
  requireArgument(isInRange, 'keyRefreshIntervalMs is between a minute and an hour');
}

const refreshFailed = (message: string, cause?: unknown): HopfairError =>
  new HopfairError('KEY_REFRESH_FAILED', message, { cause, retryable: true });

export class KeyRefresh {
  readonly #options: KeyRefreshOptions;
  readonly #isLower: boolean;
  #state: State = { kind: 'idle' };
  #since: Instant;
  #epoch: number;
  #refreshes = 0;
  /** The message that is being put together from pieces. */
  #partial: { readonly number: number; readonly bytes: Uint8Array; length: number } | undefined;
  /** The peer's message 1 that crossed ours was passed over; it sends no second one. */
  #passedOver = false;

  constructor(options: KeyRefreshOptions, now: Instant) {
    this.#options = options;
    this.#isLower = options.self < options.peer;
    this.#since = now;
    this.#epoch = options.epoch;
  }

  /** Completed so far. */
  get refreshes(): number {
    return this.#refreshes;
  }

  /** When `tick` has something to do. */
  get nextDeadline(): Instant {
    if (this.#state.kind !== 'idle') return this.#state.deadline;
    const { limits, spread } = this.#options;
    const share = this.#isLower ? EARLIEST_SHARE + spread * (LATEST_SHARE - EARLIEST_SHARE) : 1;
    return after(this.#since, limits.keyRefreshIntervalMs * share);
  }

  /** Begins a refresh when one is due, and gives up on a peer that does not answer. */
  tick(now: Instant): RefreshOutput | undefined {
    if (now < this.nextDeadline) return undefined;
    if (this.#state.kind !== 'idle') return { error: refreshFailed('the peer does not answer') };
    const driver = this.#options.newDriver('initiator', this.#refreshes);
    this.#passedOver = false;
    this.#wait('asked', driver, now);
    return { message: { number: 1, bytes: driver.start() } };
  }

  /** Takes a piece of the peer's message of this number. The bytes need to be valid during the call only. */
  onPiece(number: number, isLast: boolean, piece: Uint8Array, now: Instant): RefreshOutput | undefined {
    const { maxFirstHandshakeBytes, maxHandshakeBytes } = this.#options.limits;
    const max = number === 1 ? maxFirstHandshakeBytes : maxHandshakeBytes;
    const length = (this.#partial?.length ?? 0) + piece.length;
    if ((this.#partial ?? { number }).number !== number) return broken('pieces of two messages are mixed');
    if (!this.#isExpected(number, now)) return broken(`message ${number} is out of turn`);
    if (length > max) return broken(`message ${number} is too long`);
    if (isLast && this.#partial === undefined) return this.#onMessage(number, piece, now);
    this.#partial ??= { number, bytes: new Uint8Array(max), length: 0 };
    this.#partial.bytes.set(piece, this.#partial.length);
    this.#partial.length = length;
    if (!isLast) return undefined;
    const message = this.#partial.bytes.subarray(0, length);
    this.#partial = undefined;
    return this.#onMessage(number, message, now);
  }

  /** The peer's records after this one are sealed with the new keys: opens them, or undefined when there are none. */
  onSwitch(now: Instant): CipherState | undefined {
    if (this.#state.kind !== 'switching') return undefined;
    const { rx } = this.#state;
    this.#state = { kind: 'idle' };
    this.#since = now;
    this.#refreshes++;
    return rx;
  }

  /** Zeroes the secrets of a refresh that is under way. */
  destroy(): void {
    if (this.#state.kind === 'switching') this.#state.rx.destroy();
    else if (this.#state.kind !== 'idle') this.#state.driver.destroy();
    this.#state = { kind: 'idle' };
  }

  #isExpected(number: number, now: Instant): boolean {
    const { kind } = this.#state;
    if (number === 2) return kind === 'asked';
    if (number === 3) return kind === 'answered';
    if (number !== 1 || now - this.#since < this.#options.minIntervalMs) return false;
    return kind === 'idle' || (kind === 'asked' && !this.#passedOver);
  }

  #onMessage(number: number, message: Uint8Array, now: Instant): RefreshOutput | undefined {
    if (number === 1) return this.#onFirst(message, now);
    const state = this.#state;
    if (state.kind !== 'asked' && state.kind !== 'answered') return broken('nothing is under way');
    return this.#onStep(state.driver.receive(message), state.driver, now);
  }

  #onFirst(message: Uint8Array, now: Instant): RefreshOutput | undefined {
    if (this.#state.kind === 'asked') {
      // Both have begun: the refresh of the lower PeerId stands, and each end knows whose that is.
      if (this.#isLower) {
        this.#passedOver = true;
        return undefined;
      }
      this.#state.driver.destroy();
    }
    const driver = this.#options.newDriver('responder', this.#refreshes);
    this.#wait('answered', driver, now);
    return this.#onStep(driver.receive(message), driver, now);
  }

  #onStep(step: HandshakeStep, driver: HandshakeDriver, now: Instant): RefreshOutput {
    if (step.kind === 'failed')
      return { error: refreshFailed(`the peer's handshake failed: ${step.error.message}`, step.error) };
    if (step.kind === 'continue') return { message: { number: 2, bytes: step.reply } };
    const { epoch } = step.result.certificate;
    if (driver.pattern !== 'XX' || epoch < this.#epoch) {
      step.result.destroy();
      return broken('a refresh is XX, and its certificate no older than the last');
    }
    this.#epoch = epoch;
    return this.#onDone(step.result, step.reply, now);
  }

  #onDone(result: HandshakeResult, reply: Uint8Array | undefined, now: Instant): RefreshOutput {
    const { tx, rx, certificate } = result;
    // What the channel exports stays that of its first handshake, whichever end has changed over already.
    result.destroyExporter();
    this.#state = { kind: 'switching', rx, deadline: after(now, this.#options.answerTimeoutMs) };
    return { ...(reply !== undefined && { message: { number: 3, bytes: reply } }), tx, certificate };
  }

  #wait(kind: 'asked' | 'answered', driver: HandshakeDriver, now: Instant): void {
    this.#state = { kind, driver, deadline: after(now, this.#options.answerTimeoutMs) };
  }
}

const broken = (why: string): RefreshOutput => ({ error: refreshFailed(`the peer broke the protocol: ${why}`) });
