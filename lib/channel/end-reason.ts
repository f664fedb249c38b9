/** Why an end was sent: the byte in its section, and what its receiver makes of it. */
import { HopfairError } from '../errors.js';

export const END_DONE = 0;
export const END_NOT_ADMITTED = 1;
/** No verdict on the peer came in time, or too many were awaited. */
export const END_UNDECIDED = 2;

export type Refusal = typeof END_NOT_ADMITTED | typeof END_UNDECIDED;

export const isKnownReason = (reason: number): boolean => reason <= END_UNDECIDED;

/** The error that the refused one is closed with; undefined after an ordinary end. */
export function refusalOf(reason: number): HopfairError | undefined {
  if (reason === END_NOT_ADMITTED) return new HopfairError('NOT_ADMITTED', 'the peer did not admit this one');
  if (reason !== END_UNDECIDED) return undefined;
  const message = 'the peer could not decide in time whether to admit this one';
  return new HopfairError('ADMISSION_UNDECIDED', message, { retryable: true });
}
