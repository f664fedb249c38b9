/** Makes an identity of the platform's own surroundings. */
import { defaultCrypto } from '../crypto/index.js';
import { systemEnv } from '../env-system.js';
import { createIdentitySeeds, Identity, type IdentitySeeds } from '../identity/index.js';

export interface CreateIdentityOptions {
  readonly networkId: string;
  /** The two secrets, e.g. of `readOrCreateIdentityFile`; fresh ones by default, gone with the process. */
  readonly seeds?: IdentitySeeds;
}

/**
 * An identity for `createNode`. Throws INVALID_ARGUMENT when a seed is not 32 bytes.
 *
 * @example
 * const identity = createIdentity({ networkId: 'example' });
 */
export function createIdentity({ networkId, seeds }: CreateIdentityOptions): Identity {
  const { clock, rng } = systemEnv();
  const crypto = defaultCrypto();
  const used = seeds ?? createIdentitySeeds(n => rng.bytes(n));
  const identity = new Identity({ crypto, seeds: used, networkId, now: clock.unix() });
  if (seeds === undefined) for (const secret of [used.identity, used.static]) secret.fill(0);
  return identity;
}
