/**
 * Memory that small messages wait in until they are sealed. It belongs to a lane only while something waits, so idle
 * channels have none: slabs of the two sizes are shared by all channels of a process.
 */

/** A little less than the plaintext of a record, so that one full slab leaves as one section. */
const SLAB_BYTES = 65_536;
/** The first of a burst: lone messages are small. */
const FIRST_SLAB_BYTES = 1_024;
/** Full slabs kept for whoever bursts next: 2 MiB, instead of zeroed memory for every record of a busy channel. */
const MAX_KEPT = 32;
const MAX_KEPT_FIRST = 256;

/** Memory, and how many runs of stream bytes in it still wait. */
export interface Slab {
  readonly bytes: Uint8Array;
  runs: number;
}

const kept: Slab[] = [];
const keptFirst: Slab[] = [];

/** What a lane has while nothing waits. Nothing fits into it, so all lanes share it. */
export const EMPTY_SLAB: Slab = { bytes: new Uint8Array(0), runs: 0 };

/** A slab of at least `needed` bytes: a small one to begin with, full ones for the rest of a burst. */
export function takeSlab(needed: number, isFirst: boolean): Slab {
  if (isFirst && needed <= FIRST_SLAB_BYTES) return keptFirst.pop() ?? newSlab(FIRST_SLAB_BYTES);
  if (needed <= SLAB_BYTES) return kept.pop() ?? newSlab(SLAB_BYTES);
  return newSlab(needed);
}

/** Nothing waits in the slab any more, and nobody writes to it. */
export function releaseSlab(slab: Slab): void {
  const { length } = slab.bytes;
  if (length === SLAB_BYTES && kept.length < MAX_KEPT) kept.push(slab);
  else if (length === FIRST_SLAB_BYTES && keptFirst.length < MAX_KEPT_FIRST) keptFirst.push(slab);
}

const newSlab = (length: number): Slab => ({ bytes: new Uint8Array(length), runs: 0 });
