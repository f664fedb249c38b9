/** What one seed of the mesh scenario is like, drawn once, before anything runs. */
import type { LinkConditions, SeededRng } from '../../../lib/sim/index.js';

export interface Conditions {
  /** Every fifth seed runs on the real cryptography. */
  readonly realCrypto: boolean;
  readonly link: Partial<LinkConditions>;
  /** Nodes that send to one another. None is linked to another: everything goes over relays. */
  readonly ends: number;
  readonly relays: number;
  /** By end: the relays that it keeps channels with. */
  readonly homes: readonly (readonly number[])[];
  /**
   * Pairs of relays, the first of which dials the second: a ring, in which two relays at most join any two ends. Some
   * are dialled from both sides, at once.
   */
  readonly trunks: readonly (readonly [number, number])[];
  readonly messagesPerEnd: number;
  readonly faultyMs: number;
  readonly maxSkewMs: number;
  /** Short ones, so that sessions get new keys while all else happens. */
  readonly sessionLifetimeMs: number;
  /** Relays that die and come back. */
  readonly crashes: number;
  /** Ends that die and come back, and their sessions with them. */
  readonly endCrashes: number;
  /** Relays that answer probes and drop data, for a while. */
  readonly hostile: number;
  readonly deadLinks: number;
  readonly partitions: number;
  /** The longest of them; some outlive the sessions. */
  readonly longestPartitionMs: number;
  readonly clogs: number;
  readonly pauses: number;
  /** Relays that are revoked for good: only where the others still join all ends. */
  readonly revocations: number;
}

export function drawConditions(rng: SeededRng, seed: number): Conditions {
  const [ends, relays] = [2 + rng.int(2), 3 + rng.int(3)];
  const indices = Array.from({ length: relays }, (_, i) => i);
  const both = rng.fork('trunks dialled from both sides');
  const some = (probability: number, most: number): number => (rng.chance(probability) ? 1 + rng.int(most) : 0);
  return {
    realCrypto: seed % 5 === 0,
    link: {
      delayMs: rng.between(0.5, 15),
      jitterMs: rng.chance(0.7) ? rng.between(0.1, 3) : 0,
      loss: rng.chance(0.4) ? rng.between(0.001, 0.03) : 0,
      reset: rng.chance(0.2) ? 0.001 : 0,
      corrupt: rng.chance(0.2) ? 0.0005 : 0,
    },
    ends,
    relays,
    homes: Array.from({ length: ends }, () => rng.shuffle(indices).slice(0, 2 + rng.int(2))),
    trunks: indices.flatMap(i => {
      const trunk = [i, (i + 1) % relays] as const;
      return both.chance(0.4) ? [trunk, [trunk[1], trunk[0]] as const] : [trunk];
    }),
    messagesPerEnd: 60,
    faultyMs: 4_000,
    sessionLifetimeMs: rng.fork('session').between(5_000, 10_000),
    maxSkewMs: rng.chance(0.5) ? 2_000 : 0,
    crashes: some(0.5, 2),
    endCrashes: some(0.2, 1),
    hostile: some(0.5, relays - 2),
    deadLinks: some(0.4, 2),
    partitions: some(0.4, 2),
    longestPartitionMs: rng.chance(0.8) ? 2_000 : 60_000,
    clogs: some(0.3, 2),
    pauses: some(0.3, 1),
    revocations: relays <= 4 && rng.fork('revocation').chance(0.4) ? 1 : 0,
  };
}
