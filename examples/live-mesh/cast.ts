/** Who is in the live mesh, and who dials whom. */
import { randomBytes } from 'node:crypto';
import type { Party, Role } from './messages.js';

const COUNTS: readonly (readonly [Role, number])[] = [
  ['relay', 8],
  ['member', 4],
  ['observer', 2],
  ['bot', 4],
  ['front-runner', 1],
];
/** Which relays a node that is no relay dials, counted from its own place. */
const RELAY_OFFSETS = [0, 1, 3, 4, 6];

export interface Character extends Party {
  readonly seeds: { readonly identity: string; readonly static: string };
  /** Names of the relays that it dials; relays dial those before them. */
  readonly dials: readonly string[];
  readonly league: boolean;
}

/** A new cast with fresh keys; `peerOf` gives the peer id of a 32-byte Ed25519 seed. */
export function castTheMesh(peerOf: (seed: Uint8Array) => string): Character[] {
  const cast: Character[] = [];
  const relays: string[] = [];
  for (const [role, count] of COUNTS) {
    for (let i = 0; i < count; i++) {
      const name = role === 'front-runner' ? role : `${role}-${i + 1}`;
      const identity = randomBytes(32);
      const dials = role === 'relay' ? [...relays] : spread(relays, i + cast.length);
      cast.push({
        ...{ name, role, peer: peerOf(identity), dials },
        operator: role === 'relay' ? `operator-${i + 1}` : name,
        seeds: { identity: identity.toString('hex'), static: randomBytes(32).toString('hex') },
        // As f = 1 allows, one committee member is the front-runner's friend.
        league: name === 'member-4',
      });
      if (role === 'relay') relays.push(name);
    }
  }
  return cast;
}

/** Five relays from `start` on: any two nodes share two at least, and rarely all. */
function spread(relays: readonly string[], start: number): string[] {
  return RELAY_OFFSETS.map(offset => relays[(start + offset) % relays.length] as string);
}
