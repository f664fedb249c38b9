/**
 * `npm run storm -- [--clients N] [--transport tcp|ws] [--seconds N] [--json]`: N clients of one backend restart at once
 * (bar R10 of the overlay's design). Exit 1 when a bar is missed, 2 on wrong arguments.
 */
import { parseArgs } from 'node:util';
import { BARS, type StormOptions, type StormReport, storm } from '../test/storm/run.js';

const USAGE = `usage: npm run storm -- [options]
  --clients N        how many clients (default 1000)
  --transport NAME   tcp or ws (default ws)
  --seconds N        how long the established session is measured before the storm (default 10)
  --json             one line of JSON on standard output`;

function usageError(message: string): never {
  process.stderr.write(`${message}\n${USAGE}\n`);
  process.exit(2);
}

function parseOptions(): StormOptions & { readonly json: boolean } {
  const options = {
    clients: { type: 'string', default: '1000' },
    transport: { type: 'string', default: 'ws' },
    seconds: { type: 'string', default: '10' },
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
  const number = (text: string): number =>
    /^[1-9]\d{0,4}$/.test(text) ? Number(text) : usageError(`not a number from 1 to 99999: ${text}`);
  const { transport } = values;
  if (transport !== 'tcp' && transport !== 'ws') return usageError(`no transport ${transport}`);
  return {
    clients: number(values.clients),
    transport,
    calmMs: number(values.seconds) * 1_000,
    json: values.json,
  };
}

function forPeople({ clients, backMs, share, worstSecondShare, established, refused, evicted }: StormReport): string {
  const percent = (value: number): string => `${(100 * value).toFixed(1)} %`;
  const { before, during, p99Ratio } = established;
  return [
    `${clients} clients back: half after ${backMs.half} ms, all after ${backMs.all} ms (bar ${BARS.allBackMs})`,
    `handshakes   ${percent(share.handshakes)} of a core (bar ${percent(BARS.handshakeShare)}), at most ${percent(worstSecondShare)} in a second; the backend ${percent(share.backend)}`,
    `turned away  ${refused}, dropped ${evicted}`,
    `established  p99 ${before.p99Ms.toFixed(2)} ms before, ${during.p99Ms.toFixed(2)} ms during: ${p99Ratio.toFixed(2)}x (bar ${BARS.establishedP99Ratio}x)`,
  ].join('\n');
}

const { json, ...options } = parseOptions();
const report = await storm(options);
process.stdout.write(`${json ? JSON.stringify(report) : `${forPeople(report)}\n${report.pass ? 'pass' : 'fail'}`}\n`);
process.exit(report.pass ? 0 : 1);
