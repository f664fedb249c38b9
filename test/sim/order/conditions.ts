/** What one seed of the order scenario is like, drawn once, before anything runs. */
import type { Mode } from '../../../lib/order/types.js';
import type { DiskFaults, LinkConditions, SeededRng } from '../../../lib/sim/index.js';

export interface Conditions {
  readonly n: number;
  /** Every fifth seed runs on the real cryptography. */
  readonly realCrypto: boolean;
  /** `open` now and then: the same ordering over plaintext. */
  readonly mode: Mode;
  readonly link: Partial<LinkConditions>;
  readonly delayBoundMs: number;
  readonly clients: number;
  readonly ordersPerClient: number;
  /** How long faults happen; as long as the orders keep coming. */
  readonly faultyMs: number;
  readonly maxSkewMs: number;
  readonly crashes: number;
  readonly partitions: number;
  readonly clogs: number;
  readonly pauses: number;
  readonly clockJumps: number;
  /** Power fails everywhere at once, sound disks included. */
  readonly blackout: boolean;
  /** What an fsync takes on the other disks. */
  readonly fsyncMs: readonly [number, number];
  /** The disks of these members, f at most, fail in their way; all others keep what they reported as durable. */
  readonly weakDisks: ReadonlyMap<number, DiskFaults>;
  /** Where one bit of a weak disk flips while its machine is off. */
  readonly rot: 'tail' | 'middle' | undefined;
}

const COMMITTEE_SIZES = [1, 4, 4, 4, 7] as const;

export function drawConditions(rng: SeededRng, seed: number): Conditions {
  const n = rng.pick(COMMITTEE_SIZES);
  const delayMs = rng.between(0.2, 8);
  const jitterMs = rng.chance(0.7) ? rng.between(0.1, 4) : 0;
  const loss = rng.chance(0.5) ? rng.between(0.01, 0.2) : 0;
  const some = (probability: number, most: number): number => (rng.chance(probability) ? 1 + rng.int(most) : 0);
  return {
    n,
    realCrypto: seed % 5 === 0,
    mode: rng.chance(0.85) ? 'sealed' : 'open',
    link: { delayMs, jitterMs, loss },
    delayBoundMs: Math.ceil(4 * (delayMs + jitterMs)) + 4,
    clients: 2,
    ordersPerClient: n === 7 ? 8 : 15,
    faultyMs: n === 7 ? 1_000 : 1_500,
    maxSkewMs: rng.chance(0.5) ? 40 : 0,
    crashes: some(0.5, 3),
    partitions: n === 1 ? 0 : some(0.5, 2),
    clogs: some(0.3, 2),
    pauses: some(0.3, 2),
    clockJumps: some(0.2, 2),
    blackout: rng.chance(0.15),
    fsyncMs: rng.chance(0.7) ? [0.2, 1.5] : [2, 15],
    weakDisks: drawWeakDisks(rng, n),
    rot: rng.pick([undefined, 'tail', 'middle']),
  };
}

function drawWeakDisks(rng: SeededRng, n: number): ReadonlyMap<number, DiskFaults> {
  const f = Math.floor((n - 1) / 3);
  const faults = (): DiskFaults =>
    rng.pick<DiskFaults>([
      { tornWrite: 1 },
      { fsyncLies: true },
      { ioError: 0.005 },
      { capacityRecords: 20 + rng.int(200) },
      { fsyncMs: [5, 60] },
    ]);
  if (!rng.chance(0.6)) return new Map();
  const members = rng.shuffle(Array.from({ length: n }, (_, i) => i)).slice(0, f);
  return new Map(members.map(member => [member, faults()]));
}
