/** What hostile relays of the live mesh do, and which relays stay honest so that there is a way around the others. */
import type { ForwardVerdict } from '../../lib/mesh/index.js';
import type { Character } from './cast.js';

/** Each answers every ping, set-up and link state: only frames that carry data are treated so. */
export type Deed = 'drop' | 'delay' | 'on-off';

interface Behaviour {
  /** In a sentence whose subject is the relay. */
  readonly what: string;
  /** On a label. */
  readonly label: string;
  /** What becomes of a frame that comes so many ms after the relay turned hostile. */
  readonly verdict: (ms: number) => ForwardVerdict;
}

const DELAY_MS = 30;
const PHASE_MS = 1_000;

export const DEEDS: { readonly [deed in Deed]: Behaviour } = {
  drop: { what: 'answers everything and drops every order', label: 'drops', verdict: () => 'drop' },
  delay: {
    what: `answers everything and holds every order for ${DELAY_MS} ms`,
    label: 'delays',
    verdict: () => ({ delayMs: DELAY_MS }),
  },
  'on-off': {
    what: 'drops every order for a second, behaves for the next, and so on',
    label: 'on and off',
    verdict: ms => (Math.floor(ms / PHASE_MS) % 2 === 0 ? 'drop' : 'forward'),
  },
};

/** So many relays that every other node dials as many of them as possible. */
export function relaysToSpare(cast: readonly Character[], count: number): readonly string[] {
  const relays = cast.filter(({ role }) => role === 'relay').map(({ name }) => name);
  const dials = cast.filter(({ role }) => role !== 'relay').map(one => one.dials);
  let best: { readonly spared: readonly string[]; readonly least: number } | undefined;
  for (const spared of subsets(relays, count)) {
    const least = Math.min(...dials.map(names => names.filter(name => spared.includes(name)).length));
    if (best === undefined || least > best.least) best = { spared, least };
  }
  return best?.spared ?? [];
}

function* subsets<T>(all: readonly T[], count: number): Generator<readonly T[]> {
  if (count === 0) yield [];
  for (let i = 0; i <= all.length - count && count > 0; i++) {
    for (const rest of subsets(all.slice(i + 1), count - 1)) yield [all[i] as T, ...rest];
  }
}
