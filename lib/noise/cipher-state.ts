/** CipherState, Noise spec section 5.1: a key and a 64-bit counter n, of which 2^64-1 is never used. */
import { EMPTY } from '../bytes.js';
import type { Aead, AeadKey } from '../crypto/interface.js';
import { HopfairError, requireArgument } from '../errors.js';

const MAX_U32 = 0xffff_ffff;
export const TAG_LENGTH = 16;

/** Written before each call of a backend, which has read it when it returns: one for all states, not one for each. */
const NONCE = new Uint8Array(12);
const NONCE_VIEW = new DataView(NONCE.buffer);

/**
 * Seals and opens with one key. `encryptWithAd` and `decryptWithAd` count n themselves and serve ordered streams; the
 * `…At` methods take n from the caller and serve packets, which may be lost or reordered. A state serves one of the two.
 *
 * n is kept as two halves of 32 bits: exact to the end, and without a bigint per message.
 */
export class CipherState {
  readonly #aead: Aead;
  readonly #littleEndian: boolean;
  #key: AeadKey | undefined;
  #nHigh = 0;
  #nLow = 0;
  #destroyed = false;

  constructor(aead: Aead) {
    this.#aead = aead;
    this.#littleEndian = aead.name === 'ChaChaPoly';
  }

  /** `key` is 32 bytes and is copied: the caller may zero it. n starts again at 0. */
  initializeKey(key: Uint8Array): void {
    this.#requireAlive();
    this.#key?.destroy();
    this.#key = this.#aead.key(key);
    this.#nHigh = 0;
    this.#nLow = 0;
  }

  hasKey(): boolean {
    return this.#key !== undefined;
  }

  /** The n of the next message. */
  get nonce(): bigint {
    return (BigInt(this.#nHigh) << 32n) | BigInt(this.#nLow);
  }

  setNonce(n: bigint): void {
    requireArgument(n >= 0n && n < 1n << 64n, 'n is a 64-bit number');
    this.#nHigh = Number(n >> 32n);
    this.#nLow = Number(n & 0xffff_ffffn);
  }

  /** Ciphertext with its tag; the plaintext itself while there is no key. Throws NONCE_EXHAUSTED at n = 2^64-1. */
  encryptWithAd(ad: Uint8Array, plaintext: Uint8Array): Uint8Array {
    this.#requireAlive();
    if (this.#key === undefined) return plaintext;
    const sealed = this.#key.seal(this.#nonceFor(this.#nHigh, this.#nLow), ad, plaintext);
    this.#advance();
    return sealed;
  }

  /** As `encryptWithAd` for the concatenation of `parts`, which are never joined; returns parts to send in order. */
  encryptPartsWithAd(ad: Uint8Array, parts: readonly Uint8Array[]): readonly Uint8Array[] {
    this.#requireAlive();
    if (this.#key === undefined) return parts;
    const sealed = this.#key.sealParts(this.#nonceFor(this.#nHigh, this.#nLow), ad, parts);
    this.#advance();
    return sealed;
  }

  /**
   * The plaintext, or undefined when it does not authenticate: n stays where it was then. Throws NONCE_EXHAUSTED at
   * n = 2^64-1.
   */
  decryptWithAd(ad: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined {
    this.#requireAlive();
    if (this.#key === undefined) return ciphertext;
    const nonce = this.#nonceFor(this.#nHigh, this.#nLow);
    if (ciphertext.length < TAG_LENGTH) return undefined;
    const plaintext = this.#key.open(nonce, ad, ciphertext);
    if (plaintext !== undefined) this.#advance();
    return plaintext;
  }

  /**
   * Seals a packet under n = nHigh * 2^32 + nLow. The caller answers for never using one n twice. Needs a key.
   * Throws NONCE_EXHAUSTED for n = 2^64-1.
   */
  encryptAt(nHigh: number, nLow: number, ad: Uint8Array, plaintext: Uint8Array): Uint8Array {
    return this.#requireKey().seal(this.#explicitNonce(nHigh, nLow), ad, plaintext);
  }

  /** As `encryptAt` for the concatenation of `parts`. */
  encryptPartsAt(nHigh: number, nLow: number, ad: Uint8Array, parts: readonly Uint8Array[]): Uint8Array[] {
    return this.#requireKey().sealParts(this.#explicitNonce(nHigh, nLow), ad, parts);
  }

  /** Opens a packet sealed under this n; undefined when it does not authenticate, or claims n = 2^64-1. */
  decryptAt(nHigh: number, nLow: number, ad: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined {
    const key = this.#requireKey();
    if (ciphertext.length < TAG_LENGTH || (nHigh === MAX_U32 && nLow === MAX_U32)) return undefined;
    return key.open(this.#explicitNonce(nHigh, nLow), ad, ciphertext);
  }

  /** Section 4.2, REKEY: the key becomes the encryption of 32 zeros under n = 2^64-1. n is not changed. */
  rekey(): void {
    const old = this.#requireKey();
    this.#key = this.#derivedKey(old);
    old.destroy();
  }

  /** A new state with the key that `rekey` would lead to, for packets that may still come under this one. */
  rekeyed(): CipherState {
    const next = new CipherState(this.#aead);
    next.#key = this.#derivedKey(this.#requireKey());
    return next;
  }

  #derivedKey(old: AeadKey): AeadKey {
    this.#writeNonce(MAX_U32, MAX_U32);
    const sealed = old.seal(NONCE, EMPTY, new Uint8Array(32));
    const key = this.#aead.key(sealed.subarray(0, 32));
    sealed.fill(0);
    return key;
  }

  /** Zeroes the key. Every use afterwards throws INVALID_STATE. */
  destroy(): void {
    this.#key?.destroy();
    this.#key = undefined;
    this.#destroyed = true;
  }

  /** Without this, a destroyed state would be taken for one that has no key yet, and would send plaintext. */
  #requireAlive(): void {
    if (this.#destroyed) throw new HopfairError('INVALID_STATE', 'the cipher state was destroyed');
  }

  #requireKey(): AeadKey {
    this.#requireAlive();
    if (this.#key === undefined) throw new HopfairError('INVALID_STATE', 'the cipher state has no key yet');
    return this.#key;
  }

  #explicitNonce(nHigh: number, nLow: number): Uint8Array {
    requireArgument(nHigh >>> 0 === nHigh && nLow >>> 0 === nLow, 'n is two unsigned 32-bit halves');
    return this.#nonceFor(nHigh, nLow);
  }

  #nonceFor(nHigh: number, nLow: number): Uint8Array {
    if (nHigh === MAX_U32 && nLow === MAX_U32) {
      throw new HopfairError('NONCE_EXHAUSTED', 'n = 2^64-1 is reserved for rekeying');
    }
    this.#writeNonce(nHigh, nLow);
    return NONCE;
  }

  /** Section 12: four zero bytes, then n, little-endian for ChaChaPoly and big-endian for AESGCM. */
  #writeNonce(nHigh: number, nLow: number): void {
    NONCE_VIEW.setUint32(this.#littleEndian ? 4 : 8, nLow, this.#littleEndian);
    NONCE_VIEW.setUint32(this.#littleEndian ? 8 : 4, nHigh, this.#littleEndian);
  }

  #advance(): void {
    this.#nLow = (this.#nLow + 1) >>> 0;
    if (this.#nLow === 0) this.#nHigh++;
  }
}
