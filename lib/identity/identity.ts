/** The identity of this peer: what it signs with, its static key, and the present certificate that ties the two. */
import type { CryptoProvider, DhKeyPair, Signer } from '../crypto/interface.js';
import { type UnixMs, unixMs } from '../env.js';
import { LIMITS } from '../limits.js';
import { type Certificate, issueCertificate } from './certificate.js';
import { type PeerId, peerIdOf } from './peer-id.js';
import { type SignatureKind, signingBytes } from './signing.js';

/** The two secrets of a peer, 32 uniformly random bytes each. The identity file holds them. */
export interface IdentitySeeds {
  /** Ed25519 seed of the identity key. */
  readonly identity: Uint8Array;
  /** X25519 secret of the static key. */
  readonly static: Uint8Array;
}

/** Two new secrets. */
export const createIdentitySeeds = (rng: (length: number) => Uint8Array): IdentitySeeds => ({
  identity: rng(32),
  static: rng(32),
});

export interface IdentityOptions {
  readonly crypto: CryptoProvider;
  /** Copied or imported: the caller may zero them afterwards. */
  readonly seeds: IdentitySeeds;
  readonly networkId: string;
  readonly now: UnixMs;
  /** Epoch of the first certificate. By default `now`, which grows over restarts without a word on disk. */
  readonly epoch?: number;
  /** Of each certificate; seven days, the longest that peers accept, by default. */
  readonly certificateLifetimeMs?: number;
}

/**
 * @example
 * const seeds = createIdentitySeeds(n => env.rng.bytes(n));
 * const identity = new Identity({ crypto, seeds, networkId: 'example', now: clock.unix() });
 */
export class Identity {
  readonly peer: PeerId;
  readonly networkId: string;
  readonly staticKey: DhKeyPair;
  readonly #signer: Signer;
  readonly #lifetimeMs: number;
  #certificate: Certificate;

  constructor({ crypto, seeds, networkId, now, epoch = now, certificateLifetimeMs }: IdentityOptions) {
    this.networkId = networkId;
    this.#lifetimeMs = certificateLifetimeMs ?? LIMITS.maxCertificateLifetimeMs;
    this.staticKey = crypto.dhKeyPair(seeds.static);
    this.#signer = crypto.signer(seeds.identity);
    this.peer = peerIdOf(this.#signer.publicKey);
    this.#certificate = this.#issue(epoch, now);
  }

  /** The certificate to show to others. */
  get certificate(): Certificate {
    return this.#certificate;
  }

  /** When the certificate should be renewed at the latest: half of its life is left then. */
  get renewalDue(): UnixMs {
    const { notBefore, expiry } = this.#certificate;
    return unixMs((notBefore + expiry) / 2);
  }

  /** 32-byte Ed25519 public key. */
  get publicKey(): Uint8Array {
    return this.#signer.publicKey;
  }

  /** For what composes the bytes that it signs by itself; destroyed with this identity. */
  get signer(): Signer {
    return this.#signer;
  }

  /** A 64-byte signature over kind, network, epoch and body, as `verifySignature` takes it. */
  sign(kind: SignatureKind, epoch: number, body: Uint8Array): Uint8Array {
    return this.#signer.sign(signingBytes(kind, this.networkId, epoch, body));
  }

  /** A new certificate for the same static key, with a higher epoch. */
  renew(now: UnixMs): Certificate {
    this.#certificate = this.#issue(Math.max(this.#certificate.epoch + 1, now), now);
    return this.#certificate;
  }

  /** Zeroes the secrets. Signing, and handshakes with the static key, throw INVALID_STATE from now on. */
  destroy(): void {
    this.#signer.destroy();
    this.staticKey.destroy();
  }

  #issue(epoch: number, now: UnixMs): Certificate {
    const { networkId, staticKey } = this;
    const expiry = unixMs(now + this.#lifetimeMs);
    return issueCertificate(this.#signer, { staticKey: staticKey.publicKey, networkId, epoch, notBefore: now, expiry });
  }
}
