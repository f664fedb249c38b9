/**
 * Storage: what must outlive the process. It knows records of bytes, files, and what a disk can do to them.
 *
 * It must never know what a record means: the order core decides what is written, and before which message leaves.
 * `interface.ts` is what the layers above see; the file log and the file store need Node, those in memory run
 * anywhere.
 */

export type { NodeStore, Stored } from '../store.js';
export { type DataFolderLock, lockDataFolder } from './data-folder-lock.js';
export { type Disk, type FileLogOptions, LOG_FILE_NAME, openFileLog } from './file-log.js';
export { type FileStoreOptions, openFileStore, type StoreDisk } from './file-store.js';
export {
  type IdentityFileTools,
  type LoadIdentityOptions,
  readIdentityFile,
  readOrCreateIdentityFile,
} from './identity-file.js';
export type { LogStore, OpenedLog } from './interface.js';
export { memoryLog } from './memory-log.js';
export { memoryStore } from './memory-store.js';
