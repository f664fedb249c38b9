/** Storage where there is no disk to write to: what `index.ts` exports, less the files. */
export type { NodeStore, Stored } from '../store.js';
export type { LogStore, OpenedLog } from './interface.js';
export { memoryLog } from './memory-log.js';
export { memoryStore } from './memory-store.js';
