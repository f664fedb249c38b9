import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { toUtf8 } from '../../lib/bytes.js';
import { nodeEnv } from '../../lib/env-node.js';
import { openFileLog } from '../../lib/storage/index.js';

const { rng } = nodeEnv();
const writer = fileURLToPath(new URL('./log-writer.ts', import.meta.url));

/** Kills at the Nth sync, from within; 0 is a kill from outside after a drawn number of reports. */
const KILLS = [1, 2, 3, 8, 25, 90, 0, 0, 0, 0];

function start(dataDir: string, dieAt: number): ChildProcess {
  const args = ['--import', 'tsx', writer, dataDir, String(dieAt)];
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** Runs the writer until it is killed; resolves with the last record that it reported durable. */
function runUntilKilled(dataDir: string, dieAt: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = start(dataDir, dieAt);
    let output = '';
    let reportsLeft = 1 + Math.floor(rng.float() * 200);
    child.stdout?.on('data', (chunk: Buffer) => {
      output += chunk;
      reportsLeft -= chunk.filter(byte => byte === 10).length;
      if (dieAt === 0 && reportsLeft <= 0) child.kill('SIGKILL');
    });
    child.on('error', reject);
    child.on('close', (_code, signal) => {
      if (signal !== 'SIGKILL') return void reject(new Error(`the writer ended with signal ${signal}: ${output}`));
      const reported = output.split('\n').slice(0, -1).map(Number);
      resolve(Math.max(0, ...reported));
    });
  });
}

t.test('no record that was reported durable is lost when its writer is killed, wherever it is killed', async t => {
  const dataDir = mkdtempSync(join(tmpdir(), 'hopfair-crash-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  let durable = 0;
  for (const dieAt of KILLS) {
    durable = Math.max(durable, await runUntilKilled(dataDir, dieAt));
    const log = await openFileLog({ dataDir, epoch: 1, rng }); // takes over the lock of the dead writer as well
    const numbers = log.records.map(record => Number.parseInt(toUtf8(record), 10));
    t.ok(numbers.length >= durable, `killed at ${dieAt}: ${durable} reported durable, ${numbers.length} read back`);
    t.ok(
      numbers.every((number, at) => number === at + 1),
      'the records are whole and in order',
    );
    await log.store.close();
  }
  t.ok(durable > 100, 'the writer made progress');
});

t.test('a second process on the data folder of a living one refuses, and leaves it undisturbed', async t => {
  const dataDir = mkdtempSync(join(tmpdir(), 'hopfair-crash-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  const child = start(dataDir, 0);
  const report = (): Promise<void> => new Promise(resolve => child.stdout?.once('data', () => resolve()));
  const closed = new Promise(resolve => child.once('close', resolve));
  await report();
  await t.rejects(openFileLog({ dataDir, epoch: 1, rng }), {
    code: 'STORAGE_LOCKED',
    message: new RegExp(`${child.pid}`),
  });
  await report();
  child.kill('SIGKILL');
  await closed;
  const log = await openFileLog({ dataDir, epoch: 1, rng });
  t.ok(log.records.length > 0);
  await log.store.close();
});
