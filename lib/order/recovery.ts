/**
 * "At restart ask n-f members for your own latest chunk and vote; if the log was truncated or any of those is newer than
 * the log, abstain until the next epoch." (order.md section 6.) Oneself is one of the n-f: a committee with f members
 * down must be able to restart another.
 */
import type { MemberMessage } from './messages.js';
import type { LastSeen } from './simplex.js';
import type { HashHex, ValidatorIndex } from './types.js';

export type OwnState = Extract<MemberMessage, { readonly kind: 'state' }>;
export type Standing = 'recovering' | 'active' | 'abstaining';
export type AbstainReason = 'truncated log' | 'newer chunk' | 'newer vote';

export class Recovery {
  readonly needed: number;
  readonly #answered = new Set<ValidatorIndex>();
  #standing: Standing;

  constructor(n: number, f: number) {
    this.needed = n - f - 1;
    this.#standing = this.needed === 0 ? 'active' : 'recovering';
  }

  get standing(): Standing {
    return this.#standing;
  }

  get heard(): number {
    return this.#answered.size;
  }

  abstain(): void {
    this.#standing = 'abstaining';
  }

  /** Takes what a member last saw of this one: why to abstain, when that is newer than what the log holds. */
  answer(
    from: ValidatorIndex,
    seen: OwnState,
    head: { sequence: number; hash: HashHex },
    cast: LastSeen,
  ): AbstainReason | 'more' | 'enough' {
    const newerChunk =
      seen.chunkSequence > head.sequence || (seen.chunkSequence === head.sequence && seen.chunkHash !== head.hash);
    const newerVote = seen.view > cast.view || (seen.view === cast.view && (seen.cast & ~cast.cast) !== 0);
    if (newerChunk || newerVote) return newerChunk ? 'newer chunk' : 'newer vote';
    this.#answered.add(from);
    if (this.#answered.size < this.needed) return 'more';
    this.#standing = 'active';
    return 'enough';
  }
}
