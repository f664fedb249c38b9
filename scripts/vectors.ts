/**
 * Runs the published test vectors on every backend: `npm run vectors -- [--json] [--file PATH] [--file PATH]`.
 * Exit code 1 when a vector fails, 2 when a file or an option cannot be understood.
 */
import { parseArgs } from 'node:util';
import type { CryptoProvider } from '../lib/crypto/interface.js';
import { nobleCrypto } from '../lib/crypto/noble.js';
import { nodeCrypto } from '../lib/crypto/node.js';
import { loadSuite, VECTOR_FILES } from '../test/vectors/files.js';
import { runSuite, type Suite, type SuiteResult } from '../test/vectors/suite.js';

function refuse(error: unknown): never {
  console.error(error instanceof Error ? error.message : error);
  process.exit(2);
}

function readArguments(): { json: boolean; file?: string[] } {
  try {
    const options = { json: { type: 'boolean', default: false }, file: { type: 'string', multiple: true } } as const;
    return parseArgs({ options }).values;
  } catch (error) {
    refuse(error);
  }
}

function load(paths: readonly (URL | string)[]): Suite[] {
  try {
    return paths.map(loadSuite);
  } catch (error) {
    refuse(error);
  }
}

const { json, file = VECTOR_FILES } = readArguments();

function report({ failures, ...summary }: SuiteResult): void {
  for (const failure of failures) console.error(`${summary.suite} on ${summary.backend}: ${failure}`);
  if (json) console.log(JSON.stringify({ type: 'summary', ...summary, skipped: 0 }));
  else console.log(`${summary.suite} on ${summary.backend}: ${summary.passed} passed, ${summary.failed} failed`);
}

const backends = [nodeCrypto(), nobleCrypto()].filter((crypto): crypto is CryptoProvider => crypto !== undefined);
let failed = 0;
for (const suite of load(file)) {
  for (const crypto of backends) {
    const result = runSuite(suite, crypto);
    // A file of which nothing can be run proves nothing.
    if (result.passed === 0) failed++;
    failed += result.failed;
    report(result);
  }
}
process.exitCode = failed === 0 ? 0 : 1;
