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
  return new Identity({ crypto, seeds: seeds ?? createIdentitySeeds(n => rng.bytes(n)), networkId, now: clock.unix() });
}
