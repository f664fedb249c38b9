/**
 * Storage: what must outlive the process. It knows records of bytes, files, and what a disk can do to them.
 *
 * It must never know what a record means: the order core decides what is written, and before which message leaves.
 * `interface.ts` is what the layers above see; the file log needs Node, the memory log runs anywhere.
 */
export { type DataFolderLock, lockDataFolder } from './data-folder-lock.js';
export { type Disk, type FileLogOptions, LOG_FILE_NAME, openFileLog } from './file-log.js';
export type { LogStore, OpenedLog } from './interface.js';
export { memoryLog } from './memory-log.js';
