/** Folders whose files are durable. */
import * as nodeFs from 'node:fs';
import { dirname, resolve } from 'node:path';
import { HopfairError } from '../errors.js';

/** Makes a folder that only its owner may enter, and those above it that are missing, durably. */
export function createFolder(path: string): void {
  const first = nodeFs.mkdirSync(path, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let parent = dirname(resolve(path)); ; parent = dirname(parent)) {
    syncFolder(parent);
    if (parent === dirname(resolve(first))) return;
  }
}

/** A created or renamed file is durable only when its folder is. */
export function syncFolder(path: string): void {
  if (process.platform === 'win32') return; // folders cannot be synced there, and renames are journalled
  const fd = nodeFs.openSync(path, 'r');
  try {
    nodeFs.fsyncSync(fd);
  } finally {
    nodeFs.closeSync(fd);
  }
}

export function storageFailed(what: string, cause: unknown): HopfairError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new HopfairError('STORAGE_FAILED', `${what}: ${reason}`, { cause });
}
