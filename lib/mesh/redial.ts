/**
 * When an address is dialled again: full jitter below a bound that doubles (channel.md, "Transport phase"). A machine
 * without time or chance of its own; the dialler draws the wait.
 */
import type { Instant } from '../env.js';
import { HopfairError } from '../errors.js';

/** Everybody who lost a peer together comes back within this span, not at once. */
export const RECONNECT_SPREAD_MS = 5_000;
/** An address where nobody ever listened: nobody lost it together, and it may be a program that is just starting. */
export const FIRST_RETRY_MS = 250;
export const MAX_RETRY_MS = 30_000;
/** A channel that lived this long makes the failures before it count for nothing. */
export const HEALTHY_MS = 30_000;

/**
 * So often in a row one who has no time for handshakes is asked again within the same spread: it serves all who come as
 * fast as it can, which a longer wait only makes it idle in.
 */
export const PATIENT_TRIES = 6;

export class Redial {
  #failures = 0;
  #turnedAway = 0;
  #spreadMs = FIRST_RETRY_MS;
  #upSince: Instant | undefined;

  /** Tries in a row that came to nothing, or to a channel that did not live. */
  get failures(): number {
    return this.#failures;
  }

  connected(now: Instant): void {
    this.#upSince ??= now;
    this.#spreadMs = RECONNECT_SPREAD_MS;
  }

  /** A channel was lost, or a try failed. The next try is anywhere within this many milliseconds. */
  failed(cause: HopfairError, now: Instant): number {
    if (this.#upSince !== undefined && now - this.#upSince >= HEALTHY_MS) this.#failures = 0;
    this.#turnedAway = isWordless(cause) ? this.#turnedAway + 1 : 0;
    this.#upSince = undefined;
    // Somebody answers there, and others who were refused with us come again too.
    if (cause.code !== 'DIAL_FAILED') this.#spreadMs = RECONNECT_SPREAD_MS;
    this.#failures += 1;
    if (needsHelp(cause)) return MAX_RETRY_MS;
    const patient = Math.min(this.#turnedAway, PATIENT_TRIES);
    return Math.min(this.#spreadMs * 2 ** Math.max(this.#failures - 1 - patient, 0), MAX_RETRY_MS);
  }
}

/** Closed before an answer, without a refusal: who has no time for handshakes does that. */
export const isWordless = ({ cause }: HopfairError): boolean =>
  cause instanceof HopfairError && cause.code === 'CONNECTION_LOST';

/** Whether somebody has to change something before a try can succeed. It is tried all the same, at the slowest rate. */
export function needsHelp({ code, retryable }: HopfairError): boolean {
  switch (code) {
    case 'NOT_ADMITTED':
    case 'SUITE_DOWNGRADED':
    case 'CERTIFICATE_INVALID':
    case 'CERTIFICATE_SUPERSEDED':
    case 'ADDRESS_INVALID':
      return true;
    case 'HANDSHAKE_FAILED':
      return !retryable; // another network, pre-shared key or peer, or a refusal
    default:
      return false;
  }
}
