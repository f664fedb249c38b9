/**
 * The faults that the simulator can cause: a closed list. Each is counted when it really acted on something, never when
 * it was merely configured, so that a run whose faults did not happen is seen to have proved nothing.
 */
export const FAULTS = {
  // network
  jitter: 'a packet took longer than the link needs',
  drop: 'a packet was lost',
  reorder: 'a message overtook an earlier one of another service',
  corrupt: 'one bit of a message on a connection was flipped',
  clog: 'a packet waited for a link that was stuck, and came in a burst',
  reset: 'an open connection was reset',
  'dead-link': 'a connection went silent for good without an error',
  'partition-two-way': 'a packet was stopped by a partition in both directions',
  'partition-one-way': 'a packet was stopped by a partition in one direction',
  'partition-bridge': 'a packet was stopped by a partition with one node on both sides',
  // process and clock
  crash: 'a process died without warning',
  pause: 'a process stood still while its inputs queued',
  'clock-skew': 'a node started with a wrong wall clock',
  'clock-drift': 'a node ran on a clock of the wrong rate',
  'clock-jump': 'a wall clock jumped',
  // disk
  'lost-write': 'records that were not yet durable were lost in a crash',
  'torn-write': 'a record was half written when its process died',
  'fsync-lie': 'records reported as durable were lost in a crash',
  'bit-rot': 'a durable record was damaged',
  'io-error': 'a write failed with EIO',
  'disk-full': 'a write failed with ENOSPC',
  // peers
  'hostile-relay': 'a relay that answers probes dropped a frame',
  revocation: 'a relay was revoked while traffic went over it',
} as const;

export type Fault = keyof typeof FAULTS;

export class FaultCounts {
  readonly #counts = new Map<Fault, number>();

  count(fault: Fault, times = 1): void {
    this.#counts.set(fault, this.of(fault) + times);
  }

  of(fault: Fault): number {
    return this.#counts.get(fault) ?? 0;
  }

  add(other: FaultCounts): void {
    for (const [fault, times] of other.#counts) this.count(fault, times);
  }

  /** The counts of those faults, or of all, zeros included. */
  toJSON(faults: readonly Fault[] = Object.keys(FAULTS) as Fault[]): Record<string, number> {
    return Object.fromEntries(faults.map(fault => [fault, this.of(fault)]));
  }
}
