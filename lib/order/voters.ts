/** The committee as its messages need it: who signs with which key, in which network and epoch, and how many are enough. */
import { concat } from '../bytes.js';
import type { CryptoProvider, Hash, Signer } from '../crypto/interface.js';
import type { PeerId } from '../identity/peer-id.js';
import type { SignatureKind } from '../identity/signing.js';
import type { PinnedCommittee } from './committee.js';
import { hashHex } from './tagged-hash.js';
import type { HashHex, ValidatorIndex } from './types.js';

export class Voters {
  readonly committee: PinnedCommittee;
  readonly crypto: CryptoProvider;
  readonly n: number;
  readonly f: number;
  readonly q: number;
  readonly #sha256: Hash;

  constructor(committee: PinnedCommittee, crypto: CryptoProvider) {
    this.committee = committee;
    this.crypto = crypto;
    this.n = committee.tolerance.n;
    this.f = committee.tolerance.f;
    this.q = committee.tolerance.q;
    this.#sha256 = crypto.hash('SHA256');
  }

  indexOf(peer: PeerId): ValidatorIndex | undefined {
    return this.committee.indexOf(peer);
  }

  /** Round robin. */
  leaderOf(view: number): ValidatorIndex {
    return view % this.n;
  }

  hashOf(...parts: readonly Uint8Array[]): HashHex {
    return hashHex(this.#sha256.digest(...parts));
  }

  sign(signer: Signer, kind: SignatureKind, ...body: readonly Uint8Array[]): Uint8Array {
    return signer.sign(this.committee.signingBytes(kind, concat(...body)));
  }

  verify(kind: SignatureKind, by: ValidatorIndex, body: Uint8Array, signature: Uint8Array): boolean {
    return this.committee.verify(this.crypto, by, kind, body, signature);
  }
}
