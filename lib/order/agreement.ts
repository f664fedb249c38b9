/** Consensus as one member takes part in it: what its machine wants durable, sent, fetched or reported is done here. */
import type { Instant } from '../env.js';
import type { CensorshipWatch } from './censorship.js';
import type { Chunk } from './chunk.js';
import { type Block, genesisBlock } from './cut.js';
import type { MemberContext } from './delivery.js';
import type { EvidenceBook } from './evidence-book.js';
import { advance, cutIsValid, type Lane } from './lane.js';
import type { Links } from './links.js';
import { pages } from './paging.js';
import type { Requests } from './requests.js';
import { type CutRules, Simplex, type SimplexEffect, type SimplexInput } from './simplex.js';
import type { HashHex, ValidatorIndex } from './types.js';
import type { Certificate, Vote } from './vote.js';

/** Votes in one message: its count is a byte. */
const MAX_VOTES = 255;

export interface AgreementParts {
  readonly lanes: readonly Lane[];
  readonly links: Links;
  readonly censorship: CensorshipWatch;
  readonly requests: Requests;
  readonly evidence: EvidenceBook;
  readonly delayBoundMs: number;
  /** Gets every final block, in order. */
  readonly onFinal: (block: Block) => void;
}

export class Agreement {
  readonly genesis: Block;
  readonly simplex: Simplex;
  readonly #context: MemberContext;
  readonly #parts: AgreementParts;
  /** Blocks that the log holds and that are not final. */
  readonly #durable = new Set<HashHex>();

  constructor(context: MemberContext, parts: AgreementParts) {
    const { voters, self, signer } = context;
    this.#context = context;
    this.#parts = parts;
    this.genesis = genesisBlock(voters);
    const rules = this.#rules();
    this.simplex = new Simplex({
      voters,
      self,
      signer,
      genesis: this.genesis,
      rules,
      delayBoundMs: parts.delayBoundMs,
    });
  }

  handle(input: SimplexInput, now: Instant): void {
    for (const effect of this.simplex.handle(input, now)) this.#carryOut(effect);
  }

  // ---- replay of the log

  replayBlock(block: Block, now: Instant): void {
    this.#durable.add(block.hash);
    if (this.#context.voters.leaderOf(block.view) === this.#context.self)
      this.simplex.restoreCast(block.view, 'proposal');
    this.handle({ kind: 'block', block, trusted: true }, now);
  }

  replayVote(vote: Vote): void {
    this.simplex.restoreCast(vote.view, vote.kind, vote);
  }

  replayCertificate(certificate: Certificate, now: Instant): void {
    this.handle({ kind: 'certificate', certificate, trusted: true }, now);
  }

  // ---- what a cut has to be

  #rules(): CutRules {
    const { voters } = this.#context;
    const { lanes, censorship, requests } = this.#parts;
    return {
      candidate: parent => {
        const cut = parent.cut.map((head, lane) => lanes[lane]?.furthest(head) ?? head);
        const advanced = cut.filter(({ sequence }, lane) => sequence > (parent.cut[lane]?.sequence ?? 0)).length;
        return advanced >= voters.n - voters.f ? cut : undefined;
      },
      judge: (block, parent, arrivedAt, lenient) => {
        const added = advance(lanes, parent.cut, block.cut);
        if (added === 'missing') {
          requests.wantCut(parent.cut, block.cut, voters.leaderOf(block.view));
          return 'wait';
        }
        if (added === 'conflict' || !cutIsValid(voters, added)) return 'invalid';
        return !lenient && censorship.omits(block.cut, arrivedAt) ? 'invalid' : 'valid';
      },
    };
  }

  // ---- what the machine decided

