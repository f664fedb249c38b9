/**
 * Opening: from revealed shares to a verdict that is the same at everyone, whichever t shares arrive first. The whole
 * polynomial is interpolated and all n commitments are recomputed. If one set of t good shares passes, the committed
 * shares all lie on one polynomial and every other set passes; if one fails, all fail (order.md section 1, step 4).
 */
import { EMPTY, equalBytes } from '../bytes.js';
import type { CryptoProvider } from '../crypto/interface.js';
import type { PinnedCommittee } from './committee.js';
import type { Envelope } from './envelope.js';
import { commitmentTo, decryptPayload, sizeClassOf } from './sealing.js';
import { type Dealing, interpolate, interpolationWeights, SECRET_BYTES, type Weights } from './shamir.js';
import type { Opening, ValidatorIndex, VoidReason } from './types.js';

/** What an order turned out to be, and the secret that goes into the seed of its batch (none when dealt badly or open). */
export interface Verdict {
  readonly secret: Uint8Array | undefined;
  readonly opening: Opening;
}

/** `bad`: validators whose share missed the commitment that they listed the order under. */
export type OpeningStep =
  | { readonly kind: 'verdict'; readonly verdict: Verdict; readonly bad: readonly ValidatorIndex[] }
  | { readonly kind: 'wait'; readonly bad: readonly ValidatorIndex[] };

const MAX_KEPT_WEIGHTS = 64;
const opened = (payload: Uint8Array): Opening => ({ kind: 'opened', payload });
const voided = (reason: VoidReason, secret?: Uint8Array): Verdict => ({ secret, opening: { kind: 'void', reason } });

/** True when this is the share that the dealer committed to. */
export function shareMatches(
  crypto: CryptoProvider,
  envelope: Envelope,
  validator: ValidatorIndex,
  share: Uint8Array,
): boolean {
  const commitment = envelope.commitments[validator];
  return (
    commitment !== undefined &&
    share.length === SECRET_BYTES &&
    equalBytes(commitmentTo(crypto, validator, share), commitment)
  );
}

/** Opens orders of one committee. Its only state is the interpolation weights of the sets of validators met last. */
export class Opener {
  readonly #crypto: CryptoProvider;
  readonly #committee: PinnedCommittee;
  readonly #weights = new Map<string, Weights>();

  constructor(crypto: CryptoProvider, committee: PinnedCommittee) {
    this.#crypto = crypto;
    this.#committee = committee;
  }

  /** A verdict as soon as t good shares are among these; in `open` mode at once. */
  open(envelope: Envelope, shares: ReadonlyMap<ValidatorIndex, Uint8Array>): OpeningStep {
    if (envelope.mode === 'open')
      return { kind: 'verdict', verdict: { secret: undefined, opening: opened(envelope.ciphertext) }, bad: [] };
    const { t } = this.#committee.tolerance;
    const given = [...shares];
    // Nearly always the first t are good; then recomputing all n commitments checks them, too.
    const dealing = given.length < t ? undefined : this.#dealing(envelope, given.slice(0, t));
    if (dealing !== undefined) {
      const bad = given.filter(([validator, share]) => !equalBytes(dealing.shares[validator] ?? EMPTY, share));
      return { kind: 'verdict', verdict: this.#verdict(envelope, dealing.secret), bad: bad.map(([v]) => v) };
    }
    const good = given.filter(([validator, share]) => shareMatches(this.#crypto, envelope, validator, share));
    const bad = [...shares.keys()].filter(validator => !good.some(([other]) => other === validator));
    if (good.length < t) return { kind: 'wait', bad };
    const dealt = this.#dealing(envelope, good.slice(0, t));
    const verdict = dealt === undefined ? voided('commitment') : this.#verdict(envelope, dealt.secret);
    return { kind: 'verdict', verdict, bad };
  }

  /** What the dealer shared, if these t shares lie on a polynomial that meets all n commitments. */
  #dealing(envelope: Envelope, held: readonly (readonly [ValidatorIndex, Uint8Array])[]): Dealing | undefined {
    if (held.some(([validator, share]) => validator >= this.#committee.tolerance.n || share.length !== SECRET_BYTES))
      return undefined;
    const weights = this.#weightsOf(held.map(([validator]) => validator));
    const dealing = interpolate(
      held.map(([, share]) => share),
      weights,
    );
    const matches = dealing.shares.every((share, i) => shareMatches(this.#crypto, envelope, i, share));
    return matches ? dealing : undefined;
  }

  #verdict(envelope: Envelope, secret: Uint8Array): Verdict {
    const padded = decryptPayload(this.#crypto, envelope, secret);
    if (padded === undefined) return voided('cipher', secret);
    const length = ((padded[0] ?? 0) << 8) | (padded[1] ?? 0);
    const payload = padded.slice(2, 2 + length);
    if (payload.length !== length || padded.subarray(2 + length).some(byte => byte !== 0))
      return voided('padding', secret);
    const size = this.#committee.parameters.sizeClasses[envelope.sizeClass];
    if (padded.length - 2 !== size || sizeClassOf(this.#committee, length) !== envelope.sizeClass)
      return voided('class', secret);
    return { secret, opening: opened(payload) };
  }

  #weightsOf(holders: readonly ValidatorIndex[]): Weights {
    const key = holders.join(' ');
    let weights = this.#weights.get(key);
    if (weights === undefined) {
      if (this.#weights.size >= MAX_KEPT_WEIGHTS) this.#weights.clear();
      weights = interpolationWeights(holders, this.#committee.tolerance.n);
      this.#weights.set(key, weights);
    }
    return weights;
  }
}
