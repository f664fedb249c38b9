/**
 * Which Ed25519 public keys are accepted: the canonical encodings of points that are not of small order. Libraries
 * differ here, and two backends that disagree about one signature would split a committee, so every backend asks this
 * first. What remains is the same in all: S < L, and the equation without cofactor over the encoding of R (RFC 8032
 * section 5.1.7, the stricter of its two forms).
 */
import { ED25519_TORSION_SUBGROUP } from '@noble/curves/ed25519.js';
import { fromHex, toHex } from '../bytes.js';

/** The sign of x is left out: the points with x = 0 have two encodings, of which one is malformed. */
function withoutSign(publicKey: Uint8Array): string {
  const y = new Uint8Array(publicKey);
  y[31] = (y[31] ?? 0) & 0x7f;
  return toHex(y);
}

const SMALL_ORDER: ReadonlySet<string> = new Set(ED25519_TORSION_SUBGROUP.map(hex => withoutSign(fromHex(hex))));

/** y < p = 2^255 - 19, little-endian. */
function isCanonical(publicKey: Uint8Array): boolean {
  if (((publicKey[31] ?? 0) & 0x7f) !== 0x7f || (publicKey[0] ?? 0) < 0xed) return true;
  for (let i = 1; i < 31; i++) if (publicKey[i] !== 0xff) return true;
  return false;
}

export function isAcceptablePublicKey(publicKey: Uint8Array): boolean {
  return publicKey.length === 32 && isCanonical(publicKey) && !SMALL_ORDER.has(withoutSign(publicKey));
}
