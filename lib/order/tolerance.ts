/** What a committee of n survives: the arithmetic on which every quorum of the protocol rests. */

import { HopfairError } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { Tolerance } from './types.js';

/**
 * n validators, f = floor((n-1)/3) of them Byzantine at most, q = ceil((n+f+1)/2) a quorum (two quorums share an honest
 * member), t shares open an order. t is max(f+1, min(2, n)) unless chosen, and may go up to n-2f: so many honest
 * validators at least hold a good share of every order that n-f lanes list.
 *
 * @throws HopfairError COMMITTEE_UNSOUND when no such committee works.
 */
export function toleranceOf(n: number, t?: number): Tolerance {
  if (!Number.isInteger(n) || n < 1 || n > LIMITS.maxMembers)
    throw new HopfairError('COMMITTEE_UNSOUND', `a committee has 1 to ${LIMITS.maxMembers} members, not ${n}`);
  const f = Math.floor((n - 1) / 3);
  const q = Math.ceil((n + f + 1) / 2);
  const least = Math.max(f + 1, Math.min(2, n));
  const most = Math.max(least, n - 2 * f);
  const chosen = t ?? least;
  if (!Number.isInteger(chosen) || chosen < least || chosen > most)
    throw new HopfairError(
      'COMMITTEE_UNSOUND',
      `with n = ${n} an order is opened by t = ${least} to ${most} shares, not ${chosen}: ${explainTolerance({ n, f, q, t: least })}`,
    );
  return { n, f, q, t: chosen };
}

/** What these numbers mean for an operator, as one sentence. */
export function explainTolerance({ n, f, t }: Tolerance): string {
  const faults =
    n === 1
      ? 'one validator: no fault is survived, it can read and reorder everything; for development'
      : f === 0
        ? `${n} validators tolerate neither a crash nor a Byzantine fault: the log stops when any of them stops`
        : `tolerates ${f} of ${n} validators crashed or Byzantine; with ${f + 1} the log may stop`;
  return `${faults}; ${t} together can read orders early`;
}
