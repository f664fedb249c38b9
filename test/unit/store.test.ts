import { promises } from 'node:fs';
import { mkdtemp, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { fromUtf8, toUtf8 } from '../../lib/bytes.js';
import { systemRandomBytes } from '../../lib/crypto/random.js';
import type { HopfairError } from '../../lib/errors.js';
import { LIMITS } from '../../lib/limits.js';
import { memoryStore, type NodeStore, openFileStore, type StoreDisk } from '../../lib/storage/index.js';

const rng = { bytes: systemRandomBytes, float: () => Math.random() };
const newFolder = async (): Promise<string> => join(await mkdtemp(join(tmpdir(), 'hopfair-store-')), 'node');
const set = (store: NodeStore, name: string, text: string): Promise<HopfairError | undefined> =>
  new Promise(resolve => store.set(name, fromUtf8(text), resolve));
const remove = (store: NodeStore, name: string): Promise<HopfairError | undefined> =>
  new Promise(resolve => store.delete(name, resolve));
const read = (store: NodeStore, name: string): string | undefined => {
  const bytes = store.get(name);
  return bytes && toUtf8(bytes);
};

t.test('a record comes back as it was set last, after a restart too, and only its owner may read it', async t => {
  const folder = await newFolder();
  const store = await openFileStore({ folder, rng });
  t.equal(read(store, 'roster'), undefined);
  t.equal(await set(store, 'roster', 'one'), undefined);
  const [a, b, c] = [set(store, 'roster', 'two'), set(store, 'epoch', '7'), set(store, 'roster', 'three')];
  t.equal(read(store, 'roster'), 'three', 'at once');
  t.strictSame(await Promise.all([a, b, c]), [undefined, undefined, undefined]);
  await set(store, 'gone', 'x');
  await remove(store, 'gone');
  await store.close();
  t.match(await set(store, 'roster', 'late'), { code: 'INVALID_STATE' });
  const again = await openFileStore({ folder, rng });
  t.strictSame(
    ['roster', 'epoch', 'gone'].map(name => read(again, name)),
    ['three', '7', undefined],
  );
  t.equal((await stat(join(folder, 'roster.record'))).mode & 0o777, 0o600);
  await t.rejects(openFileStore({ folder, rng }), { code: 'STORAGE_LOCKED' });
  await again.close();
});

t.test(
  'every damaged byte and every cut of a record is an error that names the file, never an older record',
  async t => {
    const folder = await newFolder();
    const store = await openFileStore({ folder, rng });
    await set(store, 'roster', 'old');
    await set(store, 'roster', 'new');
    await store.close();
    const path = join(folder, 'roster.record');
    const sound = await readFile(path);
    const damaged = [...sound.keys()].flatMap(i => {
      const flipped = Buffer.from(sound);
      flipped[i] = (flipped[i] ?? 0) ^ 1;
      return [flipped, sound.subarray(0, i)];
    });
    for (const bytes of [...damaged, Buffer.concat([sound, Buffer.of(0)])]) {
      await writeFile(path, bytes);
      await t.rejects(openFileStore({ folder, rng }), {
        code: 'STORAGE_CORRUPT',
        message: /roster\.record is damaged/,
      });
    }
    await writeFile(join(folder, 'other.record'), sound);
    await writeFile(path, sound);
    await t.rejects(openFileStore({ folder, rng }), { message: /other\.record/ }, 'a record under the name of another');
  },
);

t.test('a draft that was never renamed is nothing, and the record before it stands', async t => {
  const folder = await newFolder();
  const store = await openFileStore({ folder, rng });
  await set(store, 'roster', 'durable');
  await store.close();
  await writeFile(join(folder, 'roster.record.new'), 'half of a');
  const again = await openFileStore({ folder, rng });
  t.equal(read(again, 'roster'), 'durable');
  t.strictSame(
    (await readdir(folder)).filter(file => file.endsWith('.new')),
    [],
  );
  await again.close();
});

t.test('nothing is called stored that the disk refused, and nothing more is written after it', async t => {
  const folder = await newFolder();
  let fails = false;
  const disk: StoreDisk = {
    ...promises,
    open: async (...args) => {
      const file = await promises.open(...args);
      if (fails) file.sync = () => Promise.reject(new Error('EIO'));
      return file;
    },
  };
  const store = await openFileStore({ folder, rng, disk });
  t.equal(await set(store, 'epoch', '1'), undefined);
  fails = true;
  t.match(await set(store, 'epoch', '2'), { code: 'STORAGE_FAILED', message: /EIO/ });
  fails = false;
  t.match(await set(store, 'epoch', '3'), { code: 'STORAGE_FAILED' }, 'a later sync proves nothing');
  await store.close();
  const again = await openFileStore({ folder, rng });
  t.equal(read(again, 'epoch'), '1');
  await again.close();
});

t.test('a store in memory keeps a copy of what was set, over a restart of what uses it', async t => {
  const records = new Map<string, Uint8Array>();
  const store = memoryStore(records);
  const bytes = fromUtf8('abc');
  store.set('roster', bytes, failure => t.equal(failure, undefined));
  bytes.fill(0);
  await store.close();
  t.match(await set(store, 'roster', 'late'), { code: 'INVALID_STATE' });
  const again = memoryStore(records);
  t.equal(read(again, 'roster'), 'abc');
  await remove(again, 'roster');
  t.equal(records.size, 0);
});

t.test('names, sizes and the number of records are bounded', async t => {
  const store = memoryStore();
  for (const name of ['', 'A', '../x', 'a.b', 'x'.repeat(65)]) {
    t.throws(() => store.set(name, fromUtf8('x'), () => undefined), { code: 'INVALID_ARGUMENT' });
    t.throws(() => store.get(name), { code: 'INVALID_ARGUMENT' });
  }
  const large = new Uint8Array(LIMITS.maxStoreRecordBytes + 1);
  t.throws(() => store.set('x', large, () => undefined), { code: 'INVALID_ARGUMENT' });
  for (let i = 0; i < LIMITS.maxStoreRecords; i++) await set(store, `r${i}`, 'x');
  t.throws(() => store.set('more', fromUtf8('x'), () => undefined), { code: 'INVALID_ARGUMENT' });
  t.equal(await set(store, 'r0', 'y'), undefined);
});
