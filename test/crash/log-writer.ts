/**
 * The victim of crash tests: appends numbered records to the log of the folder in argv[2] and prints the last number
 * that was reported durable. With a count in argv[3] it kills itself when it makes its Nth sync: before the
 * disk gets it when N is odd, after it when N is even.
 */
import * as fs from 'node:fs';
import { fromUtf8 } from '../../lib/bytes.js';
import { nodeEnv } from '../../lib/env-node.js';
import { openFileLog } from '../../lib/storage/index.js';

const [, , dataDir = '', dieAt = '0'] = process.argv;
let syncs = 0;
const die = (): void => void process.kill(process.pid, 'SIGKILL');
const fdatasync = (fd: number, done: fs.NoParamCallback): void => {
  syncs += 1;
  const last = syncs === Number(dieAt);
  if (last && syncs % 2 === 1) die();
  fs.fdatasync(fd, error => {
    if (last) die();
    done(error);
  });
};

const { rng } = nodeEnv();
const disk = { write: fs.write, fdatasync } as unknown as typeof fs;
const { store, records } = await openFileLog({ dataDir, epoch: 1, rng, disk });
let next = records.length + 1;

function appendGroup(): void {
  const size = 1 + Math.floor(rng.float() * 5);
  const group = Array.from({ length: size }, () =>
    fromUtf8(`${next++}:${'x'.repeat(Math.floor(rng.float() * 9_000))}`),
  );
  const last = next - 1;
  store.append(
    group,
    () => {
      process.stdout.write(`${last}\n`);
      appendGroup();
    },
    error => {
      throw error;
    },
  );
}
for (let parallel = 0; parallel < 4; parallel++) appendGroup();
