/** Bech32m (BIP 350): 32 bytes as text whose checksum finds every error of up to four characters. */
import { HopfairError } from '../errors.js';

const ALPHABET = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
const GENERATOR = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3] as const;
const BECH32M = 0x2bc830a3;
const CHECKSUM_LENGTH = 6;

/** Value of each character code in the alphabet, -1 for every other ASCII character. */
const VALUES: Int8Array = new Int8Array(128).fill(-1);
for (let i = 0; i < ALPHABET.length; i++) VALUES[ALPHABET.charCodeAt(i)] = i;

/** What the five bits that leave the checksum add to it: the generators of the bits that are set, for each of 32 cases. */
const REMAINDERS: Int32Array = Int32Array.from({ length: 32 }, (_, top) =>
  GENERATOR.reduce((sum, generator, bit) => ((top >>> bit) & 1 ? sum ^ generator : sum), 0),
);

/** Multiplies the 30-bit checksum polynomial by x and adds `value`, modulo the generator. */
function polymodStep(checksum: number, value: number): number {
  return ((checksum & 0x1ffffff) << 5) ^ value ^ (REMAINDERS[checksum >>> 25] ?? 0);
}

/** The checksum state after the human-readable part, which is known beforehand. */
function startChecksum(prefix: string): number {
  let checksum = 1;
  for (const character of prefix) checksum = polymodStep(checksum, character.charCodeAt(0) >>> 5);
  checksum = polymodStep(checksum, 0);
  for (const character of prefix) checksum = polymodStep(checksum, character.charCodeAt(0) & 31);
  return checksum;
}

/** `prefix`, `1`, then data and checksum; lower case. */
export function encodeBech32m(prefix: string, bytes: Uint8Array): string {
  // Joined once: a text put together character by character is kept in memory as the forty pieces that it was made of.
  const characters = [prefix, '1'];
  let checksum = startChecksum(prefix);
  const put = (value: number): void => {
    checksum = polymodStep(checksum, value);
    characters.push(ALPHABET.charAt(value));
  };
  let pending = 0;
  let bits = 0;
  for (const byte of bytes) {
    pending = (pending << 8) | byte;
    for (bits += 8; bits >= 5; bits -= 5) put((pending >>> (bits - 5)) & 31);
    pending &= 0xff;
  }
  if (bits > 0) put((pending << (5 - bits)) & 31);
  for (let i = 0; i < CHECKSUM_LENGTH; i++) checksum = polymodStep(checksum, 0);
  checksum ^= BECH32M;
  for (let i = CHECKSUM_LENGTH - 1; i >= 0; i--) characters.push(ALPHABET.charAt((checksum >>> (5 * i)) & 31));
  return characters.join('');
}

/** The `length` bytes behind the text; INVALID_ARGUMENT says what is wrong with any other text. */
export function decodeBech32m(prefix: string, text: string, length: number): Uint8Array {
  const refuse = (why: string): HopfairError => new HopfairError('INVALID_ARGUMENT', `not a peer id: ${why}`);
  const dataLength = Math.ceil((length * 8) / 5);
  if (!text.startsWith(`${prefix}1`)) throw refuse(`it does not begin with ${prefix}1`);
  const start = prefix.length + 1;
  const expected = start + dataLength + CHECKSUM_LENGTH;
  if (text.length !== expected) throw refuse(`it has ${text.length} characters instead of ${expected}`);
  const bytes = new Uint8Array(length);
  let checksum = startChecksum(prefix);
  let pending = 0;
  let bits = 0;
  let at = 0;
  for (let i = start; i < expected; i++) {
    const value = VALUES[text.charCodeAt(i)] ?? -1;
    if (value < 0) throw refuse(`the character at position ${i} is not allowed`);
    checksum = polymodStep(checksum, value);
    if (i >= start + dataLength) continue;
    pending = ((pending << 5) | value) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = pending >>> bits;
    }
  }
  if (checksum !== BECH32M) throw refuse('the checksum does not match: it was mistyped');
  if ((pending & ((1 << bits) - 1)) !== 0) throw refuse('the unused bits at its end are not zero');
  return bytes;
}
