/** What one member knows of one view: the proposal, the votes it has seen, the certificates they make, its own votes. */
import type { Instant } from '../env.js';
import type { Block } from './cut.js';
import type { HashHex, ValidatorIndex } from './types.js';
import type { Certificate, Vote, VoteKind } from './vote.js';

type VotesOfOne = { [Kind in VoteKind]?: Vote };

export class Round {
  readonly view: number;
  /** The first proposal of the leader, and when it came. */
  proposal: { readonly block: Block; readonly arrivedAt: Instant } | undefined;
  readonly certificates: { [Kind in VoteKind]?: Certificate } = {};
  /** What this member itself has signed in this view, kept from its log over a restart. */
  readonly cast = { proposal: false, notarize: false, nullify: false, finalize: false };
  readonly #byVoter = new Map<ValidatorIndex, VotesOfOne>();

  constructor(view: number) {
    this.view = view;
  }

  /** The block that this view certified: a finalization counts for the notarization that it implies. */
  get certified(): HashHex | undefined {
    return (this.certificates.notarize ?? this.certificates.finalize)?.block;
  }

  /** True when exactly this vote was seen before. */
  knows(vote: Vote): boolean {
    const seen = this.#byVoter.get(vote.voter)?.[vote.kind];
    return seen?.block === vote.block && seen.signature.every((byte, i) => byte === vote.signature[i]);
  }

  /** A vote of the same voter that an honest one could not have cast besides this. */
  conflictWith(vote: Vote): Vote | undefined {
    const seen = this.#byVoter.get(vote.voter);
    const same = seen?.[vote.kind];
    if (same !== undefined && same.block !== vote.block) return same;
    if (vote.kind === 'nullify') return seen?.finalize;
    return vote.kind === 'finalize' ? seen?.nullify : undefined;
  }

  has(voter: ValidatorIndex, kind: VoteKind): boolean {
    return this.#byVoter.get(voter)?.[kind] !== undefined;
  }

  /** Records a verified vote; the first of a voter and kind stays. */
  add(vote: Vote): void {
    const votes = this.#byVoter.get(vote.voter) ?? {};
    votes[vote.kind] ??= vote;
    this.#byVoter.set(vote.voter, votes);
  }

  votesFor(kind: VoteKind, block: HashHex): Vote[] {
    const votes: Vote[] = [];
    for (const seen of this.#byVoter.values()) {
      const vote = seen[kind];
      if (vote?.block === block) votes.push(vote);
    }
    return votes.sort((a, b) => a.voter - b.voter);
  }

  votesOf(voter: ValidatorIndex): Vote[] {
    const { notarize, nullify, finalize } = this.#byVoter.get(voter) ?? {};
    return [notarize, nullify, finalize].filter(vote => vote !== undefined);
  }
}
