/**
 * Secrets for other uses than records, derived from a finished handshake. They come from the chaining key, which only
 * the two ends know; the handshake hash is public and binds them to this handshake, but is never key material.
 */
import { concat, fromUtf8 } from '../bytes.js';
import type { Hash } from '../crypto/interface.js';
import { HopfairError, requireArgument } from '../errors.js';
import { hkdf2 } from './hkdf.js';

/** Not empty, unlike the input of Split(), and not 32 bytes, unlike every other input: no output can coincide. */
const EXPORTER_LABEL = fromUtf8('hopfair/1 exporter');

export class Exporter {
  readonly #hash: Hash;
  readonly #secret: Uint8Array;
  #destroyed = false;

  constructor(hash: Hash, chainingKey: Uint8Array, handshakeHash: Uint8Array) {
    this.#hash = hash;
    const [secret, unused] = hkdf2(hash, chainingKey, EXPORTER_LABEL, handshakeHash);
    unused.fill(0);
    this.#secret = secret;
  }

  /**
   * `length` bytes (at most 255 hash lengths) that only the two ends can derive: the same at both for the same label,
   * independent for different ones. HKDF-Expand of RFC 5869 with the label as its info.
   */
  export(label: string, length: number): Uint8Array {
    if (this.#destroyed) throw new HopfairError('INVALID_STATE', 'the exporter was destroyed');
    const { hashLength } = this.#hash;
    requireArgument(Number.isInteger(length) && length > 0 && length <= 255 * hashLength, 'length out of range');
    const info = fromUtf8(label);
    const blocks: Uint8Array[] = [];
    for (let i = 1; blocks.length * hashLength < length; i++) {
      blocks.push(this.#hash.hmac(this.#secret, ...blocks.slice(-1), info, Uint8Array.of(i)));
    }
    const output = concat(...blocks);
    for (const block of blocks) block.fill(0);
    output.fill(0, length); // what is not handed out is not kept behind it either
    return output.subarray(0, length);
  }

  destroy(): void {
    this.#secret.fill(0);
    this.#destroyed = true;
  }
}
