import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { nodeEnv } from '../../lib/env-node.js';

const { rng } = nodeEnv();
const program = fileURLToPath(new URL('./committee-process.ts', import.meta.url));
const KILLS = 4;

/** Runs the committee until `enough` of its lines are there, kills it, and returns all lines. */
function runUntil(folder: string, stream: string, enough: (lines: readonly string[]) => boolean): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', 'tsx', program, folder, stream], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    const lines = (): string[] => output.split('\n').slice(0, -1);
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk;
      if (enough(lines())) child.kill('SIGKILL');
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (signal === 'SIGKILL') resolve(lines());
      else reject(new Error(`the committee ended with ${code ?? signal}: ${output.slice(-500)}`));
    });
  });
}

t.test('a committee whose processes are all killed at once loses no order that a client saw opened', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'hopfair-committee-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const opened = new Map<number, string>();
  for (let kill = 1; kill <= KILLS; kill++) {
    const enough = 1 + Math.floor(rng.float() * 80);
    const lines = await runUntil(folder, `run-${kill}`, seen => seen.length >= enough);
    for (const line of lines) {
      const [what, index, id = ''] = line.split(' ');
      if (what !== 'opened') t.fail(line);
      const known = opened.get(Number(index));
      if (known !== undefined && known !== id) t.fail(`two orders stand at ${index}`);
      opened.set(Number(index), id);
    }
  }
  const last = Math.max(...opened.keys());
  const complete = (lines: readonly string[]): boolean =>
    [0, 1, 2, 3].every(member => lines.some(line => line.startsWith(`entry ${member} ${last} `)));
  const logs = new Map<string, string[]>();
  for (const line of await runUntil(folder, 'check', complete)) {
    const [what, member = '', index, id = ''] = line.split(' ');
    if (what !== 'entry') t.fail(line);
    const log = logs.get(member) ?? [];
    if (log.push(id) - 1 !== Number(index)) t.fail(`a gap or a repetition at ${line}`);
    logs.set(member, log);
  }
  for (const [index, id] of opened) {
    for (const [member, log] of logs) if (log[index] !== id) t.fail(`member ${member} has another order at ${index}`);
  }
  t.equal(logs.size, 4);
  t.ok(opened.size > KILLS, 'orders were opened in between');
});
