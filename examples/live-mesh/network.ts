/** What all nodes of the live mesh agree on beforehand: the network's name and the two committees. */
import { fromHex, toHex } from '../../lib/bytes.js';
import { defaultCrypto } from '../../lib/crypto/index.js';
import type { PeerId } from '../../lib/identity/index.js';
import { peerIdOf } from '../../lib/identity/index.js';
import { decodeCommittee, defaultParameters, encodeCommittee } from '../../lib/order/committee.js';
import type { Committee } from '../../lib/order/types.js';
import type { ModeName } from './messages.js';

const crypto = defaultCrypto();

export const NETWORK_ID = 'live-mesh';
/** The bot that the front-runner is after. */
export const VICTIM = 'bot-1';
/** Four times the p99 between members when one core carries all nodes and orders come in bursts. */
const DELAY_BOUND_MS = 250;

export const peerOfSeed = (seed: Uint8Array): string => peerIdOf(crypto.signer(seed).publicKey);

/** The same members twice: sealed for the exchange, open for what the front-runner could do without sealing. */
export function encodedCommittees(members: readonly string[]): { readonly [mode in ModeName]: string } {
  const encode = (mode: 'sealed' | 'open', epoch: number) =>
    toHex(
      encodeCommittee({
        networkId: NETWORK_ID,
        epoch,
        members: members.map(peer => ({ peer: peer as PeerId })),
        parameters: defaultParameters(DELAY_BOUND_MS, { mode }),
      }),
    );
  return { sealed: encode('sealed', 1), plain: encode('open', 2) };
}

export const decodedCommittee = (hex: string): Committee => decodeCommittee(fromHex(hex));
