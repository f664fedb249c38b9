/**
 * Handshakes and a thousand messages each way with other implementations of Noise, each in a process of its own:
 * `npm run interop -- [--json]`. Exit code 1 when a case fails, 2 for an option that is not known.
 */
import { parseArgs } from 'node:util';
import { type CaseResult, runInterop } from '../test/interop/run.js';

function readArguments(): { json: boolean } {
  try {
    return parseArgs({ options: { json: { type: 'boolean', default: false } } }).values;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(2);
  }
}

const { json } = readArguments();
let [passed, failed] = [0, 0];

function report(result: CaseResult): void {
  if (result.ok) passed++;
  else failed++;
  if (json) {
    console.log(JSON.stringify({ type: 'case', ...result }));
    return;
  }
  const verdict = result.ok ? '✔' : '✖';
  const counts = `${result.received} and ${result.receivedByOther} messages`;
  console.log(`${verdict} ${result.party} ${result.protocolName}, we are ${result.role}: ${result.error ?? counts}`);
}

await runInterop(report);
if (json) console.log(JSON.stringify({ type: 'summary', passed, failed }));
else console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
