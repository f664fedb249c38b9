/**
 * `npm run attack -- [--json] [--only NAME] [--transport tcp|ws]`: attacks a listener of another process and measures what
 * that costs it and those who have a channel with it (design of channels, "Under attack"). Exit 1 when a bar is missed.
 */
import { parseArgs } from 'node:util';
import { type AttackLine, attackRun } from '../test/attack/run.js';
import { TRANSPORTS, type TransportName } from '../test/attack/wire.js';

const USAGE = `usage: npm run attack -- [options]
  --only NAME        only attacks whose name contains this
  --transport NAME   ${TRANSPORTS.join(' or ')} (default both)
  --json             only lines of JSON on standard output`;

function usageError(message: string): never {
  process.stderr.write(`${message}\n${USAGE}\n`);
  process.exit(2);
}

function parseOptions(): { json: boolean; only: string; transports: readonly TransportName[] } {
  const options = {
    only: { type: 'string', default: '' },
    transport: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  } as const;
  let values: ReturnType<typeof parseArgs<{ options: typeof options }>>['values'];
  try {
    ({ values } = parseArgs({ options }));
  } catch (error) {
    return usageError((error as Error).message);
  }
  if (values.help) {
    process.stdout.write(`${USAGE}\n`);
    process.exit(0);
  }
  const transports = TRANSPORTS.filter(name => values.transport === undefined || values.transport === name);
  if (transports.length === 0) return usageError(`no transport ${values.transport}`);
  return { json: values.json ?? false, only: values.only ?? '', transports };
}

function forPeople({ name, transport, figure, bar, pass }: AttackLine): string {
  const judged = Object.entries(bar).map(([key, value]) => `${key} ${figure[key]} (bar ${value})`);
  return `${pass ? '✔' : '✖'} ${name} over ${transport}: ${judged.join(', ')}`;
}

const { json, ...options } = parseOptions();
const started = performance.now();
let passed = 0;
let failed = 0;
for await (const line of attackRun(options)) {
  if (line.pass) passed++;
  else failed++;
  console.log(json ? JSON.stringify(line) : forPeople(line));
}
if (passed + failed === 0) usageError(`no attack ${options.only}`);
const seconds = Math.round((performance.now() - started) / 1_000);
console.log(json ? JSON.stringify({ type: 'summary', passed, failed, seconds }) : `${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
