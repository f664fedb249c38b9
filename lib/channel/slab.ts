/** Memory that small messages wait in until they are sealed. Slabs of full size are shared by all channels of a process. */

/** A little less than the plaintext of a record, so that one full slab leaves as one section. */
export const SLAB_BYTES = 65_536;
const FIRST_SLAB_BYTES = 1_024;
/** Full slabs kept for whoever bursts next: 2 MiB, instead of zeroed memory for every record of a busy channel. */
const MAX_KEPT = 32;

/** Memory, and how many runs of stream bytes in it still wait. */
export interface Slab {
  readonly bytes: Uint8Array;
  runs: number;
}

const kept: Slab[] = [];

/** What a lane has before its first message and after it was idle. Nothing fits into it, so all lanes share it. */
export const EMPTY_SLAB: Slab = { bytes: new Uint8Array(0), runs: 0 };

/** A slab of at least `needed` bytes, and twice what came before it: idle channels keep little, busy ones soon enough. */
export function takeSlab(needed: number, previousBytes: number): Slab {
  const wanted = Math.max(needed, Math.min(Math.max(previousBytes * 2, FIRST_SLAB_BYTES), SLAB_BYTES));
  return (wanted === SLAB_BYTES ? kept.pop() : undefined) ?? { bytes: new Uint8Array(wanted), runs: 0 };
}

/** Nothing waits in the slab any more, and nobody writes to it. */
export function releaseSlab(slab: Slab): void {
  if (slab.bytes.length === SLAB_BYTES && kept.length < MAX_KEPT) kept.push(slab);
}
