/**
 * Consensus on cuts: order.md section 3, after "Simplex Consensus" (Chan and Pass, TCC 2023). A machine of its own: it
 * knows blocks, votes and certificates, and asks `CutRules` what a good cut is. It knows nothing of orders, disks or peers.
 *
 * Safety rests on three lines below: one notarize a view, never finalize and nullify in one view, and a notarize only
 * when every view between the block and its parent is nullified. All that is cast here must be durable before it is sent.
 */
import type { Signer } from '../crypto/interface.js';
import { after, type Instant } from '../env.js';
import { LIMITS } from '../limits.js';
import { earliest, type Machine } from '../machine.js';
import { NO_HASH } from './chunk.js';
import { type Block, blockSigned, type Cut, signBlock } from './cut.js';
import { Round } from './round.js';
import type { HashHex, ValidatorIndex } from './types.js';
import { type Certificate, castVote, certificateSigned, type Vote, type VoteKind, voteSigned } from './vote.js';
import type { Voters } from './voters.js';

/** What consensus has to know of lanes. */
export interface CutRules {
  /** The furthest valid cut on this parent; undefined while fewer than n-f lanes advance. */
  candidate(parent: Block): Cut | undefined;
  /** `wait`: chunks are missing. `lenient`: the censorship rule is off for this view. */
  judge(block: Block, parent: Block, arrivedAt: Instant, lenient: boolean): 'valid' | 'wait' | 'invalid';
}

export type SimplexInput =
  /** `trusted`: it comes from this member's own log, its signatures were checked before it went there. */
  | { readonly kind: 'block'; readonly block: Block; readonly trusted?: true }
  | { readonly kind: 'vote'; readonly vote: Vote }
  | { readonly kind: 'certificate'; readonly certificate: Certificate; readonly trusted?: true }
  /** Whether there is an uncut entry, an unemitted solid order or an unopened batch: only then do view timers run. */
  | { readonly kind: 'work'; readonly work: boolean }
  /** Whether this member may propose and vote: not before it has recovered, never while it abstains. */
  | { readonly kind: 'voting'; readonly allowed: boolean }
  /** A deadline has come, or the lanes have changed. */
  | { readonly kind: 'tick' };

export type SimplexEffect =
  /** One's own proposal: make it durable, then send it to all. */
  | { readonly kind: 'propose'; readonly block: Block }
  /** One's own vote: make it and the block durable, then send it to all. */
  | { readonly kind: 'vote'; readonly vote: Vote; readonly block: Block | undefined }
  /** A certificate that is new here: make it durable, then send it to all. */
  | { readonly kind: 'certificate'; readonly certificate: Certificate }
  | { readonly kind: 'view'; readonly view: number; readonly leader: ValidatorIndex }
  /** Blocks become final one by one, each on its parent. The certificate is the block's own or a descendant's. */
  | { readonly kind: 'final'; readonly block: Block; readonly certificate: Certificate }
  /** A block that a quorum certified is not held: ask one of its signers. */
  | { readonly kind: 'want-block'; readonly hash: HashHex; readonly signers: readonly ValidatorIndex[] }
  /** No progress for T_s: send this to all, again. */
  | {
      readonly kind: 'standstill';
      readonly certificates: readonly Certificate[];
      readonly votes: readonly Vote[];
      readonly proposals: readonly Block[];
    }
  | { readonly kind: 'two-votes'; readonly first: Vote; readonly second: Vote }
  | { readonly kind: 'two-proposals'; readonly first: Block; readonly second: Block }
  /** Two final blocks that exclude one another: more than f members are Byzantine. Nothing is cast any more. */
  | { readonly kind: 'unsafe'; readonly certificate: Certificate };

/** What a validator signed in a view, as bits, and the view: the answer to its question after a restart. */
export interface LastSeen {
  readonly view: number;
  readonly cast: number;
}
export const CAST = { proposal: 1, notarize: 2, nullify: 4, finalize: 8 } as const;

const LEADER_DELAYS = 2;
const ADVANCE_DELAYS = 5;
/** T_s, in delay bounds. */
const STANDSTILL_DELAYS = 8;
const MAX_GROWTH = 64;
/** The censorship rule is off for one view after so many nullified in a row. */
const LENIENT_AFTER = 3;

