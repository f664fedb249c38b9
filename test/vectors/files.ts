/** The files of vectors, and how the schema of any such file is recognised. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  type CacophonyVector,
  cacophonySuite,
  type FallbackVector,
  fallbackSuite,
  type HybridVector,
  hybridSuite,
} from './noise.js';
import type { Suite } from './suite.js';
import { type AeadGroup, aeadSuite, type DhGroup, dhSuite, type SignatureGroup, signatureSuite } from './wycheproof.js';

const FOLDER = new URL('../../../shared/vectors/', import.meta.url);

/** The vectors are read where they lie and are no part of this repository. */
export const vectorsArePresent = (): boolean => existsSync(FOLDER);

export const VECTOR_FILES: readonly URL[] = [
  'noise/cacophony.json',
  'noise/noise-c-fallback.json',
  'noise/xxhfs-mlkem768.json',
  'wycheproof/x25519_test.json',
  'wycheproof/chacha20_poly1305_test.json',
  'wycheproof/aes_gcm_test.json',
  'wycheproof/ed25519_test.json',
].map(path => new URL(path, FOLDER));

interface VectorFile {
  readonly protocol?: string;
  readonly vectors?: readonly object[];
  readonly schema?: string;
  readonly algorithm?: string;
  readonly testGroups?: readonly object[];
}

function wycheproofSuite({ schema, algorithm, testGroups = [] }: VectorFile): Suite | undefined {
  if (schema?.startsWith('xdh_comp')) return dhSuite(testGroups as readonly DhGroup[]);
  if (schema?.startsWith('eddsa_verify')) return signatureSuite(testGroups as readonly SignatureGroup[]);
  if (!schema?.startsWith('aead_test')) return undefined;
  if (algorithm === 'CHACHA20-POLY1305') return aeadSuite('ChaChaPoly', testGroups as readonly AeadGroup[]);
  if (algorithm === 'AES-GCM') return aeadSuite('AESGCM', testGroups as readonly AeadGroup[]);
  return undefined;
}

function noiseSuite({ protocol, vectors }: VectorFile): Suite | undefined {
  const first = vectors?.[0] ?? {};
  if (protocol !== undefined && 'ephemeral_kem_i_seed' in first) {
    return hybridSuite(protocol, vectors as readonly HybridVector[]);
  }
  if ('protocol_name' in first) return cacophonySuite(vectors as readonly CacophonyVector[]);
  if ('fallback' in first) return fallbackSuite(vectors as readonly FallbackVector[]);
  return undefined;
}

/** Reads a file of any schema that is known here; throws an Error that says what is wrong with any other. */
export function loadSuite(path: URL | string): Suite {
  const place = path instanceof URL ? fileURLToPath(path) : path;
  try {
    const file: VectorFile = JSON.parse(readFileSync(place, 'utf8'));
    const suite = wycheproofSuite(file) ?? noiseSuite(file);
    if (suite !== undefined) return suite;
  } catch (cause) {
    throw new Error(`${place} cannot be read: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
  throw new Error(`${place} is no file of vectors of a known schema`);
}
