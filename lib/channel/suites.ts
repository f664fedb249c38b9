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

/** SHA256 is hardware's, so it stands before BLAKE2s. */
const HASHES: readonly HashName[] = ['SHA256', 'BLAKE2s'];

/** What an initiator offers, the one that it proposes first. */
export function offeredSuites({ crypto, ciphers, postQuantum = 'required' }: SuitePolicy): readonly Suite[] {
  const order = new Set(ciphers ?? crypto.aeadOrder());
  const isHybrid = postQuantum === 'required';
  return HASHES.flatMap(hash =>
    [...order].flatMap(cipher => {
      const suite = findSuite(isHybrid, cipher, hash);
      return suite === undefined ? [] : [suite];
    }),
  );
}

function findSuite(hybrid: boolean, cipher: AeadName, hash: HashName): Suite | undefined {
  const index = FORMS.findIndex(form => form[0] === cipher && form[1] === hash);
  return SUITES.get((hybrid ? HYBRID : 0) + index + 1);
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
