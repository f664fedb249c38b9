/**
 * A virtual disk: named append-only logs with group commit, as `LogStore` promises them, on hardware that fails in
 * every way of the closed list. What was not durable at a crash is lost from some point on, perhaps torn there.
 */
import { HopfairError, requireArgument } from '../errors.js';
import type { LogStore, OpenedLog } from '../storage/interface.js';
import type { SimProcess } from './machine.js';
import type { SeededRng } from './rng.js';
import { checksum } from './trace.js';
import type { SimWorld } from './world.js';

export interface DiskFaults {
  /** What an fsync takes, in ms: uniform between the two. */
  readonly fsyncMs?: readonly [number, number];
  /** Probability that a record lost in a crash leaves a torn piece behind. */
  readonly tornWrite?: number;
  /** The disk reports writes as durable while it holds them in a cache that a crash empties. */
  readonly fsyncLies?: boolean;
  /** Records that fit; the next append fails with ENOSPC. */
  readonly capacityRecords?: number;
  /** Probability that a commit fails with EIO. */
  readonly ioError?: number;
}

interface StoredRecord {
  bytes: Uint8Array;
  /** In the platter, not in a cache: survives power loss. */
  synced: boolean;
  /** The application was told that it is durable. */
  reported: boolean;
  damage: 'none' | 'torn' | 'rotten';
}

interface Pending {
  readonly upTo: number;
  readonly durable: () => void;
  readonly failed: (error: HopfairError) => void;
}

const DEFAULT_FSYNC_MS = [0.2, 1.5] as const;

/** The disk of one machine. What is on it outlives every process. */
export class SimDisk {
  readonly #world: SimWorld;
  readonly #name: string;
  readonly #rng: SeededRng;
  readonly #logs = new Map<string, StoredRecord[]>();
  readonly #open = new Set<string>();
  #faults: DiskFaults;
  #process: SimProcess | undefined;

  constructor(world: SimWorld, name: string, rng: SeededRng, faults: DiskFaults) {
    this.#world = world;
    this.#name = name;
    this.#rng = rng;
    this.#faults = faults;
  }

  /** Changes how the disk behaves from now on. */
  set faults(faults: DiskFaults) {
    this.#faults = faults;
  }

  get faults(): DiskFaults {
    return this.#faults;
  }

  /** The machine hands the disk to the process that starts. */
  mount(process: SimProcess): void {
    this.#process = process;
    this.#open.clear();
  }

