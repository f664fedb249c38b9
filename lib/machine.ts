/**
 * The shape of everything that decides. A machine owns no socket, no clock, no randomness and no disk: inputs and the
 * present instant go in, effects come out, and the shell carries them out in array order (persist before send).
 */
import type { Instant } from './env.js';

export interface Machine<Input, Effect> {
  /** Takes one input at `now`, which never goes back, and returns the effects in the order of their execution. */
  handle(input: Input, now: Instant): readonly Effect[];
  /** When the shell must call `handle({ kind: 'tick' })` at the latest; undefined when nothing is pending. */
  nextDeadline(): Instant | undefined;
}

/** The first of several deadlines. */
export function earliest(...deadlines: readonly (Instant | undefined)[]): Instant | undefined {
  let first: Instant | undefined;
  for (const deadline of deadlines) {
    if (deadline !== undefined && (first === undefined || deadline < first)) first = deadline;
  }
  return first;
}
