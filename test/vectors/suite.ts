/** What every suite of vectors gives back, for the tests and for `npm run vectors`. */
import type { CryptoProvider } from '../../lib/crypto/interface.js';

export interface SuiteResult {
  readonly suite: string;
  readonly backend: string;
  readonly passed: number;
  readonly failed: number;
  /** Vectors of what this package does not offer, e.g. another curve: neither run nor counted above. */
  readonly excluded: number;
  /** One line for each failure. */
  readonly failures: readonly string[];
}

/** One vector, ready to run: it throws when it fails. */
export interface Vector {
  readonly name: string;
  run(crypto: CryptoProvider): void;
}

export interface Suite {
  readonly name: string;
  readonly vectors: readonly Vector[];
  readonly excluded: number;
}

export function runSuite({ name, vectors, excluded }: Suite, crypto: CryptoProvider): SuiteResult {
  const failures: string[] = [];
  for (const vector of vectors) {
    try {
      vector.run(crypto);
    } catch (error) {
      failures.push(`${vector.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const passed = vectors.length - failures.length;
  return { suite: name, backend: crypto.name, passed, failed: failures.length, excluded, failures };
}
