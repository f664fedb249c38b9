/**
 * The log on disk: one file that only grows, written in groups, each synced before anyone hears that it is durable.
 * After the first failed write or sync nothing more is written: what a failed sync left on disk is unknown, and a
 * second one that succeeds proves nothing.
 */
import * as nodeFs from 'node:fs';
import { join } from 'node:path';
import type { Rng } from '../env.js';
import { HopfairError, requireArgument } from '../errors.js';
import { LIMITS } from '../limits.js';
import { lockDataFolder } from './data-folder-lock.js';
import { createFolder, storageFailed, syncFolder } from './folder.js';
import type { LogStore, OpenedLog } from './interface.js';
import { encodeFileHeader, encodeRecordHeader, readFileHeader, SALT_BYTES, scanRecords } from './record.js';

/** The calls that the log makes on the disk while it runs; tests put failing ones in their place. */
export type Disk = Pick<typeof nodeFs, 'write' | 'fdatasync'>;

export interface FileLogOptions {
  /** The folder of this member, created when missing. One process at a time. */
  readonly dataDir: string;
  /** The committee's epoch, kept beside every record. */
  readonly epoch: number;
  readonly rng: Rng;
  readonly disk?: Disk;
}

export const LOG_FILE_NAME = 'order.log';

/**
 * Opens the log of a data folder, creating both when missing. Rejects with STORAGE_LOCKED when another process has it
 * open, STORAGE_CORRUPT (with the offset) when a record that was durable is damaged, STORAGE_FAILED when the disk
 * refuses.
 *
 * @example
 * const log = await openFileLog({ dataDir: '/var/lib/hopfair', epoch: 1, rng: env.rng });
 * const orders = joinBroadcast(node, { role: 'member', log, committee, signer, crypto, env });
 */
export async function openFileLog(options: FileLogOptions): Promise<OpenedLog> {
  const { dataDir } = options;
  try {
    createFolder(dataDir);
    const lock = lockDataFolder(dataDir, options.rng);
    try {
      const path = join(dataDir, LOG_FILE_NAME);
      if (!nodeFs.existsSync(path)) createLogFile(dataDir, path, options.rng);
      return openLogFile(path, options, lock.release);
    } catch (error) {
      lock.release();
      throw error;
    }
  } catch (error) {
    throw error instanceof HopfairError ? error : storageFailed(`the log in ${dataDir} cannot be opened`, error);
  }
}

/** Appears whole or not at all: written beside, synced, then renamed. */
function createLogFile(dataDir: string, path: string, rng: Rng): void {
  const draft = `${path}.new`;
  const fd = nodeFs.openSync(draft, 'w', 0o600);
  try {
    nodeFs.writeSync(fd, encodeFileHeader(rng.bytes(SALT_BYTES)));
    nodeFs.fsyncSync(fd);
  } finally {
    nodeFs.closeSync(fd);
  }
  nodeFs.renameSync(draft, path);
  syncFolder(dataDir);
}

function openLogFile(path: string, options: FileLogOptions, release: () => void): OpenedLog {
  const fd = nodeFs.openSync(path, 'r+');
  try {
    const file = nodeFs.readFileSync(fd);
    const salt = readFileHeader(file);
    const { records, soundBytes } = scanRecords(file, salt);
    const truncated = soundBytes < file.length;
    if (truncated) nodeFs.ftruncateSync(fd, soundBytes);
    // What a killed process wrote but did not sync is read back here: it must be durable before anyone acts on it.
    nodeFs.fsyncSync(fd);
    const store = new FileLog(fd, { ...options, salt, soundBytes, sequence: records.length, release });
    return { store, records, truncated };
  } catch (error) {
    nodeFs.closeSync(fd);
    throw error;
  }
}

interface Append {
  readonly records: readonly Uint8Array[];
  readonly durable: () => void;
  readonly failed: (error: HopfairError) => void;
}

interface FileLogState extends FileLogOptions {
  readonly salt: Uint8Array;
  readonly soundBytes: number;
  readonly sequence: number;
  readonly release: () => void;
}

class FileLog implements LogStore {
  readonly #fd: number;
  readonly #disk: Disk;
  readonly #salt: Uint8Array;
  readonly #epoch: number;
  readonly #release: () => void;
  #offset: number;
  #written: number;
  #durable: number;
  #waiting: Append[] = [];
  #committing = false;
  #failure: HopfairError | undefined;
  #closing: (() => void) | undefined;

  constructor(fd: number, state: FileLogState) {
    this.#fd = fd;
    this.#disk = state.disk ?? nodeFs;
    this.#salt = state.salt;
    this.#epoch = state.epoch;
    this.#release = state.release;
    this.#offset = state.soundBytes;
    this.#written = state.sequence;
    this.#durable = state.sequence;
  }

  append(records: readonly Uint8Array[], durable: () => void, failed: (error: HopfairError) => void): void {
    const fits = records.every(record => record.length <= LIMITS.maxLogRecordBytes);
    requireArgument(fits, `a record of the log is above ${LIMITS.maxLogRecordBytes} bytes`);
    if (this.#failure !== undefined) {
      failed(this.#failure);
    } else if (this.#closing !== undefined) {
      failed(new HopfairError('INVALID_STATE', 'the log is closed'));
    } else {
      this.#waiting.push({ records, durable, failed });
      if (!this.#committing) this.#commit();
    }
  }

  /** Writes and syncs everything that waits; what arrives meanwhile shares the next commit. */
  #commit(): void {
    const group = this.#waiting;
    this.#waiting = [];
    this.#committing = true;
    this.#write(this.#encode(group), error => {
      if (error !== null) return this.#fail('a write to the log failed', error, group);
      this.#disk.fdatasync(this.#fd, error => {
        if (error !== null) return this.#fail('a sync of the log failed', error, group);
        this.#committed(group);
      });
    });
  }

  #encode(group: readonly Append[]): Buffer {
    const parts: Uint8Array[] = [];
    for (const { records } of group) {
      for (const payload of records) {
        const header = { sequence: ++this.#written, durable: this.#durable, epoch: this.#epoch };
        parts.push(encodeRecordHeader(this.#salt, header, payload), payload);
      }
    }
    return Buffer.concat(parts);
  }

  #write(bytes: Buffer, done: (error: Error | null) => void): void {
    this.#disk.write(this.#fd, bytes, 0, bytes.length, this.#offset, (error, count) => {
      if (error === null) this.#offset += count;
      // A write may be cut short, e.g. by a disk that is nearly full; the rest of it then says why.
      if (error === null && count < bytes.length) this.#write(bytes.subarray(count), done);
      else done(error);
    });
  }

  #committed(group: readonly Append[]): void {
    this.#durable = this.#written;
    for (const { durable } of group) durable();
    this.#committing = this.#waiting.length > 0;
    if (this.#committing) this.#commit();
    else this.#closing?.();
  }

  #fail(what: string, cause: Error, group: readonly Append[]): void {
    const failure = storageFailed(what, cause);
    this.#failure = failure;
    this.#committing = false;
    const unwritten = [...group, ...this.#waiting];
    this.#waiting = [];
    for (const { failed } of unwritten) failed(failure);
    this.#closing?.();
  }

  close(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#closing !== undefined) return reject(new HopfairError('INVALID_STATE', 'the log is already closed'));
      this.#closing = () => {
        nodeFs.closeSync(this.#fd);
        this.#release();
        resolve();
      };
      if (!this.#committing) this.#closing();
    });
  }
}
