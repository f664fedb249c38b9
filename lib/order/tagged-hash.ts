/**
 * Hashes and derived keys of the order core, each with a tag of its own, so that no two uses can be mistaken for one
 * another whatever the bytes are.
 */
import { fromUtf8, toHex } from '../bytes.js';
import type { CryptoProvider } from '../crypto/interface.js';
import type { HashHex } from './types.js';

export type HashTag =
  | 'committee'
  | 'share-commitment'
  | 'ciphertext'
  | 'core'
  | 'sealed-shares'
  | 'order-id'
  | 'pair-key-name'
  | 'payload-key'
  | 'share-mask'
  | 'seed'
  | 'tie-key'
  | 'log-leaf'
  | 'log-node'
  | 'log-empty';

const prefixes = new Map<HashTag, Uint8Array>();

/** "hopfair/order/", the tag and a zero byte. */
function prefixOf(tag: HashTag): Uint8Array {
  let prefix = prefixes.get(tag);
  if (prefix === undefined) {
    prefix = fromUtf8(`hopfair/order/${tag}\0`);
    prefixes.set(tag, prefix);
  }
  return prefix;
}

/** SHA-256 over the tag and the parts. Parts are joined without lengths: all but one must be of a fixed length. */
export function taggedHash(crypto: CryptoProvider, tag: HashTag, ...parts: readonly Uint8Array[]): Uint8Array {
  return crypto.hash('SHA256').digest(prefixOf(tag), ...parts);
}

/** HMAC-SHA-256 under a secret key: 32 bytes that are worth a key of their own. */
export function deriveKey(
  crypto: CryptoProvider,
  tag: HashTag,
  key: Uint8Array,
  ...parts: readonly Uint8Array[]
): Uint8Array {
  return crypto.hash('SHA256').hmac(key, prefixOf(tag), ...parts);
}

export const hashHex = (hash: Uint8Array): HashHex => toHex(hash) as HashHex;
