/**
 * One process per data folder: two with the same keys would contradict each other in front of everybody.
 *
 * Every process that wants the folder first creates a lock file under a name that nobody ever uses again, and only then
 * looks for others. Of any two, the one that created its file later sees the other's and gives up; when both arrive in
 * one instant, both may. A file whose process is dead can be removed by anyone at any time, because a living process
 * never takes its name: that is why no take-over can remove the lock of a third.
 */
import { readdirSync, readFileSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { toHex } from '../bytes.js';
import type { Rng } from '../env.js';
import { HopfairError } from '../errors.js';

const PREFIX = 'lock.';

/** Who holds a folder. Together with the boot and the process's start, a process id is never mistaken for a later one. */
interface Holder {
  readonly pid: number;
  readonly host: string;
  readonly boot: string;
  readonly pidNamespace: string;
  /** Clock ticks from boot to the start of the process; empty where the platform does not tell. */
  readonly started: string;
}

export interface DataFolderLock {
  readonly release: () => void;
}

/** Takes the folder, or throws STORAGE_LOCKED and says who has it. */
export function lockDataFolder(dataDir: string, rng: Rng): DataFolderLock {
  const name = `${PREFIX}${process.pid}.${toHex(rng.bytes(8))}`;
  const path = join(dataDir, name);
  const draft = join(dataDir, `new-${name}`);
  writeFileSync(draft, JSON.stringify(describeSelf()), { flag: 'wx', mode: 0o600 });
  renameSync(draft, path); // so that nobody ever reads half of it
  const release = (): void => rmSync(path, { force: true });
  for (const other of readdirSync(dataDir)) {
    if (!other.startsWith(PREFIX) || other === name) continue;
    const otherPath = join(dataDir, other);
    const holder = readHolder(otherPath);
    if (holder === 'gone') continue;
    if (holder === 'unreadable' || mayBeAlive(holder)) {
      release();
      throw lockedBy(holder, otherPath);
    }
    rmSync(otherPath, { force: true });
  }
  return { release };
}

function lockedBy(holder: Holder | 'unreadable', path: string): HopfairError {
  const who = holder === 'unreadable' ? 'a process that cannot be told' : `process ${holder.pid} on ${holder.host}`;
  return new HopfairError(
    'STORAGE_LOCKED',
    `the data folder is held by ${who}; stop it first. Only if it is certainly not running any more, remove ${path}`,
    { retryable: true },
  );
}

function readHolder(path: string): Holder | 'gone' | 'unreadable' {
  try {
    const parsed: Partial<Holder> | null = JSON.parse(readFileSync(path, 'utf8'));
    const { pid, host, boot, pidNamespace, started } = parsed ?? {};
    const texts = [host, boot, pidNamespace, started].every(value => typeof value === 'string');
    return typeof pid === 'number' && texts ? (parsed as Holder) : 'unreadable';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'gone' : 'unreadable';
  }
}

/** False only when the process is certainly dead. */
function mayBeAlive(holder: Holder): boolean {
  const self = describeSelf();
  if (holder.host === self.host && holder.boot !== self.boot) return false; // the machine was started anew since
  if (holder.boot !== self.boot || holder.pidNamespace !== self.pidNamespace) return true; // cannot be judged from here
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return holder.started === '' || holder.started === startOf(holder.pid);
}

function describeSelf(): Holder {
  return {
    pid: process.pid,
    host: hostname(),
    boot: tryRead(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
    pidNamespace: tryRead(() => readlinkSync('/proc/self/ns/pid')),
    started: startOf(process.pid),
  };
}

/** Field 22 of proc(5) stat; the command in field 2 may hold spaces, so count from its closing bracket. */
function startOf(pid: number): string {
  return tryRead(() => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  });
}

/** Empty where the platform has no such file: then only process ids are compared. */
function tryRead(read: () => string): string {
  try {
    return read();
  } catch {
    return '';
  }
}
