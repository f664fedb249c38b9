/** Who is linked to whom: each node near to where it is, and some far away, about `degree` links each. */
import type { SeededRng } from '../../../lib/sim/index.js';
import type { Latencies } from './latencies.js';

export interface Topology {
  readonly nodes: number;
  /** By node: where it is. */
  readonly places: readonly number[];
  readonly links: readonly (readonly [number, number])[];
}

/** Three links of four are to those nearest of some candidates, the rest to anybody. */
const NEAR_SHARE = 0.75;
const CANDIDATES = 16;

export function drawTopology(rng: SeededRng, nodes: number, degree: number, latencies: Latencies): Topology {
  const places = Array.from({ length: nodes }, () => rng.int(latencies.places));
  const linked = Array.from({ length: nodes }, () => new Set<number>());
  const links: (readonly [number, number])[] = [];
  const link = (a: number, b: number): void => {
    linked[a]?.add(b);
    linked[b]?.add(a);
    links.push([a, b]);
  };
  const mayLink = (a: number, b: number): boolean => a !== b && linked[a]?.has(b) === false;
  const rttMs = (a: number, b: number): number => latencies.rttMs(places[a] as number, places[b] as number);
  for (let a = 0; a < nodes; a++) {
    for (let i = 0; i < degree / 2; i++) {
      const others = Array.from({ length: CANDIDATES }, () => rng.int(nodes)).filter(b => mayLink(a, b));
      if (rng.chance(NEAR_SHARE)) others.sort((b, c) => rttMs(a, b) - rttMs(a, c));
      const [b] = others;
      if (b !== undefined) link(a, b);
    }
  }
  return { nodes, places, links };
}
