/** The committee as its messages need it: who signs with which key, in which network and epoch, and how many are enough. */
import { concat, toHex } from '../bytes.js';
import type { CryptoProvider, Hash, Signer } from '../crypto/interface.js';
import type { PeerId } from '../identity/peer-id.js';
import { type SignatureKind, signingBytes } from '../identity/signing.js';
import type { Committee, HashHex, Tolerance, ValidatorIndex } from './types.js';

export class Voters {
  readonly committee: Committee;
  readonly tolerance: Tolerance;
  readonly crypto: CryptoProvider;
  readonly n: number;
  readonly f: number;
  readonly q: number;
  readonly #keys: readonly Uint8Array[];
  readonly #indexOf: ReadonlyMap<PeerId, ValidatorIndex>;
  readonly #sha256: Hash;

  /** `keys` are the members' Ed25519 public keys in the order of the descriptor. */
  constructor(committee: Committee, tolerance: Tolerance, keys: readonly Uint8Array[], crypto: CryptoProvider) {
    this.committee = committee;
    this.tolerance = tolerance;
    this.crypto = crypto;
    this.n = tolerance.n;
    this.f = tolerance.f;
    this.q = tolerance.q;
    this.#keys = keys;
    this.#indexOf = new Map(committee.members.map(({ peer }, index) => [peer, index]));
    this.#sha256 = crypto.hash('SHA256');
  }

  indexOf(peer: PeerId): ValidatorIndex | undefined {
    return this.#indexOf.get(peer);
  }

  /** Round robin. */
  leaderOf(view: number): ValidatorIndex {
    return view % this.n;
  }

  hashOf(...parts: readonly Uint8Array[]): HashHex {
    return toHex(this.#sha256.digest(...parts)) as HashHex;
  }

  /** What a signature of `kind` covers in this network and epoch. */
  signed(kind: SignatureKind, body: Uint8Array): Uint8Array {
    return signingBytes(kind, this.committee.networkId, this.committee.epoch, body);
  }

  sign(signer: Signer, kind: SignatureKind, ...body: readonly Uint8Array[]): Uint8Array {
    return signer.sign(this.signed(kind, concat(...body)));
  }

  verify(kind: SignatureKind, by: ValidatorIndex, body: Uint8Array, signature: Uint8Array): boolean {
    const key = this.#keys[by];
    return key !== undefined && this.crypto.verify(key, this.signed(kind, body), signature);
  }
}
