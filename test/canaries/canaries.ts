/**
 * Planted bugs: each a small edit of one file of the sources, as somebody tired could make it. The layers of tests must
 * kill every one; `npm run canaries` tells which layer did. A canary whose text is no longer found is itself a failure.
 */
export interface Canary {
  /** What is wrong with the sources when it is planted. */
  readonly bug: string;
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly search: string;
  readonly replace: string;
  /** Which simulation can see it. */
  readonly scenario: 'order' | 'mesh';
  /** Test files that can see it too. */
  readonly tests: readonly string[];
}

export const CANARIES: Readonly<Record<string, Canary>> = {};
