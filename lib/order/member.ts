/**
 * One committee member: lanes, consensus, linearizer, opening and delivery tied together in one machine. Its log decides
 * what it may say: see the table of order.md section 6, and outbox.ts, which puts records before everything else.
 */
import { after, type Instant, type UnixMs } from '../env.js';
import { HopfairError, requireArgument } from '../errors.js';
import { type PeerId, peerIdOf } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import { earliest, type Machine } from '../machine.js';
import { Archive } from './archive.js';
import { CensorshipWatch } from './censorship.js';
import { type Chunk, decodeChunk } from './chunk.js';
import { type ClientMessage, decodeClientMessage, isClientMessage, type OpenedItem } from './client-messages.js';
import { PinnedCommittee } from './committee.js';
import { type Block, type Cut, decodeBlock, genesisBlock, type LaneHead } from './cut.js';
import { type Evidence, encodeEvidence } from './evidence.js';
import { AskedRecently, BodyFetcher } from './fetch.js';
import { History } from './history.js';
import { Intake } from './intake.js';
import { advance, cutIsValid, Lane, LaneWriter } from './lane.js';
import { Linearizer } from './linearizer.js';
import type { GoneOrder, Selection } from './linearizer-io.js';
import { Links } from './links.js';
import type { MemberEffect, MemberInput, MemberLog, MemberOptions, Restored } from './member-io.js';
import { decodeMemberMessage, type MemberMessage, sharesBody } from './messages.js';
import { Outbox } from './outbox.js';
import { OrderPool } from './pool.js';
import { Readers } from './readers.js';
import { decodeRecord, type MemberRecord } from './records.js';
import { type AbstainReason, Recovery } from './recovery.js';
import { type Revealed, RevealStage } from './reveal.js';
import { Sequencer } from './sequencer.js';
import { type CutRules, Simplex, type SimplexEffect, type SimplexInput } from './simplex.js';
import { decodeSubmission } from './submission.js';
import type { Entry, HashHex, OrderId, ValidatorIndex } from './types.js';
import { Voters } from './voters.js';

const FIRST_CHUNK_MS = 2;
const LAST_CHUNK_MS = 10;
const DEFAULT_HEARTBEAT_MS = 1_000;
const MAX_EVIDENCE = 1_024;

export class Member implements Machine<MemberInput, MemberEffect> {
  readonly #voters: Voters;
  readonly #self: ValidatorIndex;
  readonly #chunkIntervalMs: number;
  readonly #heartbeatMs: number;
  readonly #out = new Outbox();
  readonly #lanes: readonly Lane[];
  readonly #writer: LaneWriter;
  readonly #pool: OrderPool;
  readonly #intake: Intake;
  readonly #fetcher: BodyFetcher;
  readonly #asked: AskedRecently;
  readonly #links: Links;
  readonly #censorship: CensorshipWatch;
  readonly #linearizer: Linearizer;
  readonly #simplex: Simplex;
  readonly #sequencer: Sequencer;
  readonly #reveal: RevealStage;
  readonly #history: History;
  readonly #readers: Readers;
  readonly #archive: Archive;
  readonly #recovery: Recovery;
  readonly #evidence = new Set<HashHex>();
  /** Blocks that the log holds and that are not final. */
  readonly #durableBlocks = new Set<HashHex>();
  /** Peers with a session. */
  readonly #up = new Set<PeerId>();
  /** Senders that used up the one failed verification of their session. */
  readonly #banned = new Set<PeerId>();
  readonly #wantedBlocks = new Map<HashHex, readonly ValidatorIndex[]>();
  #wantedCut: { readonly from: Cut; readonly to: Cut; readonly source: ValidatorIndex | undefined } | undefined;
  #chunkAt: Instant;
  #heartbeatAt: Instant;
  #unix: UnixMs;
  #madeFinal = false;

