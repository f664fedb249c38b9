/** What the command returns to the shell. These numbers are stable. */
export const EXIT = {
  /** Everything that was asked holds. */
  ok: 0,
  /** The command ran, and the answer is no: a proof does not verify, or is not what it claims. */
  refused: 1,
  /** The command could not run: wrong usage, a missing or damaged file, an environment that refuses. */
  unusable: 2,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
