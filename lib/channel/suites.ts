/** The cipher suites of handshakes: their numbers on the wire, their names, and which of them a policy takes. */
import type { AeadName, HashName } from '../crypto/interface.js';
import type { HandshakePolicy } from './types.js';

export interface Suite {
  readonly id: number;
  readonly hybrid: boolean;
  readonly cipher: AeadName;
  readonly hash: HashName;
}

const HYBRID = 0x10;
const FORMS: readonly (readonly [AeadName, HashName])[] = [
  ['ChaChaPoly', 'SHA256'],
  ['AESGCM', 'SHA256'],
  ['ChaChaPoly', 'BLAKE2s'],
  ['AESGCM', 'BLAKE2s'],
];

const SUITES: ReadonlyMap<number, Suite> = new Map(
  [true, false].flatMap(hybrid =>
    FORMS.map(([cipher, hash], index): [number, Suite] => {
      const id = (hybrid ? HYBRID : 0) + index + 1;
      return [id, { id, hybrid, cipher, hash }];
    }),
  ),
);

export const MAX_OFFERED_SUITES = 16;

export const suiteById = (id: number): Suite | undefined => SUITES.get(id);

type SuitePolicy = Pick<HandshakePolicy, 'crypto' | 'ciphers' | 'postQuantum'>;

/** What an initiator offers, the one that it proposes first. SHA256 is hardware's, so it stands before BLAKE2s. */
export function offeredSuites({ crypto, ciphers, postQuantum = 'required' }: SuitePolicy): readonly Suite[] {
  const defaults: readonly AeadName[] = crypto.name === 'node' ? ['AESGCM', 'ChaChaPoly'] : ['ChaChaPoly', 'AESGCM'];
  const order = ciphers ?? defaults;
  return [...SUITES.values()]
    .filter(suite => suite.hybrid === (postQuantum === 'required') && order.includes(suite.cipher))
    .sort((a, b) => a.hash.localeCompare(b.hash) * -1 || order.indexOf(a.cipher) - order.indexOf(b.cipher));
}

/**
 * Whether a responder takes what was proposed. Refused: a classical suite where the policy requires the hybrid, and one
 * beside an offer of the hybrid, which only somebody on the path could have brought about.
 */
export function isDowngrade(
  proposed: Suite,
  offered: readonly number[],
  { postQuantum = 'required' }: SuitePolicy,
): boolean {
  if (proposed.hybrid) return false;
  return postQuantum === 'required' || offered.some(id => suiteById(id)?.hybrid === true);
}

export type PatternName = 'XX' | 'IK';

/** E.g. `Noise_IKhfs+psk2_25519+MLKEM768_AESGCM_SHA256`. */
export function protocolName(pattern: PatternName, suite: Suite, psk: boolean): string {
  const modifiers = [suite.hybrid ? 'hfs' : '', psk ? (pattern === 'XX' ? 'psk3' : 'psk2') : ''].filter(m => m !== '');
  const dh = suite.hybrid ? '25519+MLKEM768' : '25519';
  return `Noise_${pattern}${modifiers.join('+')}_${dh}_${suite.cipher}_${suite.hash}`;
}