  #carryOut(effect: SimplexEffect): void {
    const { out } = this.#context;
    switch (effect.kind) {
      case 'propose':
        this.#persist(effect.block);
        this.#propose(effect.block);
        break;
      case 'vote':
        if (effect.block !== undefined) this.#persist(effect.block);
        out.persist({ kind: 'vote', vote: effect.vote });
        out.send('all', { kind: 'votes', votes: [effect.vote] });
        break;
      case 'certificate':
        out.persist({ kind: 'certificate', certificate: effect.certificate });
        out.send('all', { kind: 'certificates', certificates: [effect.certificate] });
        this.#noticeCertificate(effect.certificate);
        break;
      case 'view':
        out.notice(effect);
        break;
      case 'final':
        this.#onFinal(effect.block);
        break;
      case 'want-block':
        this.#parts.requests.wantBlock(effect.hash, effect.signers);
        break;
      case 'standstill':
        this.#repeat('all', effect);
        break;
      case 'two-votes':
      case 'two-proposals':
        this.#parts.evidence.report(effect);
        break;
      case 'unsafe':
        out.notice({ kind: 'unsafe', view: effect.certificate.view });
        break;
    }
  }

  #persist(block: Block): void {
    if (this.#durable.has(block.hash)) return;
    this.#durable.add(block.hash);
    this.#context.out.persist({ kind: 'block', bytes: block.bytes });
  }

  #noticeCertificate({ kind, view, block: cutHash }: Certificate): void {
    const height = this.simplex.block(cutHash)?.height;
    if (kind === 'nullify') this.#context.out.notice({ kind: 'nullified', view });
    else if (kind === 'notarize' && height !== undefined) {
      this.#context.out.notice({ kind: 'notarized', view, height, cutHash });
    }
  }

  #onFinal(block: Block): void {
    this.#persist(block);
    this.#durable.delete(block.hash);
    this.#context.out.notice({ kind: 'final', view: block.view, height: block.height, cutHash: block.hash });
    this.#parts.onFinal(block);
  }

  /** "It carries every chunk that its receiver did not report as held." */
  #propose(block: Block): void {
    const { voters, self, out } = this.#context;
    const { lanes, links } = this.#parts;
    const parent = this.simplex.block(block.parent);
    const added = parent === undefined ? 'missing' : advance(lanes, parent.cut, block.cut);
    const chunks = typeof added === 'string' ? [] : added.flat();
    for (let to = 0; to < voters.n; to++) {
      if (to === self) continue;
      const lacking = chunks.filter(chunk => links.lacks(to, chunk));
      const parts = [...pages(lacking, ({ bytes }) => bytes.length)].map(page => page.map(({ bytes }) => bytes));
      for (const page of parts.slice(0, -1)) out.send(to, { kind: 'chunks', held: this.#held(), chunks: page });
      out.send(to, { kind: 'proposal', block: block.bytes, chunks: parts.at(-1) ?? [] });
      for (const { lane, sequence } of lacking) links.raise(to, lane, sequence);
    }
    out.notice({ kind: 'proposed', view: block.view, height: block.height, cutHash: block.hash });
  }

  /** Says again what may have been lost on the way to a member. */
  repeatTo(member: ValidatorIndex): void {
    this.#repeat(member, this.simplex.repetition());
  }

  #repeat(
    to: ValidatorIndex | 'all',
    { certificates, votes, proposals }: Extract<SimplexEffect, { kind: 'standstill' }>,
  ): void {
    const { out, self } = this.#context;
    const { lanes } = this.#parts;
    const own = lanes[self];
    function* uncounted(from: number): Generator<Chunk> {
      for (let next = own?.at(from); next !== undefined; next = own?.at(next.sequence + 1)) yield next;
    }
    const counted = this.simplex.final.cut[self]?.sequence ?? 0;
    this.sendChunks(to, uncounted(counted + 1));
    this.sendCertificates(to, certificates);
    for (const block of proposals) out.send(to, { kind: 'proposal', block: block.bytes, chunks: [] });
    for (let at = 0; at < votes.length; at += MAX_VOTES) {
      out.send(to, { kind: 'votes', votes: votes.slice(at, at + MAX_VOTES) });
    }
  }

  sendChunks(to: ValidatorIndex | 'all', chunks: Iterable<Chunk>): void {
    for (const page of pages(chunks, ({ bytes }) => bytes.length)) {
      this.#context.out.send(to, { kind: 'chunks', held: this.#held(), chunks: page.map(({ bytes }) => bytes) });
    }
  }

  sendCertificates(to: ValidatorIndex | 'all', certificates: readonly Certificate[]): void {
    for (const page of pages(certificates, ({ signatures }) => 64 + signatures.length * 65)) {
      this.#context.out.send(to, { kind: 'certificates', certificates: page });
    }
  }

  #held(): number[] {
    return this.#parts.lanes.map(lane => lane.head.sequence);
  }
}
