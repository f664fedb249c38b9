/**
 * The store on disk: a folder with one file for each record. A record is written beside its file, synced, and renamed over
 * it, so that a crash leaves the old one or the new one, whole. A damaged file is an error and never an older record: what
 * a node promised may rest on the newest.
 *
 * file = "HFREC001", u32 length, 32 bytes of SHA-256 over magic, name and payload, payload
 */
import { createHash } from 'node:crypto';
import * as nodeFs from 'node:fs';
import { join } from 'node:path';
import { copyOf, equalBytes, fromUtf8, Reader } from '../bytes.js';
import type { Rng } from '../env.js';
import { HopfairError } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { NodeStore, Stored } from '../store.js';
import { lockDataFolder } from './data-folder-lock.js';
import { createFolder, storageFailed } from './folder.js';
import { isRecordName, requireRecord, requireRecordName } from './store-rules.js';

const MAGIC: Uint8Array = fromUtf8('HFREC001');
const HASH_BYTES = 32;
const HEADER_BYTES = MAGIC.length + 4 + HASH_BYTES;
const SUFFIX = '.record';
const DRAFT_SUFFIX = '.new';

/** The calls that the store makes on the disk while it runs; tests put failing ones in their place. */
export type StoreDisk = Pick<typeof nodeFs.promises, 'open' | 'rename' | 'rm'>;

export interface FileStoreOptions {
  /** A folder of its own, created when missing. One process at a time. */
  readonly folder: string;
  readonly rng: Rng;
  readonly disk?: StoreDisk;
}

/**
 * Opens the store in a folder and reads all of it. Rejects with STORAGE_LOCKED when another process has it open,
 * STORAGE_CORRUPT, naming the file, when a record is damaged, STORAGE_FAILED when the disk refuses.
 *
 * @example
 * const store = await openFileStore({ folder: '/var/lib/hopfair/node', rng: systemEnv().rng });
 * const node = await createNode({ …, store });
 */
export async function openFileStore({ folder, rng, disk = nodeFs.promises }: FileStoreOptions): Promise<NodeStore> {
  try {
    createFolder(folder);
    const lock = lockDataFolder(folder, rng);
    try {
      return new FileStore(folder, disk, readRecords(folder), lock.release);
    } catch (error) {
      lock.release();
      throw error;
    }
  } catch (error) {
    throw error instanceof HopfairError ? error : storageFailed(`the store in ${folder} cannot be opened`, error);
  }
}

function readRecords(folder: string): Map<string, Uint8Array> {
  const records = new Map<string, Uint8Array>();
  for (const file of nodeFs.readdirSync(folder)) {
    // A draft was never renamed, so nobody was told that it is durable.
    if (file.endsWith(SUFFIX + DRAFT_SUFFIX)) nodeFs.rmSync(join(folder, file));
    const name = file.slice(0, -SUFFIX.length);
    if (file.endsWith(SUFFIX) && isRecordName(name)) records.set(name, readRecord(join(folder, file), name));
  }
  return records;
}

function readRecord(path: string, name: string): Uint8Array {
  const file = nodeFs.readFileSync(path);
  const payload = file.subarray(HEADER_BYTES);
  const isSound =
    file.length >= HEADER_BYTES && equalBytes(encodeHeader(name, payload), file.subarray(0, HEADER_BYTES));
  if (isSound && new Reader(file.subarray(MAGIC.length)).u32() <= LIMITS.maxStoreRecordBytes) return copyOf(payload);
  throw new HopfairError(
    'STORAGE_CORRUPT',
    `${path} is damaged. What it held may have been newer than any copy: restore it only from the same moment, or ` +
      'remove it and start as a node that was never here',
  );
}

function encodeHeader(name: string, payload: Uint8Array): Uint8Array {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(payload.length);
  return Buffer.concat([MAGIC, length, createHash('sha256').update(MAGIC).update(name).update(payload).digest()]);
}

/** What is to become of one record. Changes of a record that is being written are made together, by the last of them. */
interface Change {
  readonly bytes: Uint8Array | undefined;
  readonly waiting: Stored[];
}

class FileStore implements NodeStore {
  readonly #folder: string;
  readonly #disk: StoreDisk;
  readonly #records: Map<string, Uint8Array>;
  readonly #release: () => void;
  readonly #due = new Map<string, Change>();
  #writing: Promise<void> | undefined;
  #failure: HopfairError | undefined;
  #closed = false;

  constructor(folder: string, disk: StoreDisk, records: Map<string, Uint8Array>, release: () => void) {
    this.#folder = folder;
    this.#disk = disk;
    this.#records = records;
    this.#release = release;
  }

  get(name: string): Uint8Array | undefined {
    return this.#records.get(requireRecordName(name));
  }

  set(name: string, bytes: Uint8Array, stored: Stored): void {
    requireRecord(name, bytes, this.#records);
    this.#change(name, copyOf(bytes), stored);
  }

  delete(name: string, stored: Stored): void {
    this.#change(requireRecordName(name), undefined, stored);
  }

  #change(name: string, bytes: Uint8Array | undefined, stored: Stored): void {
    if (this.#closed) {
      stored(new HopfairError('INVALID_STATE', 'the store is closed'));
      return;
    }
    if (bytes === undefined) this.#records.delete(name);
    else this.#records.set(name, bytes);
    this.#due.set(name, { bytes, waiting: [...(this.#due.get(name)?.waiting ?? []), stored] });
    this.#writing ??= this.#write();
  }

  /** One record after the other, until nothing is due. */
  async #write(): Promise<void> {
    for (const [name, change] of this.#due) {
      this.#due.delete(name);
      if (this.#failure === undefined) {
        try {
          await this.#writeRecord(join(this.#folder, name + SUFFIX), name, change.bytes);
        } catch (error) {
          // After a failed sync nobody knows what is on the disk: nothing more is claimed to be.
          this.#failure = storageFailed(`the store in ${this.#folder} could not write "${name}"`, error);
        }
      }
      for (const stored of change.waiting) stored(this.#failure);
    }
    this.#writing = undefined;
  }

  async #writeRecord(path: string, name: string, bytes: Uint8Array | undefined): Promise<void> {
    if (bytes === undefined) await this.#disk.rm(path, { force: true });
    else {
      const draft = path + DRAFT_SUFFIX;
      const file = await this.#disk.open(draft, 'w', 0o600);
      try {
        await file.writeFile(Buffer.concat([encodeHeader(name, bytes), bytes]));
        await file.sync();
      } finally {
        await file.close();
      }
      await this.#disk.rename(draft, path);
    }
    await this.#syncFolder();
  }

  /** As `syncFolder`, without keeping the event loop waiting. */
  async #syncFolder(): Promise<void> {
    if (process.platform === 'win32') return;
    const folder = await this.#disk.open(this.#folder, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#writing;
    this.#release();
  }
}