export interface SimplexOptions {
  readonly voters: Voters;
  readonly self: ValidatorIndex;
  readonly signer: Signer;
  readonly genesis: Block;
  readonly rules: CutRules;
  /** D. */
  readonly delayBoundMs: number;
}

export class Simplex implements Machine<SimplexInput, SimplexEffect> {
  readonly #voters: Voters;
  readonly #self: ValidatorIndex;
  readonly #signer: Signer;
  readonly #rules: CutRules;
  readonly #delayMs: number;
  readonly #rounds = new Map<number, Round>();
  readonly #blocks = new Map<HashHex, Block>();
  readonly #wanted = new Map<HashHex, Instant>();
  readonly #lastSeen = new Map<ValidatorIndex, LastSeen>();
  #effects: SimplexEffect[] = [];
  #view = 1;
  #final: Block;
  #finalCertificate: Certificate | undefined;
  #voting = false;
  #work = false;
  /** Since when the present view's timers run. */
  #timersSince: Instant | undefined;
  #standstillAt: Instant | undefined;
  /** Views nullified by this member since the last finalization. */
  #failedViews = 0;
  #nullifiedInARow = 0;

  constructor({ voters, self, signer, genesis, rules, delayBoundMs }: SimplexOptions) {
    this.#voters = voters;
    this.#self = self;
    this.#signer = signer;
    this.#rules = rules;
    this.#delayMs = delayBoundMs;
    this.#final = genesis;
    this.#blocks.set(genesis.hash, genesis);
  }

  get view(): number {
    return this.#view;
  }

  /** The highest final block. */
  get final(): Block {
    return this.#final;
  }

