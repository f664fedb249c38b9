/** The public key inside a peer id. */
import type { CryptoProvider } from '../crypto/interface.js';
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';

/** @throws HopfairError DECODE_FAILED on a malformed peer id. */
export function publicKeyOf(_crypto: CryptoProvider, peer: PeerId): Uint8Array {
  const key = new Uint8Array(32);
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const letter of peer.slice(3)) {
    const value = ALPHABET.indexOf(letter);
    if (value < 0) throw new HopfairError('DECODE_FAILED', 'malformed peer id');
    bits = ((bits << 5) | value) & 0xfff;
    held += 5;
    if (held >= 8 && at < 32) {
      held -= 8;
      key[at++] = bits >>> held;
    }
  }
  if (!peer.startsWith('hf1') || at < 32) throw new HopfairError('DECODE_FAILED', 'malformed peer id');
  return key;
}
