import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { EMPTY, fromUtf8, toHex, toUtf8 } from '../../lib/bytes.js';
import type { Rng } from '../../lib/env.js';
import { HopfairError } from '../../lib/errors.js';
import { type Disk, LOG_FILE_NAME, lockDataFolder, memoryLog, openFileLog } from '../../lib/storage/index.js';
import type { LogStore, OpenedLog } from '../../lib/storage/interface.js';

let drawn = 0;
const rng: Rng = { bytes: length => new Uint8Array(length).fill(++drawn % 251), float: () => 0.5 };

function freshFolder(t: Test): string {
  const folder = fs.mkdtempSync(join(tmpdir(), 'hopfair-storage-'));
  t.teardown(() => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const open = (dataDir: string, disk?: Disk): Promise<OpenedLog> =>
  openFileLog({ dataDir, epoch: 7, rng, ...(disk === undefined ? {} : { disk }) });

/** Appends one group and waits for it. */
const append = (store: LogStore, ...texts: string[]): Promise<void> =>
  new Promise((resolve, reject) => store.append(texts.map(fromUtf8), resolve, reject));

const texts = (log: OpenedLog): string[] => log.records.map(toUtf8);

/** A closed log of three commits: `a`; `b`, `c`; `d`. */
async function writeSample(dataDir: string): Promise<string> {
  const { store } = await open(dataDir);
  await append(store, 'alpha');
  await append(store, 'beta', 'gamma');
  await append(store, 'delta');
  await store.close();
  return join(dataDir, LOG_FILE_NAME);
}

t.test('a log gives back its records in order after every reopening, empty and large ones too', async t => {
  const dataDir = join(freshFolder(t), 'deep', 'er');
  const large = new Uint8Array(300_000).fill(9);
  const first = await open(dataDir);
  t.strictSame(first.records, []);
  await new Promise<void>((resolve, reject) => first.store.append([EMPTY, large], resolve, reject));
  await first.store.close();

  const second = await open(dataDir);
  t.strictSame(second.records.map(toHex), [EMPTY, large].map(toHex));
  await append(second.store, 'third');
  await second.store.close();

  const third = await open(dataDir);
  t.equal(third.records.length, 3);
  t.equal(third.truncated, false);
  await third.store.close();
});

t.test('appends that arrive during a commit share the next one, and each is durable only after its sync', async t => {
  const synced: number[] = [];
  let finishSync: (() => void) | undefined;
  const held: Disk = {
    write: fs.write,
    fdatasync: ((fd: number, done: fs.NoParamCallback) => {
      synced.push(durable.length);
      finishSync = () => fs.fdatasync(fd, done);
    }) as Disk['fdatasync'],
  };
  const durable: string[] = [];
  const { store } = await open(freshFolder(t), held);
  const add = (text: string): Promise<void> => append(store, text).then(() => void durable.push(text));
  const first = add('a');
  const rest = Promise.all([add('b'), add('c'), add('d')]);
  while (finishSync === undefined) await new Promise(setImmediate);
  t.strictSame(durable, [], 'nothing is durable before the first sync has ended');
  finishSync();
  finishSync = undefined;
  await first;
  while (finishSync === undefined) await new Promise(setImmediate);
  t.strictSame(durable, ['a']);
  (finishSync as () => void)();
  await rest;
  t.strictSame(durable, ['a', 'b', 'c', 'd']);
  t.equal(synced.length, 2, 'three appends shared one sync');
  await store.close();
});

t.test('a file cut at any byte of its last commit loses only that commit, and says so', async t => {
  const dataDir = freshFolder(t);
  const path = await writeSample(dataDir);
  const whole = fs.readFileSync(path);
  const record = (text: string): number => 32 + text.length;
  const lastBegins = whole.length - record('delta');
  for (let length = lastBegins; length <= whole.length; length++) {
    fs.writeFileSync(path, whole.subarray(0, length));
    const log = await open(dataDir);
    const complete = length === whole.length;
    t.strictSame(texts(log), complete ? ['alpha', 'beta', 'gamma', 'delta'] : ['alpha', 'beta', 'gamma']);
    t.equal(log.truncated, length > lastBegins && !complete, `truncated at ${length}`);
    await append(log.store, 'e'); // shorter than what was cut off
    await log.store.close();
    const again = await open(dataDir);
    t.equal(texts(again).at(-1), 'e', 'the log goes on behind the cut');
    t.equal(again.truncated, false);
    await again.store.close();
  }
});

t.test(
  'every flipped byte is either corruption with its offset or a torn last commit, never a wrong record',
  async t => {
    const dataDir = freshFolder(t);
    const path = await writeSample(dataDir);
    const whole = fs.readFileSync(path);
    const lastBegins = whole.length - 32 - 'delta'.length;
    const good = ['alpha', 'beta', 'gamma'];
    for (let at = 0; at < whole.length; at++) {
      const damaged = Buffer.from(whole);
      damaged[at] = (damaged[at] ?? 0) ^ 0x40;
      fs.writeFileSync(path, damaged);
      if (at >= lastBegins) {
        const log = await open(dataDir);
        t.strictSame([texts(log), log.truncated], [good, true], `byte ${at}`);
        await log.store.close();
      } else {
        await t.rejects(open(dataDir), { code: 'STORAGE_CORRUPT', message: /byte \d+/ }, `byte ${at}`);
      }
    }
  },
);

t.test('a hole in a commit that was never synced is a torn write, although whole records follow it', async t => {
  const dataDir = freshFolder(t);
  const path = await writeSample(dataDir);
  const { store } = await open(dataDir);
  await append(store, 'one', 'two', 'three');
  await store.close();
  const whole = fs.readFileSync(path);
  const hole = whole.length - 3 * 32 - 'onetwothree'.length;
  whole.fill(0, hole, hole + 35);
  fs.writeFileSync(path, whole);
  const log = await open(dataDir);
  t.strictSame([texts(log), log.truncated], [['alpha', 'beta', 'gamma', 'delta'], true]);
  await log.store.close();
});

t.test('a payload that imitates records of the log is data, whatever it holds', async t => {
  const dataDir = freshFolder(t);
  const foreign = fs.readFileSync(await writeSample(freshFolder(t)));
  const { store } = await open(dataDir);
  await new Promise<void>((resolve, reject) => store.append([foreign.subarray(32)], resolve, reject));
  await store.close();
  const path = join(dataDir, LOG_FILE_NAME);
  fs.truncateSync(path, fs.statSync(path).size - 1);
  const log = await open(dataDir);
  t.strictSame([log.records.length, log.truncated], [0, true], 'torn, not corrupt');
  await log.store.close();
});

for (const [name, faulty] of [
  ['a full disk', { write: failing('ENOSPC', 1), fdatasync: fs.fdatasync }],
  ['a failed sync', { write: fs.write, fdatasync: failing('EIO', 1) }],
] as const) {
  t.test(`after ${name} every append fails and nothing more is written`, async t => {
    const dataDir = freshFolder(t);
    const { store } = await open(dataDir, faulty as unknown as Disk);
    await append(store, 'kept');
    await t.rejects(append(store, 'lost'), { code: 'STORAGE_FAILED' });
    const size = fs.statSync(join(dataDir, LOG_FILE_NAME)).size;
    await t.rejects(append(store, 'later'), { code: 'STORAGE_FAILED' });
    t.equal(fs.statSync(join(dataDir, LOG_FILE_NAME)).size, size);
    await store.close();
    const log = await open(dataDir);
    t.equal(texts(log)[0], 'kept');
    t.notOk(texts(log).includes('later'));
    await log.store.close();
  });
}

/** Lets `good` calls through to the disk; every later one fails. */
function failing(code: string, good: number): unknown {
  let left = good;
  return (...args: unknown[]) => {
    const done = args.at(-1) as (error: Error | null, count?: number) => void;
    const real = args.length === 2 ? fs.fdatasync : fs.write;
    if (left-- > 0) (real as (...args: unknown[]) => void)(...args);
    else setImmediate(done, Object.assign(new Error(`${code}: injected`), { code }));
  };
}

t.test('short writes are continued until the whole group is on disk', async t => {
  const dataDir = freshFolder(t);
  const write = (fd: number, bytes: Buffer, offset: number, length: number, at: number, done: () => void): void => {
    fs.write(fd, bytes, offset, Math.min(length, 5), at, done);
  };
  const { store } = await open(dataDir, { write, fdatasync: fs.fdatasync } as unknown as Disk);
  await append(store, 'one', 'two');
  await append(store, 'three');
  await store.close();
  const log = await open(dataDir);
  t.strictSame([texts(log), log.truncated], [['one', 'two', 'three'], false]);
  await log.store.close();
});

t.test('a closed log refuses appends', async t => {
  for (const { store } of [await open(freshFolder(t)), memoryLog()]) {
    await store.close();
    await t.rejects(append(store, 'x'), { code: 'INVALID_STATE' });
  }
});

t.test('a data folder has one holder at a time, and a dead holder gives way', async t => {
  const dataDir = freshFolder(t);
  const lock = lockDataFolder(dataDir, rng);
  t.throws(() => lockDataFolder(dataDir, rng), {
    code: 'STORAGE_LOCKED',
    message: new RegExp(`process ${process.pid}`),
  });
  await t.rejects(open(dataDir), { code: 'STORAGE_LOCKED' }, 'the log takes the same lock');
  lock.release();
  t.strictSame(fs.readdirSync(dataDir), [], 'a refused process leaves nothing behind');

  lockDataFolder(dataDir, rng);
  const [own] = fs.readdirSync(dataDir);
  const self = JSON.parse(fs.readFileSync(join(dataDir, own ?? ''), 'utf8'));
  fs.rmSync(join(dataDir, own ?? ''));
  const plant = (holder: unknown): void => fs.writeFileSync(join(dataDir, 'lock.1.planted'), JSON.stringify(holder));
  const refused = (): void => void t.throws(() => lockDataFolder(dataDir, rng), { code: 'STORAGE_LOCKED' });
  const taken = (): void => lockDataFolder(dataDir, rng).release();

  plant({ ...self, boot: 'before the machine was started anew' });
  taken();
  if (self.started !== '') {
    plant({ ...self, started: '1' });
    taken(); // the process id was given to another process since
  }
  plant({ ...self, pidNamespace: 'another container' });
  refused();
  plant({ ...self, host: 'another machine', boot: 'another boot' });
  refused();
  plant('not a holder');
  refused();
});

t.test("a record above the limit is the caller's mistake", async t => {
  const { store } = await open(freshFolder(t));
  const tooLong = { length: 2 ** 30 } as Uint8Array;
  t.throws(() => store.append([tooLong], t.fail, t.fail), new HopfairError('INVALID_ARGUMENT', ''), {
    code: 'INVALID_ARGUMENT',
  });
  await store.close();
});