  /** Proof of `final` for others, and every later certificate. */
  get certificates(): readonly Certificate[] {
    const later = [...this.#rounds.values()]
      .filter(({ view }) => view > this.#final.view)
      .sort((a, b) => a.view - b.view)
      .flatMap(({ certificates: { notarize, nullify, finalize } }) => [notarize, nullify, finalize]);
    return [this.#finalCertificate, ...later].filter(certificate => certificate !== undefined);
  }

  /** The cut that the next proposal will stand on at least. */
  get highestNotarized(): Block {
    let best = this.#final;
    for (const round of this.#rounds.values()) {
      const block = round.certified === undefined ? undefined : this.#blocks.get(round.certified);
      if (block !== undefined && block.view > best.view) best = block;
    }
    return best;
  }

  block(hash: HashHex): Block | undefined {
    return this.#blocks.get(hash);
  }

  /** The last view in which `voter` is known to have signed anything, and what. */
  lastSeenOf(voter: ValidatorIndex): LastSeen {
    return this.#lastSeen.get(voter) ?? { view: 0, cast: 0 };
  }

  #see(voter: ValidatorIndex, view: number, kind: VoteKind | 'proposal'): void {
    const last = this.lastSeenOf(voter);
    if (view < last.view) return;
    this.#lastSeen.set(voter, { view, cast: CAST[kind] | (view === last.view ? last.cast : 0) });
  }

  handle(input: SimplexInput, now: Instant): readonly SimplexEffect[] {
    switch (input.kind) {
      case 'block':
        this.#onBlock(input.block, input.trusted === true, now);
        break;
      case 'vote':
        this.#onVote(input.vote);
        break;
      case 'certificate':
        this.#onCertificate(input.certificate, input.trusted === true);
        break;
      case 'work':
        this.#setWork(input.work, now);
        break;
      case 'voting':
        this.#voting = input.allowed;
        break;
      case 'tick':
        this.#onTick(now);
        break;
    }
    this.#progress(now);
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  nextDeadline(): Instant | undefined {
    return earliest(this.#standstillAt, this.#timeoutAt(), ...this.#wanted.values());
  }

  /**
   * Replays what this member signed before a restart, from its log: it will not be contradicted. Blocks and certificates
   * of the log are replayed as inputs while voting is not allowed.
   */
  restoreCast(view: number, kind: VoteKind | 'proposal', vote?: Vote): void {
    this.#see(this.#self, view, kind);
    if (view <= this.#final.view) return;
    const round = this.#round(view);
    round.cast[kind] = true;
    if (vote !== undefined) this.#addVote(round, vote);
  }

  // ---- inputs

  #onBlock(block: Block, trusted: boolean, now: Instant): void {
    const wanted = this.#wanted.has(block.hash);
    if (this.#blocks.has(block.hash) || (!wanted && !trusted && !this.#inWindow(block.view))) return;
    // The hash of a wanted block is certified; the signature of its leader adds nothing.
    if (!wanted && !trusted && !blockSigned(this.#voters, block)) return;
    this.#wanted.delete(block.hash);
    if (!wanted) this.#see(this.#voters.leaderOf(block.view), block.view, 'proposal');
    if (block.view <= this.#final.view) {
      this.#blocks.set(block.hash, block); // an ancestor on the way to a block that is final
      return;
    }
    const round = this.#round(block.view);
    if (round.proposal === undefined) {
      round.proposal = { block, arrivedAt: now };
    } else if (round.proposal.block.hash !== block.hash) {
      if (blockSigned(this.#voters, block)) {
        this.#effects.push({ kind: 'two-proposals', first: round.proposal.block, second: block });
      }
      if (!wanted) return; // the first is the one to judge; a certified one is fetched by its hash
    }
    this.#blocks.set(block.hash, block);
  }

  #onVote(vote: Vote): void {
    if (!this.#inWindow(vote.view)) return;
    const round = this.#round(vote.view);
    if (round.knows(vote) || (round.has(vote.voter, vote.kind) && round.conflictWith(vote) === undefined)) return;
    if (voteSigned(this.#voters, vote)) this.#addVote(round, vote);
  }

  #addVote(round: Round, vote: Vote): void {
    const conflicting = round.conflictWith(vote);
    if (conflicting !== undefined) this.#effects.push({ kind: 'two-votes', first: conflicting, second: vote });
    round.add(vote);
    this.#see(vote.voter, vote.view, vote.kind);
    if (round.certificates[vote.kind] !== undefined) return;
    const votes = round.votesFor(vote.kind, vote.block);
    if (votes.length < this.#voters.q) return;
    const signatures = votes.slice(0, this.#voters.q).map(({ voter, signature }) => ({ voter, signature }));
    this.#certified(round, { kind: vote.kind, view: vote.view, block: vote.block, signatures });
  }

  #onCertificate(certificate: Certificate, trusted: boolean): void {
    if (certificate.view <= this.#final.view) return;
    const known = this.#rounds.get(certificate.view);
    if (known?.certificates[certificate.kind] !== undefined) return;
    if (!trusted && !certificateSigned(this.#voters, certificate, vote => known?.knows(vote) === true)) return;
    const round = this.#round(certificate.view);
    this.#certified(round, certificate);
    for (const signature of certificate.signatures) this.#addVote(round, { ...certificate, ...signature });
  }

  #certified(round: Round, certificate: Certificate): void {
    round.certificates[certificate.kind] = certificate;
    this.#effects.push({ kind: 'certificate', certificate });
  }

  #setWork(work: boolean, now: Instant): void {
    if (work === this.#work) return;
    this.#work = work;
    this.#timersSince = work ? now : undefined;
    this.#standstillAt = work ? after(now, STANDSTILL_DELAYS * this.#delayMs) : undefined;
  }

  #onTick(now: Instant): void {
    const timeout = this.#timeoutAt();
    if (timeout !== undefined && now >= timeout) this.#nullify();
    if (this.#standstillAt !== undefined && now >= this.#standstillAt) {
      this.#standstillAt = after(now, STANDSTILL_DELAYS * this.#delayMs);
      this.#effects.push(this.repetition());
    }
    for (const [hash, at] of this.#wanted) if (now >= at) this.#wanted.delete(hash); // asked for again below
  }

  /** What a member repeats to others that may have missed it. */
  repetition(): Extract<SimplexEffect, { kind: 'standstill' }> {
    const open = [...this.#rounds.values()].filter(({ view }) => view > this.#final.view);
    return {
      kind: 'standstill',
      certificates: this.certificates,
      votes: open.flatMap(round => round.votesOf(this.#self)),
      proposals: open.flatMap(({ proposal, cast }) =>
        cast.proposal && proposal !== undefined ? [proposal.block] : [],
      ),
    };
  }

  // ---- transitions (order.md section 3, line by line)

  #progress(now: Instant): void {
    while (this.#finalize(now) || this.#advance(now) || this.#castFinalize() || this.#propose() || this.#notarize());
    this.#wantMissing(now);
  }

  /** "q finalize: the cut and its ancestors are final." */
  #finalize(now: Instant): boolean {
    const certificate = this.#highestFinalization();
    if (certificate === undefined) return false;
    const chain: Block[] = [];
    let block = this.#blocks.get(certificate.block);
    while (block !== undefined && block.height > this.#final.height) {
      chain.push(block);
      block = this.#blocks.get(block.parent);
    }
    if (block === undefined) return false; // an ancestor is missing: see #missing
    if (block.hash !== this.#final.hash) {
      if (this.#voting) this.#effects.push({ kind: 'unsafe', certificate });
      this.#voting = false;
      return false;
    }
    for (const final of chain.reverse()) this.#effects.push({ kind: 'final', block: final, certificate });
    this.#final = chain.at(-1) ?? this.#final;
    this.#finalCertificate = certificate;
    this.#failedViews = 0;
    this.#forgetBefore();
    this.#standstillAt = this.#work ? after(now, STANDSTILL_DELAYS * this.#delayMs) : undefined;
    return true;
  }

  #highestFinalization(): Certificate | undefined {
    let highest: Certificate | undefined;
    for (const { view, certificates } of this.#rounds.values()) {
      if (view > this.#final.view && certificates.finalize !== undefined && view > (highest?.view ?? 0)) {
        highest = certificates.finalize;
      }
    }
    return highest;
  }

  #forgetBefore(): void {
    for (const view of this.#rounds.keys()) if (view < this.#final.view) this.#rounds.delete(view);
    for (const [hash, { view }] of this.#blocks) if (view < this.#final.view) this.#blocks.delete(hash);
    this.#wanted.clear();
  }

  /** "Any certificate for view w >= v moves you to w+1." */
  #advance(now: Instant): boolean {
    let left = this.#view - 1;
    for (const { view, certificates } of this.#rounds.values()) {
      if (view > left && Object.keys(certificates).length > 0) left = view;
    }
    if (left < this.#view) return false;
    const nullified = this.#rounds.get(left)?.certified === undefined;
    this.#nullifiedInARow = nullified ? this.#nullifiedInARow + 1 : 0;
    this.#view = left + 1;
    this.#timersSince = this.#work ? now : undefined;
    this.#standstillAt = this.#work ? after(now, STANDSTILL_DELAYS * this.#delayMs) : undefined;
    this.#effects.push({ kind: 'view', view: this.#view, leader: this.#voters.leaderOf(this.#view) });
    return true;
  }

  /** "q notarize make a certificate: [...] send finalize(v, h) unless nullify(v) was ever sent." */
  #castFinalize(): boolean {
    for (const round of this.#rounds.values()) {
      const { cast, certificates, view } = round;
      if (view <= this.#final.view || certificates.notarize === undefined || cast.nullify || cast.finalize) continue;
      if (this.#cast(round, 'finalize', certificates.notarize.block)) return true;
    }
    return false;
  }

  /** "The leader proposes on the highest notarized parent, with nullifications for every view skipped." */
  #propose(): boolean {
    if (!this.#voting || !this.#work || this.#voters.leaderOf(this.#view) !== this.#self) return false;
    const round = this.#round(this.#view);
    if (round.cast.proposal || round.proposal !== undefined) return false;
    const parent = this.#parentFor(this.#view);
    const cut = parent === undefined ? undefined : this.#rules.candidate(parent);
    if (parent === undefined || cut === undefined) return false;
    const block = signBlock(this.#voters, this.#signer, this.#view, parent, cut);
    round.cast.proposal = true;
    this.#see(this.#self, this.#view, 'proposal');
    round.proposal = { block, arrivedAt: 0 as Instant };
    this.#blocks.set(block.hash, block);
    this.#effects.push({ kind: 'propose', block });
    return true;
  }

  #parentFor(view: number): Block | undefined {
    for (let below = view - 1; below > this.#final.view; below--) {
      const round = this.#rounds.get(below);
      if (round?.certified !== undefined) return this.#blocks.get(round.certified);
      if (round?.certificates.nullify === undefined) return undefined;
    }
    return this.#final;
  }

  /** "notarize(v, h): once a view, if parent and skips are proven and the cut is valid." */
  #notarize(): boolean {
    const round = this.#rounds.get(this.#view);
    if (round?.proposal === undefined || round.cast.notarize) return false;
    const verdict = this.#judge(round.proposal.block, round.proposal.arrivedAt);
    if (verdict === 'invalid') return this.#nullify(); // "nullify(v) on [...] an invalid proposal"
    return verdict === 'valid' && this.#cast(round, 'notarize', round.proposal.block.hash);
  }

  #judge(block: Block, arrivedAt: Instant): 'valid' | 'wait' | 'invalid' {
    const parent = this.#blocks.get(block.parent);
    if (parent === undefined) return 'wait'; // certified and fetched, or never
    if (parent.view >= block.view || parent.view < this.#final.view || block.height !== parent.height + 1)
      return 'invalid';
    if (parent.view === this.#final.view ? parent.hash !== this.#final.hash : !this.#isCertified(parent)) return 'wait';
    for (let skipped = parent.view + 1; skipped < block.view; skipped++) {
      if (this.#rounds.get(skipped)?.certificates.nullify === undefined) return 'wait';
    }
    const lenient = this.#nullifiedInARow > 0 && this.#nullifiedInARow % LENIENT_AFTER === 0;
    return this.#rules.judge(block, parent, arrivedAt, lenient);
  }

  #isCertified(block: Block): boolean {
    return this.#rounds.get(block.view)?.certified === block.hash;
  }

  /** "nullify(v) on time-out or an invalid proposal, unless finalize(v) was sent." */
  #nullify(): boolean {
    const round = this.#round(this.#view);
    if (round.cast.nullify || round.cast.finalize) return false;
    return this.#cast(round, 'nullify', NO_HASH);
  }

  #cast(round: Round, kind: VoteKind, hash: HashHex): boolean {
    if (!this.#voting || round.cast[kind] || round.view <= this.#final.view) return false;
    round.cast[kind] = true;
    if (kind === 'nullify') this.#failedViews++;
    const vote = castVote(this.#voters, this.#signer, this.#self, { kind, view: round.view, block: hash });
    this.#effects.push({ kind: 'vote', vote, block: this.#blocks.get(hash) });
    this.#addVote(round, vote);
    return true;
  }

  /** "Time-outs grow only after f+1 failed views in a row and reset at a finalization." Leader 2D, advance 5D. */
  #timeoutAt(): Instant | undefined {
    if (this.#timersSince === undefined || !this.#voting) return undefined;
    const round = this.#rounds.get(this.#view);
    if (round?.cast.nullify === true) return undefined;
    const growth = Math.min(MAX_GROWTH, 2 ** Math.max(0, this.#failedViews - this.#voters.f));
    const delays = round?.proposal === undefined ? LEADER_DELAYS : ADVANCE_DELAYS;
    return after(this.#timersSince, delays * growth * this.#delayMs);
  }

  /** "Certified blocks are fetched from their signers." */
  #wantMissing(now: Instant): void {
    for (const certificate of this.certificates) {
      if (certificate.kind === 'nullify') continue;
      const hash = this.#missing(certificate);
      if (hash === undefined || this.#wanted.has(hash)) continue;
      this.#wanted.set(hash, after(now, LEADER_DELAYS * this.#delayMs));
      const signers = certificate.signatures.map(({ voter }) => voter).filter(voter => voter !== this.#self);
      this.#effects.push({ kind: 'want-block', hash, signers });
    }
  }

  /** The first block, from a certified one towards the final one, that is not held. */
  #missing({ block: hash }: Certificate): HashHex | undefined {
    let block = this.#blocks.get(hash);
    let missing = hash;
    while (block !== undefined && block.height > this.#final.height) {
      missing = block.parent;
      block = this.#blocks.get(missing);
    }
    return block === undefined ? missing : undefined;
  }

  #inWindow(view: number): boolean {
    return view > this.#final.view && view <= this.#view + LIMITS.maxViewsAhead;
  }

  #round(view: number): Round {
    let round = this.#rounds.get(view);
    if (round === undefined) {
      round = new Round(view);
      this.#rounds.set(view, round);
    }
    return round;
  }
}