  /** Opens a log, creating it; throws STORAGE_CORRUPT when a record before the tail is damaged, as the real one does. */
  openLog(name: string): OpenedLog {
    const process = this.#process;
    requireArgument(process?.alive === true, 'the disk belongs to no running process');
    requireArgument(!this.#open.has(name), `log ${name} is open`);
    const records = this.#logs.get(name) ?? [];
    this.#logs.set(name, records);
    const firstBad = records.findIndex(record => record.damage !== 'none');
    const truncated = firstBad !== -1;
    if (truncated && firstBad < records.length - 1) {
      throw new HopfairError('STORAGE_CORRUPT', `${this.#name}/${name}: record ${firstBad} is damaged`);
    }
    if (truncated) records.length = firstBad;
    this.#open.add(name);
    const store = this.#store(name, records, process as SimProcess);
    return { store, records: records.map(record => record.bytes), truncated };
  }

  /** The records of a log as they would survive a crash now; for assertions of a scenario. */
  durableRecords(name: string): readonly Uint8Array[] {
    return (this.#logs.get(name) ?? []).filter(record => record.synced).map(record => record.bytes);
  }

  /** An operator empties the log: a new disk. */
  erase(name: string): void {
    requireArgument(!this.#open.has(name), `log ${name} is open`);
    this.#logs.delete(name);
  }

  /** Damages one durable record; `tail` the last, otherwise one before it. False when there is none. */
  rot(name: string, where: 'tail' | 'middle'): boolean {
    const records = this.#logs.get(name) ?? [];
    const at = where === 'tail' ? records.length - 1 : this.#rng.int(Math.max(1, records.length - 1));
    const record = records[at];
    if (record === undefined || !record.synced || (where === 'middle' && records.length < 2)) return false;
    record.damage = 'rotten';
    this.#world.faults.count('bit-rot');
    this.#world.note(`rot ${this.#name}/${name}`, at);
    return true;
  }

  /** A copy of all logs, to be put back later: what an operator does who restores an old snapshot. */
  snapshot(): ReadonlyMap<string, readonly Uint8Array[]> {
    return new Map([...this.#logs.keys()].map(name => [name, this.durableRecords(name)]));
  }

  restore(snapshot: ReadonlyMap<string, readonly Uint8Array[]>): void {
    requireArgument(this.#process?.alive !== true, 'a process runs on this disk');
    this.#logs.clear();
    for (const [name, records] of snapshot) {
      this.#logs.set(
        name,
        records.map(bytes => ({ bytes, synced: true, reported: true, damage: 'none' })),
      );
    }
  }

  /** Of the records that are not durable a prefix survives, and the next one perhaps half. */
  powerLoss(): void {
    this.#open.clear();
    for (const [name, records] of this.#logs) {
      const firstUnsynced = records.findIndex(record => !record.synced);
      if (firstUnsynced === -1) continue;
      const kept = firstUnsynced + this.#rng.int(records.length - firstUnsynced + 1);
      const lost = records.splice(kept);
      this.#world.faults.count('lost-write', lost.filter(record => !record.reported).length);
      this.#world.faults.count('fsync-lie', lost.filter(record => record.reported).length);
      const torn = lost[0];
      if (torn !== undefined && this.#rng.chance(this.#faults.tornWrite ?? 0.5)) {
        this.#world.faults.count('torn-write');
        records.push({ ...torn, damage: 'torn', synced: true });
      }
      for (const record of records) record.synced = true;
      this.#world.note(`power loss ${this.#name}/${name}`, kept);
    }
  }

  #store(name: string, records: StoredRecord[], process: SimProcess): LogStore {
    const waiting: Pending[] = [];
    let failure: HopfairError | undefined;
    let committing = false;
    let closed: (() => void) | undefined;

    const fail = (fault: 'io-error' | 'disk-full', code: string): void => {
      this.#world.faults.count(fault);
      failure = new HopfairError('STORAGE_FAILED', `${this.#name}/${name}: ${code}`);
      for (const { failed } of waiting.splice(0)) failed(failure);
      closed?.();
    };

    const commit = (): void => {
      committing = true;
      const upTo = records.length;
      const [low, high] = this.#faults.fsyncMs ?? DEFAULT_FSYNC_MS;
      this.#world.scheduler.after(this.#rng.between(low, high), () =>
        process.enter(() => {
          committing = false;
          if (this.#rng.chance(this.#faults.ioError ?? 0)) return fail('io-error', 'EIO');
          const lies = this.#faults.fsyncLies ?? false;
          for (let i = upTo - 1; i >= 0 && records[i]?.reported === false; i--) {
            (records[i] as StoredRecord).reported = true;
          }
          if (!lies) for (let i = upTo - 1; i >= 0 && records[i]?.synced === false; i--) markSynced(records[i]);
          this.#world.note(`fsync ${this.#name}/${name}`, upTo);
          while (waiting[0] !== undefined && waiting[0].upTo <= upTo) waiting.shift()?.durable();
          if (waiting.length > 0) commit();
          else closed?.();
        }),
      );
    };

    return {
      append: (batch, durable, failed) => {
        requireArgument(closed === undefined, 'the log was closed');
        if (!process.alive) return;
        if (failure !== undefined) return process.env.clock.defer(() => failed(failure as HopfairError));
        const full = records.length + batch.length > (this.#faults.capacityRecords ?? Number.POSITIVE_INFINITY);
        // Copies: a caller that reuses its buffer after `append` must not change what the disk holds.
        if (!full) {
          for (const bytes of batch) {
            records.push({ bytes: bytes.slice(), synced: false, reported: false, damage: 'none' });
            this.#world.note(`append ${this.#name}/${name}`, checksum(bytes));
          }
        }
        waiting.push({ upTo: records.length, durable, failed });
        if (full) process.env.clock.defer(() => fail('disk-full', 'ENOSPC'));
        else if (!committing) commit();
      },
      close: () =>
        new Promise(resolve => {
          closed = () => {
            this.#open.delete(name);
            resolve();
          };
          if (!committing) closed();
        }),
    };
  }
}

function markSynced(record: StoredRecord | undefined): void {
  if (record !== undefined) record.synced = true;
}
