/** SymmetricState, Noise spec section 5.2: the chaining key ck and the handshake hash h. */
import { copyOf, EMPTY, fromUtf8 } from '../bytes.js';
import type { Aead, Hash } from '../crypto/interface.js';
import { CipherState } from './cipher-state.js';
import { Exporter } from './exporter.js';
import { hkdf2, hkdf3 } from './hkdf.js';

const KEY_LENGTH = 32;

export class SymmetricState {
  readonly #aead: Aead;
  readonly #hash: Hash;
  readonly #cipher: CipherState;
  #ck: Uint8Array;
  #h: Uint8Array;

  /** InitializeSymmetric(protocol_name) */
  constructor(protocolName: string, aead: Aead, hash: Hash) {
    this.#aead = aead;
    this.#hash = hash;
    const name = fromUtf8(protocolName);
    this.#h = new Uint8Array(hash.hashLength);
    this.#h.set(name.length <= hash.hashLength ? name : hash.digest(name));
    this.#ck = copyOf(this.#h);
    this.#cipher = new CipherState(aead);
  }

  hasKey(): boolean {
    return this.#cipher.hasKey();
  }

  /** A copy of h. It is public. */
  get handshakeHash(): Uint8Array {
    return copyOf(this.#h);
  }

  /** The caller keeps, and zeroes, `inputKeyMaterial`. */
  mixKey(inputKeyMaterial: Uint8Array): void {
    const [ck, key] = hkdf2(this.#hash, this.#ck, inputKeyMaterial);
    this.#chain(ck, key);
  }

  mixHash(data: Uint8Array): void {
    this.#h = this.#hash.digest(this.#h, data);
  }

  mixKeyAndHash(inputKeyMaterial: Uint8Array): void {
    const [ck, tempH, key] = hkdf3(this.#hash, this.#ck, inputKeyMaterial);
    this.mixHash(tempH);
    tempH.fill(0);
    this.#chain(ck, key);
  }

  encryptAndHash(plaintext: Uint8Array): Uint8Array {
    const ciphertext = this.#cipher.encryptWithAd(this.#h, plaintext);
    this.mixHash(ciphertext);
    return ciphertext;
  }

  /** Undefined, with nothing changed, when the ciphertext does not authenticate. */
  decryptAndHash(ciphertext: Uint8Array): Uint8Array | undefined {
    const plaintext = this.#cipher.decryptWithAd(this.#h, ciphertext);
    if (plaintext !== undefined) this.mixHash(ciphertext);
    return plaintext;
  }

  /** Split(), and beside it the exporter. The state is destroyed. */
  split(): [CipherState, CipherState, Exporter] {
    const keys = hkdf2(this.#hash, this.#ck, EMPTY);
    const exporter = new Exporter(this.#hash, this.#ck, this.#h);
    const [first, second] = [new CipherState(this.#aead), new CipherState(this.#aead)];
    first.initializeKey(keys[0].subarray(0, KEY_LENGTH));
    second.initializeKey(keys[1].subarray(0, KEY_LENGTH));
    for (const key of keys) key.fill(0);
    this.destroy();
    return [first, second, exporter];
  }

  destroy(): void {
    this.#ck.fill(0);
    this.#cipher.destroy();
  }

  /** Outputs of a 64-byte hash are truncated to 32 bytes where they become keys. */
  #chain(ck: Uint8Array, key: Uint8Array): void {
    this.#ck.fill(0);
    this.#ck = ck;
    this.#cipher.initializeKey(key.subarray(0, KEY_LENGTH));
    key.fill(0);
  }
}
