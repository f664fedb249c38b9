/**
 * Keeps the garbage collector of V8 on its cheap path. What node:crypto returns lies outside of the heap, and V8 is told of
 * its bytes. After some tens of megabytes it marks the whole heap, in steps of milliseconds, though all of them were dead
 * long before and a scavenge would have freed them; but a flow of large records allocates so little within the heap that
 * no scavenge comes about. docs/decisions/073 has the measurements.
 */

/** So many bytes outside of the heap … */
const OUTSIDE_BYTES = 65_536;
/** … are worth so many words within, which live until the next time. */
const INSIDE_WORDS = 4_096;

let outsideBytes = 0;
/** Reachable, or the compiler would leave the allocation out. */
const inside: { latest: unknown[] } = { latest: [] };

/** To be called with what was allocated outside. Costs a microsecond for every 64 KiB. */
export function onAllocatedOutside(bytes: number): void {
  outsideBytes += bytes;
  if (outsideBytes < OUTSIDE_BYTES) return;
  outsideBytes = 0;
  inside.latest = new Array(INSIDE_WORDS);
}