  /**
   * Continues where the log of this member ends; an empty log is a first start.
   *
   * @throws HopfairError COMMITTEE_UNSOUND, INVALID_ARGUMENT when the committee does not hold the signer's key,
   * STORAGE_CORRUPT when a record cannot be read, or when a committee of one lost the end of its log.
   */
  static restore(options: MemberOptions, log: MemberLog, now: Instant, unix: UnixMs): Restored<Member> {
    const member = new Member(options, now, unix);
    const delivered = member.#out.replay(() => {
      for (const record of log.records) member.#replay(record, now);
    });
    member.#begin(log.truncated, now);
    return { member, delivered, effects: member.#out.take() };
  }

  private constructor({ committee, signer, crypto, ...options }: MemberOptions, now: Instant, unix: UnixMs) {
    const voters = new Voters(new PinnedCommittee(crypto, committee), crypto);
    const self = voters.indexOf(peerIdOf(signer.publicKey));
    requireArgument(self !== undefined, 'the committee does not hold the key of this member');
    const { parameters } = voters.committee;
    const delayMs = parameters.delayBoundMs;
    this.#voters = voters;
    this.#self = self;
    this.#chunkIntervalMs = options.chunkIntervalMs ?? Math.min(LAST_CHUNK_MS, Math.max(FIRST_CHUNK_MS, delayMs / 10));
    this.#heartbeatMs = options.heartbeatMs ?? DEFAULT_HEARTBEAT_MS;
    this.#chunkAt = now;
    this.#heartbeatAt = after(now, this.#heartbeatMs);
    this.#unix = unix;

    const genesis = genesisBlock(voters);
    const lanes = Array.from({ length: voters.n }, () => new Lane(voters));
    const ownLane = lanes[self] as Lane;
    this.#lanes = lanes;
    this.#writer = new LaneWriter(voters, signer, self, ownLane);
    this.#pool = new OrderPool(voters, self);
    this.#linearizer = new Linearizer(crypto, voters.committee);
    this.#intake = new Intake(
      { voters, self, signer, out: this.#out },
      { pool: this.#pool, writer: this.#writer, linearizer: this.#linearizer },
    );
    const retryMs = 2 * delayMs;
    this.#fetcher = new BodyFetcher(voters.n, self, {
      graceMs: delayMs / 2,
      retryMs,
      forgetMs: parameters.maxOrderTtlMs,
    });
    this.#asked = new AskedRecently(retryMs);
    this.#links = new Links(voters.n);
    this.#censorship = new CensorshipWatch(voters.n, delayMs);
    this.#simplex = new Simplex({ voters, self, signer, genesis, rules: this.#cutRules(), delayBoundMs: delayMs });
    this.#sequencer = new Sequencer(voters, lanes, this.#linearizer, this.#pool.factsOf, genesis);
    this.#reveal = new RevealStage(voters, self, signer, this.#pool, this.#linearizer, retryMs);
    this.#history = new History(crypto, voters.committee, self, signer);
    this.#readers = new Readers(this.#history, this.#out);
    this.#archive = new Archive(lanes, this.#pool, hash => this.#simplex.block(hash));
    this.#recovery = new Recovery(voters.n, voters.f);
  }

  handle(input: MemberInput, now: Instant): readonly MemberEffect[] {
    this.#unix = input.unix;
    switch (input.kind) {
      case 'message':
        this.#onMessage(input.from, input.bytes, now);
        break;
      case 'peer-up':
        this.#onPeerUp(input.peer, input.pairKey);
        break;
      case 'peer-down':
        this.#onPeerDown(input.peer);
        break;
      case 'tick':
        break;
    }
    this.#settle(now);
    return this.#out.take();
  }

  nextDeadline(): Instant | undefined {
    const work = this.#hasWork();
    return earliest(
      this.#heartbeatAt,
      this.#simplex.nextDeadline(),
      this.#fetcher.nextDeadline(),
      this.#mayCloseChunk(work) ? this.#chunkAt : undefined,
      work ? this.#censorship.nextDeadline(this.#simplex.highestNotarized.cut) : undefined,
      work ? this.#reveal.nextDeadline() : undefined,
    );
  }

  // ---- restart

  #replay(bytes: Uint8Array, now: Instant): void {
    let record: MemberRecord;
    try {
      record = decodeRecord(this.#voters, bytes);
      this.#replayRecord(record, now);
    } catch (cause) {
      if (!(cause instanceof HopfairError) || cause.code !== 'DECODE_FAILED') throw cause;
      throw new HopfairError('STORAGE_CORRUPT', 'a record of the log cannot be read', { cause });
    }
    this.#sequence(now);
  }

  #replayRecord(record: MemberRecord, now: Instant): void {
    switch (record.kind) {
      case 'pair-key':
        this.#pool.addPairKey(record.peer, record.secret);
        break;
      case 'orders': {
        const { ids, signature, envelopes } = decodeSubmission(this.#voters.crypto, record.batch);
        const signed = { ids, signature };
        envelopes.forEach((envelope, i) => {
          this.#pool.add({ envelope, signed, share: record.shares[i] });
        });
        break;
      }
      case 'chunk': {
        const chunk = decodeChunk(this.#voters, record.bytes);
        this.#lanes[chunk.lane]?.accept(chunk, true);
        if (chunk.lane === this.#self) this.#intake.chunkClosed(chunk);
        break;
      }
      case 'block': {
        const block = decodeBlock(this.#voters, record.bytes);
        this.#durableBlocks.add(block.hash);
        if (this.#voters.leaderOf(block.view) === this.#self) this.#simplex.restoreCast(block.view, 'proposal');
        this.#consensus({ kind: 'block', block, trusted: true }, now);
        break;
      }
      case 'vote':
        this.#simplex.restoreCast(record.vote.view, record.vote.kind, record.vote);
        break;
      case 'certificate':
        this.#consensus({ kind: 'certificate', certificate: record.certificate, trusted: true }, now);
        break;
      case 'verdicts':
        if (record.height > this.#history.height) this.#reveal.replayVerdicts(record.height, record.verdicts);
        break;
      case 'evidence':
        this.#evidence.add(this.#voters.hashOf(record.bytes));
        break;
    }
  }

  #begin(truncated: boolean, now: Instant): void {
    if (truncated && this.#voters.n === 1) {
      throw new HopfairError('STORAGE_CORRUPT', 'the log lost its end, and nobody else can say what stood there');
    }
    if (truncated) this.#abstain('truncated log', now);
    else if (this.#recovery.standing === 'active') this.#recovered(now);
    else this.#askForState();
    this.#sendStatus('all');
    this.#settle(now);
  }

  #askForState(): void {
    this.#out.send('all', { kind: 'ask-state' });
    this.#out.notice({ kind: 'recovering', heard: this.#recovery.heard, needed: this.#recovery.needed });
  }

  #recovered(now: Instant): void {
    this.#out.notice({ kind: 'recovered' });
    this.#consensus({ kind: 'voting', allowed: true }, now);
    this.#intake.open([...this.#pool.live()], this.#unix);
  }

  #abstain(reason: AbstainReason, now: Instant): void {
    if (this.#recovery.standing === 'abstaining') return;
    this.#recovery.abstain();
    this.#intake.close();
    this.#consensus({ kind: 'voting', allowed: false }, now);
    this.#out.notice({ kind: 'abstaining', reason });
  }

  // ---- peers

  #onPeerUp(peer: PeerId, pairKey: Uint8Array | undefined): void {
    this.#up.add(peer);
    this.#banned.delete(peer);
    if (pairKey !== undefined && this.#pool.addPairKey(peer, pairKey.slice())) {
      this.#out.persist({ kind: 'pair-key', peer, secret: pairKey });
    }
    const index = this.#voters.indexOf(peer);
    if (index === undefined || index === this.#self) return;
    this.#links.reset(index);
    this.#archive.newSession(index);
    if (this.#recovery.standing === 'recovering') this.#out.send(index, { kind: 'ask-state' });
    this.#sendStatus(index);
    this.#repeat(index, this.#simplex.repetition());
  }

  #onPeerDown(peer: PeerId): void {
    this.#up.delete(peer);
    this.#readers.unsubscribe(peer);
    const index = this.#voters.indexOf(peer);
    if (index !== undefined) this.#links.reset(index);
  }

  #sendStatus(to: ValidatorIndex | 'all'): void {
    const { view: finalView, height: finalHeight } = this.#simplex.final;
    this.#out.send(to, { kind: 'status', view: this.#simplex.view, finalView, finalHeight, held: this.#held() });
  }

  #held(): number[] {
    return this.#lanes.map(lane => lane.head.sequence);
  }

  /** What may have been lost on the way to a member, or to all. */
  #repeat(to: ValidatorIndex | 'all', repetition: Extract<SimplexEffect, { kind: 'standstill' }>): void {
    const chunks: Uint8Array[] = [];
    const own = this.#lanes[this.#self];
    const counted = this.#simplex.final.cut[this.#self]?.sequence ?? 0;
    for (let next = own?.at(counted + 1); next !== undefined; next = own?.at(next.sequence + 1))
      chunks.push(next.bytes);
    this.#out.send(to, { kind: 'chunks', held: this.#held(), chunks });
    const { certificates, votes, proposals } = repetition;
    if (certificates.length > 0) this.#out.send(to, { kind: 'certificates', certificates });
    for (const block of proposals) this.#out.send(to, { kind: 'proposal', block: block.bytes, chunks: [] });
    if (votes.length > 0) this.#out.send(to, { kind: 'votes', votes });
  }

  // ---- messages

  #onMessage(from: PeerId, bytes: Uint8Array, now: Instant): void {
    const index = this.#voters.indexOf(from);
    try {
      if (isClientMessage(bytes)) this.#onClient(from, decodeClientMessage(bytes));
      else if (index !== undefined && index !== this.#self) {
        this.#onMember(index, from, decodeMemberMessage(this.#voters, bytes), now);
      }
    } catch (error) {
      if (!(error instanceof HopfairError) || error.code !== 'DECODE_FAILED') throw error;
      this.#out.notice({ kind: 'misbehaviour', peer: from, what: error.message });
    }
  }

  #onClient(from: PeerId, message: ClientMessage): void {
    switch (message.kind) {
      case 'submit':
        this.#onSubmit(from, message.batch);
        break;
      case 'want-receipt':
        this.#onWantReceipt(from, message.by);
        break;
      case 'subscribe':
        this.#readers.subscribe(from, message.from, message.credit);
        break;
      case 'unsubscribe':
        this.#readers.unsubscribe(from);
        break;
      case 'hello':
        break;
    }
  }

  #onSubmit(from: PeerId, batch: Uint8Array): void {
    if (this.#banned.has(from)) return;
    const submission = decodeSubmission(this.#voters.crypto, batch);
    const ids = submission.envelopes.map(({ id }) => id);
    if (submission.sender !== from) {
      this.#out.reply(from, { kind: 'rejected', reason: 'malformed', ids });
    } else if (this.#recovery.standing === 'abstaining') {
      this.#out.reply(from, { kind: 'rejected', reason: 'abstaining', ids });
    } else if (!this.#intake.submit(submission, this.#unix)) {
      this.#banned.add(from);
      this.#out.notice({ kind: 'misbehaviour', peer: from, what: 'the signature of a batch is wrong' });
    } else {
      this.#tellFate(from, ids);
    }
  }

  #onWantReceipt(from: PeerId, by: { readonly id: OrderId } | { readonly index: number }): void {
    const receipt = this.#history.receipt(by);
    if (typeof receipt === 'object' && 'unsigned' in receipt) {
      this.#out.send('all', { kind: 'want-shares', height: receipt.unsigned });
    }
    this.#out.reply(from, { kind: 'receipt', by, bytes: receipt instanceof Uint8Array ? receipt : new Uint8Array(0) });
  }

  #onMember(from: ValidatorIndex, peer: PeerId, message: MemberMessage, now: Instant): void {
    switch (message.kind) {
      case 'chunks':
        this.#links.reported(from, message.held);
        for (const bytes of message.chunks) this.#takeChunk(from, peer, bytes, now);
        break;
      case 'proposal':
        for (const bytes of message.chunks) this.#takeChunk(from, peer, bytes, now);
        this.#consensus({ kind: 'block', block: decodeBlock(this.#voters, message.block) }, now);
        break;
      case 'votes':
        for (const vote of message.votes) this.#consensus({ kind: 'vote', vote }, now);
        break;
      case 'certificates':
        for (const certificate of message.certificates) this.#consensus({ kind: 'certificate', certificate }, now);
        break;
      case 'want-blocks':
        this.#out.send(from, this.#archive.blocks(message));
        break;
      case 'blocks':
        for (const bytes of message.blocks) {
          this.#consensus({ kind: 'block', block: decodeBlock(this.#voters, bytes) }, now);
        }
        break;
      case 'want-chunks':
        this.#out.send(from, { kind: 'chunks', held: this.#held(), chunks: this.#archive.chunks(message) });
        break;
      case 'want-orders':
        this.#out.send(from, this.#archive.orders(from, message));
        break;
      case 'orders':
        for (const batch of message.batches) this.#takeOrders(peer, batch);
        break;
      case 'shares':
        this.#reveal.receive(from, message, this.#linearizer.height);
        break;
      case 'want-shares':
        this.#answerShares(from, message.height);
        break;
      case 'root':
        if (this.#history.takeRoot(from, message) === 'different') {
          this.#out.notice({
            kind: 'misbehaviour',
            peer,
            what: `another log root at height ${message.statement.height}`,
          });
        }
        break;
      case 'status':
        this.#onStatus(from, message, now);
        break;
      case 'ask-state':
        this.#answerState(from);
        break;
      case 'state':
        this.#onState(from, message, now);
        break;
    }
  }

  #takeChunk(from: ValidatorIndex, peer: PeerId, bytes: Uint8Array, now: Instant): void {
    const chunk = decodeChunk(this.#voters, bytes);
    const lane = this.#lanes[chunk.lane] as Lane;
    const acceptance = lane.accept(chunk);
    this.#links.raise(from, chunk.lane, chunk.sequence);
    switch (acceptance.kind) {
      case 'known':
        return;
      case 'gap':
        this.#wantChunks(from, chunk.lane, { sequence: chunk.sequence, hash: chunk.hash }, lane.head.sequence, now);
        return;
      case 'invalid':
        this.#out.notice({ kind: 'misbehaviour', peer, what: `an invalid chunk of lane ${chunk.lane}` });
        return;
      case 'fork':
        this.#censorship.drop(chunk.lane);
        this.#report({ kind: 'lane-fork', first: acceptance.other, second: chunk });
        break;
      case 'new':
        if (!lane.forked) this.#censorship.arrived(chunk, now);
    }
    this.#out.persist({ kind: 'chunk', bytes: chunk.bytes });
    if (chunk.lane === this.#self) this.#abstain('newer chunk', now); // signed by this member, and not in its log
    for (const { id } of chunk.listings) {
      if (this.#pool.get(id) === undefined) this.#fetcher.listed(id, chunk.lane, now);
    }
  }

  #wantChunks(from: ValidatorIndex, lane: ValidatorIndex, head: LaneHead, above: number, now: Instant): void {
    if (this.#asked.ask(`chunks ${lane} ${head.hash}`, now) === undefined) return;
    this.#out.send(from, { kind: 'want-chunks', lane, hash: head.hash, above });
  }

  /** Bodies that were asked for; whoever sends others wastes its own time. */
  #takeOrders(peer: PeerId, batch: Uint8Array): void {
    const submission = decodeSubmission(this.#voters.crypto, batch);
    const wanted = submission.envelopes.filter(({ id }) => this.#fetcher.isWanted(id));
    if (wanted.length === 0) return;
    if (!this.#pool.batchSigned(submission)) {
      this.#out.notice({ kind: 'misbehaviour', peer, what: 'orders that their sender did not sign' });
      return;
    }
    const examined = wanted.map(envelope => this.#pool.examine(submission, envelope, this.#unix));
    const bodies = examined.map(({ body }) => body).filter(body => body !== undefined);
    for (const body of bodies) {
      this.#pool.add(body);
      this.#fetcher.done(body.envelope.id);
    }
    this.#intake.store(bodies);
    for (const { body, refusal } of examined) {
      if (body !== undefined && refusal === undefined) this.#intake.list(body, this.#unix);
    }
  }

  #answerShares(to: ValidatorIndex, height: number): void {
    const batch = this.#history.batch(height);
    const waiting = this.#reveal.waiting(height);
    const cut = batch?.cutHash ?? waiting?.cut;
    if (cut === undefined) return; // not final here
    const ids = waiting?.ids ?? (batch?.entries ?? []).map(({ id }) => id).sort();
    for (const message of this.#reveal.ownShares(height, cut, ids)) this.#out.send(to, message);
    const root = this.#history.ownRoot(height);
    if (root !== undefined) this.#out.send(to, root);
  }

  #onStatus(from: ValidatorIndex, status: Extract<MemberMessage, { kind: 'status' }>, now: Instant): void {
    this.#links.reported(from, status.held);
    const behind = status.finalView < this.#simplex.final.view || status.view < this.#simplex.view;
    if (behind && this.#asked.ask(`certificates ${from}`, now) !== undefined) {
      this.#out.send(from, { kind: 'certificates', certificates: this.#simplex.certificates });
    }
  }

  #answerState(to: ValidatorIndex): void {
    const { sequence, hash } = (this.#lanes[to] as Lane).head;
    const { view, cast } = this.#simplex.lastSeenOf(to);
    this.#out.send(to, { kind: 'state', chunkSequence: sequence, chunkHash: hash, view, cast });
  }

  #onState(from: ValidatorIndex, seen: Extract<MemberMessage, { kind: 'state' }>, now: Instant): void {
    if (this.#recovery.standing !== 'recovering') return;
    const own = this.#lanes[this.#self] as Lane;
    const verdict = this.#recovery.answer(from, seen, own.head, this.#simplex.lastSeenOf(this.#self));
    if (verdict === 'enough') this.#recovered(now);
    else if (verdict !== 'more') this.#abstain(verdict, now);
  }

  // ---- consensus

  #cutRules(): CutRules {
    return {
      candidate: parent => {
        const cut = parent.cut.map((head, lane) => this.#lanes[lane]?.furthest(head) ?? head);
        const advanced = cut.filter(({ sequence }, lane) => sequence > (parent.cut[lane]?.sequence ?? 0)).length;
        return advanced >= this.#voters.n - this.#voters.f ? cut : undefined;
      },
      judge: (block, parent, arrivedAt, lenient) => {
        const added = advance(this.#lanes, parent.cut, block.cut);
        if (added === 'missing') {
          this.#wantedCut = { from: parent.cut, to: block.cut, source: this.#voters.leaderOf(block.view) };
          return 'wait';
        }
        if (added === 'conflict' || !cutIsValid(this.#voters, added)) return 'invalid';
        return !lenient && this.#censorship.omits(block.cut, arrivedAt) ? 'invalid' : 'valid';
      },
    };
  }

  #consensus(input: SimplexInput, now: Instant): void {
    for (const effect of this.#simplex.handle(input, now)) this.#carryOut(effect);
  }

  #carryOut(effect: SimplexEffect): void {
    switch (effect.kind) {
      case 'propose':
        this.#persistBlock(effect.block);
        this.#propose(effect.block);
        break;
      case 'vote':
        if (effect.block !== undefined) this.#persistBlock(effect.block);
        this.#out.persist({ kind: 'vote', vote: effect.vote });
        this.#out.send('all', { kind: 'votes', votes: [effect.vote] });
        break;
      case 'certificate': {
        const { certificate } = effect;
        this.#out.persist({ kind: 'certificate', certificate });
        this.#out.send('all', { kind: 'certificates', certificates: [certificate] });
        const { view, block: cutHash } = certificate;
        const height = this.#simplex.block(cutHash)?.height;
        if (certificate.kind === 'nullify') this.#out.notice({ kind: 'nullified', view });
        else if (certificate.kind === 'notarize' && height !== undefined) {
          this.#out.notice({ kind: 'notarized', view, height, cutHash });
        }
        break;
      }
      case 'view':
        this.#out.notice({ kind: 'view', view: effect.view, leader: effect.leader });
        break;
      case 'final': {
        const { view, height, hash: cutHash } = effect.block;
        this.#persistBlock(effect.block);
        this.#durableBlocks.delete(cutHash);
        this.#archive.add(effect.block);
        this.#sequencer.push(effect.block);
        this.#madeFinal = true;
        this.#out.notice({ kind: 'final', view, height, cutHash });
        break;
      }
      case 'want-block':
        this.#wantedBlocks.set(effect.hash, effect.signers);
        break;
      case 'standstill':
        this.#repeat('all', effect);
        break;
      case 'two-votes':
      case 'two-proposals':
        this.#report(effect);
        break;
      case 'unsafe':
        this.#out.notice({ kind: 'unsafe', view: effect.certificate.view });
        break;
    }
  }

  #persistBlock(block: Block): void {
    if (this.#durableBlocks.has(block.hash)) return;
    this.#durableBlocks.add(block.hash);
    this.#out.persist({ kind: 'block', bytes: block.bytes });
  }

  /** "It carries every chunk that its receiver did not report as held." */
  #propose(block: Block): void {
    const parent = this.#simplex.block(block.parent);
    const added = parent === undefined ? 'missing' : advance(this.#lanes, parent.cut, block.cut);
    const chunks = typeof added === 'string' ? [] : added.flat();
    for (let to = 0; to < this.#voters.n; to++) {
      if (to === this.#self) continue;
      const lacking = chunks.filter(chunk => this.#links.lacks(to, chunk));
      this.#out.send(to, { kind: 'proposal', block: block.bytes, chunks: lacking.map(({ bytes }) => bytes) });
      for (const { lane, sequence } of lacking) this.#links.raise(to, lane, sequence);
    }
    this.#out.notice({ kind: 'proposed', view: block.view, height: block.height, cutHash: block.hash });
  }

  #report(evidence: Evidence): void {
    const bytes = encodeEvidence(this.#voters.committee.hashHex, evidence);
    const hash = this.#voters.hashOf(bytes);
    if (this.#evidence.has(hash) || this.#evidence.size >= MAX_EVIDENCE) return;
    this.#evidence.add(hash);
    this.#out.evidence(bytes);
  }

  // ---- what follows from every input

  #settle(now: Instant): void {
    do {
      this.#madeFinal = false;
      this.#sequence(now);
      this.#closeChunk(now);
      this.#consensus({ kind: 'work', work: this.#hasWork() }, now);
      this.#consensus({ kind: 'tick' }, now);
    } while (this.#madeFinal);
    this.#forward(now);
    this.#ask(now);
    if (now >= this.#heartbeatAt) this.#beat(now);
  }

  /** "An uncut entry, an unemitted solid order or an unopened batch": while there is any, views are timed. */
  #hasWork(): boolean {
    return (
      this.#writer.pending > 0 ||
      this.#sequencer.waiting > 0 ||
      this.#linearizer.busy ||
      this.#lanes.some(lane => lane.uncut > 0)
    );
  }

  /** Takes final cuts, and opens and delivers what they select, as far as everything needed is there. */
  #sequence(now: Instant): void {
    for (let step = this.#sequencer.step(); step.kind !== 'idle'; step = this.#sequencer.step()) {
      if (step.kind === 'chunks-missing') {
        this.#wantedCut = { from: step.from, to: step.to, source: undefined };
        break;
      }
      if (step.kind === 'orders-missing') {
        for (const id of step.ids) this.#fetcher.require(id, now);
        break;
      }
      this.#selected(step.selection, step.cut, now);
    }
    for (let opened = this.#reveal.step(); opened !== undefined; opened = this.#reveal.step()) this.#deliver(opened);
    for (const { validator, body, message } of this.#reveal.takeBadShares()) {
      if (this.#voters.verify('shares', validator, sharesBody(message), message.signature)) {
        this.#report({ kind: 'bad-share', validator, message, order: body });
      }
    }
  }

  #selected(selection: Selection, cut: Cut, now: Instant): void {
    const { height, cutHash, open, gone } = selection;
    cut.forEach((head, lane) => {
      this.#lanes[lane]?.settle(head);
    });
    this.#censorship.settle(cut);
    this.#tellGone(gone);
    for (const { id, instead } of gone) {
      const [first, second] = [this.#pool.get(id), instead === undefined ? undefined : this.#pool.get(instead)];
      if (first !== undefined && second !== undefined) this.#report({ kind: 'double-sequence', first, second });
      this.#pool.settle(id);
    }
    if (open.length === 0) return;
    this.#reveal.select(selection, now);
    for (const message of this.#reveal.ownShares(height, cutHash, open)) this.#out.send('all', message);
    this.#out.notice({ kind: 'ordered', height, orders: open.length });
    for (const [sender, ids] of this.#bySender(open, id => id))
      this.#out.reply(sender, { kind: 'ordered', height, ids });
    for (const id of open) this.#intake.selected(id, this.#unix);
  }

  /** What stood behind these orders in their streams is gone too: that their senders conclude themselves. */
  #tellGone(gone: readonly GoneOrder[]): void {
    for (const reason of ['expired', 'double'] as const) {
      const ids = gone.filter(order => order.reason === reason).map(({ id }) => id);
      for (const [sender, page] of this.#bySender(ids, id => id, LIMITS.maxBatchOrders)) {
        this.#out.reply(sender, { kind: 'rejected', reason: reason === 'expired' ? 'gone' : reason, ids: page });
      }
    }
  }

  /** A client that sends an order again, after its fate was decided, has not heard of it. */
  #tellFate(sender: PeerId, ids: readonly OrderId[]): void {
    const gone = ids.filter(id => this.#linearizer.isGone(id));
    if (gone.length > 0) this.#out.reply(sender, { kind: 'rejected', reason: 'gone', ids: gone });
    for (const entry of ids.map(id => this.#history.entryOf(id))) {
      if (entry === undefined) continue;
      this.#out.reply(sender, { kind: 'opened', height: entry.height, items: [openedItem(entry)] });
    }
  }

  #deliver({ emitted, verdicts }: Revealed): void {
    const { batch } = emitted;
    const { height, firstIndex, entries } = batch;
    this.#out.persist({ kind: 'verdicts', height, verdicts });
    this.#history.add(emitted);
    this.#out.deliver(batch);
    this.#out.notice({ kind: 'opened', height, firstIndex, orders: entries.length });
    if (!this.#out.replaying) {
      const root = this.#history.ownRoot(height);
      if (root !== undefined) this.#out.send('all', root);
      for (const [sender, of] of this.#bySender(entries, ({ id }) => id)) {
        const items = of.map(openedItem);
        this.#out.reply(sender, { kind: 'opened', height, items });
      }
      this.#readers.push();
    }
    for (const { id } of entries) this.#pool.settle(id);
  }

  /** Groups what concerns senders that have a session with this member, in pages that fit into a message. */
  *#bySender<T>(
    items: readonly T[],
    idOf: (item: T) => OrderId,
    pageSize: number = LIMITS.maxPageEntries,
  ): Generator<[PeerId, T[]]> {
    const groups = new Map<PeerId, T[]>();
    for (const item of items) {
      const sender = this.#pool.get(idOf(item))?.envelope.sender;
      if (sender === undefined || !this.#up.has(sender)) continue;
      const group = groups.get(sender) ?? [];
      group.push(item);
      groups.set(sender, group);
    }
    for (const [sender, group] of groups) {
      for (let at = 0; at < group.length; at += pageSize) {
        yield [sender, group.slice(at, at + pageSize)];
      }
    }
  }

  /** An empty chunk is due only when the one before it is in a notarized cut: without progress a lane stands still. */
  #mayCloseChunk(work: boolean): boolean {
    if (this.#recovery.standing !== 'active') return false;
    const head = this.#lanes[this.#self]?.head.sequence ?? 0;
    const consumed = (this.#simplex.highestNotarized.cut[this.#self]?.sequence ?? 0) >= head;
    return this.#writer.pending > 0 || (work && consumed);
  }

  #closeChunk(now: Instant): void {
    if (now < this.#chunkAt || !this.#mayCloseChunk(this.#hasWork())) return;
    const chunk = this.#writer.close(this.#unix);
    this.#chunkAt = after(now, this.#chunkIntervalMs);
    this.#out.persist({ kind: 'chunk', bytes: chunk.bytes });
    this.#out.send('all', { kind: 'chunks', held: this.#held(), chunks: [chunk.bytes] });
    this.#markSent(chunk);
    this.#censorship.arrived(chunk, now);
    this.#intake.chunkClosed(chunk);
    this.#intake.promise(chunk);
  }

  /** What was sent in a session arrives before anything sent later in it: it need not be sent again. */
  #markSent({ lane, sequence }: Chunk): void {
    this.#voters.committee.descriptor.members.forEach(({ peer }, member) => {
      if (this.#up.has(peer)) this.#links.raise(member, lane, sequence);
    });
  }

  #forward(now: Instant): void {
    if (!this.#hasWork()) return;
    const due = this.#censorship.due(this.#simplex.highestNotarized.cut, now);
    if (due.length > 0) {
      this.#out.send('all', { kind: 'chunks', held: this.#held(), chunks: due.map(({ bytes }) => bytes) });
    }
  }

  /** Asks for everything that is missing and that nobody was asked for lately. */
  #ask(now: Instant): void {
    for (const [hash, signers] of this.#wantedBlocks) {
      this.#wantedBlocks.delete(hash);
      if (this.#simplex.block(hash) !== undefined) continue;
      const times = this.#asked.ask(`block ${hash}`, now);
      const to = times === undefined ? undefined : signers[times % signers.length];
      if (to !== undefined) this.#out.send(to, { kind: 'want-blocks', hash, above: this.#simplex.final.height });
    }
    for (const [lane, ids] of this.#fetcher.due(now)) this.#out.send(lane, { kind: 'want-orders', ids });
    for (const height of this.#reveal.due(now)) this.#out.send('all', { kind: 'want-shares', height });
    this.#askForCut(now);
  }

  #askForCut(now: Instant): void {
    const wanted = this.#wantedCut;
    this.#wantedCut = undefined;
    wanted?.to.forEach((head, lane) => {
      const from = wanted.from[lane];
      if (from === undefined || this.#lanes[lane]?.between(from, head) !== 'missing') return;
      const times = this.#asked.ask(`chunks ${lane} ${head.hash}`, now);
      if (times === undefined) return;
      const others = [wanted.source, ...this.#voters.committee.descriptor.members.keys()].filter(
        member => member !== undefined && member !== this.#self,
      );
      const to = others[times % others.length];
      const above = Math.max(from.sequence, Math.min(this.#lanes[lane]?.head.sequence ?? 0, head.sequence - 1));
      if (to !== undefined) this.#out.send(to, { kind: 'want-chunks', lane, hash: head.hash, above });
    });
  }

  #beat(now: Instant): void {
    this.#heartbeatAt = after(now, this.#heartbeatMs);
    this.#sendStatus('all');
    if (this.#recovery.standing === 'recovering') this.#askForState();
    this.#pool.expire(this.#unix);
    this.#intake.sweep(this.#unix);
  }
}

const openedItem = ({ id, index, opening, laneTimes }: Entry): OpenedItem => ({
  id,
  index,
  void: opening.kind === 'void' ? opening.reason : undefined,
  laneTimes,
});
