/**
 * One committee member: lanes, consensus, linearizer, opening and delivery tied together in one machine. Its log decides
 * what it may say: see the table of order.md section 6, and outbox.ts, which puts records before everything else.
 */
import { after, type Instant, type UnixMs } from '../env.js';
import { HopfairError, requireArgument } from '../errors.js';
import { type PeerId, peerIdOf } from '../identity/peer-id.js';
import { earliest, type Machine } from '../machine.js';
import { Agreement } from './agreement.js';
import { Archive } from './archive.js';
import { CensorshipWatch } from './censorship.js';
import { type Chunk, decodeChunk } from './chunk.js';
import { type ClientMessage, decodeClientMessage, isClientMessage } from './client-messages.js';
import { PinnedCommittee } from './committee.js';
import { type Block, decodeBlock } from './cut.js';
import { Delivery } from './delivery.js';
import { EvidenceBook } from './evidence-book.js';
import { BodyFetcher } from './fetch.js';
import { Intake } from './intake.js';
import { Lane, LaneWriter } from './lane.js';
import { Linearizer } from './linearizer.js';
import { Links } from './links.js';
import type { MemberEffect, MemberInput, MemberLog, MemberOptions, Restored } from './member-io.js';
import { decodeMemberMessage, type MemberMessage } from './messages.js';
import { Outbox } from './outbox.js';
import { OrderPool } from './pool.js';
import { type AbstainReason, Recovery } from './recovery.js';
import { type ReplayParts, replayRecord } from './replay.js';
import { Requests } from './requests.js';
import type { Simplex } from './simplex.js';
import { decodeSubmission } from './submission.js';
import type { ValidatorIndex } from './types.js';
import { Voters } from './voters.js';

const FIRST_CHUNK_MS = 2;
const LAST_CHUNK_MS = 10;
const DEFAULT_HEARTBEAT_MS = 1_000;

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
  readonly #requests: Requests;
  readonly #links: Links;
  readonly #censorship: CensorshipWatch;
  readonly #agreement: Agreement;
  readonly #simplex: Simplex;
  readonly #delivery: Delivery;
  readonly #archive: Archive;
  readonly #recovery: Recovery;
  readonly #evidence: EvidenceBook;
  /** Peers with a session. */
  readonly #up = new Set<PeerId>();
  /** Senders that used up the one failed verification of their session. */
  readonly #banned = new Set<PeerId>();
  /** What the log is replayed into. */
  readonly #replayed: ReplayParts;
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
      for (const record of log.records) {
        replayRecord(member.#voters, member.#self, record, member.#replayed, now);
        member.#sequence(now);
      }
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

    const lanes = Array.from({ length: voters.n }, () => new Lane(voters));
    const ownLane = lanes[self] as Lane;
    this.#lanes = lanes;
    this.#writer = new LaneWriter(voters, signer, self, ownLane);
    this.#pool = new OrderPool(voters, self);
    const linearizer = new Linearizer(crypto, voters.committee);
    const context = { voters, self, signer, out: this.#out, up: this.#up };
    this.#intake = new Intake(context, { pool: this.#pool, writer: this.#writer, linearizer });
    const retryMs = 2 * delayMs;
    this.#fetcher = new BodyFetcher(voters.n, self, {
      graceMs: delayMs / 2,
      retryMs,
      forgetMs: parameters.maxOrderTtlMs,
    });
    this.#requests = new Requests(this.#out, lanes, self, retryMs);
    this.#evidence = new EvidenceBook(voters, this.#out);
    this.#links = new Links(voters.n);
    this.#censorship = new CensorshipWatch(voters.n, delayMs);
    this.#agreement = new Agreement(context, {
      lanes,
      links: this.#links,
      censorship: this.#censorship,
      requests: this.#requests,
      evidence: this.#evidence,
      delayBoundMs: delayMs,
      onFinal: block => this.#onFinal(block),
    });
    this.#simplex = this.#agreement.simplex;
    this.#delivery = new Delivery(context, {
      lanes,
      pool: this.#pool,
      linearizer,
      intake: this.#intake,
      censorship: this.#censorship,
      evidence: this.#evidence,
      genesis: this.#agreement.genesis,
      retryMs,
    });
    this.#replayed = {
      pool: this.#pool,
      lanes,
      intake: this.#intake,
      agreement: this.#agreement,
      delivery: this.#delivery,
      evidence: this.#evidence,
    };
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
      work ? this.#delivery.nextDeadline() : undefined,
    );
  }

  // ---- restart

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
    this.#agreement.handle({ kind: 'voting', allowed: true }, now);
    this.#intake.open([...this.#pool.live()], this.#unix);
  }

  #abstain(reason: AbstainReason, now: Instant): void {
    if (this.#recovery.standing === 'abstaining') return;
    this.#recovery.abstain();
    this.#intake.close();
    this.#agreement.handle({ kind: 'voting', allowed: false }, now);
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
    this.#agreement.repeatTo(index);
  }

  #onPeerDown(peer: PeerId): void {
    this.#up.delete(peer);
    this.#delivery.readers.unsubscribe(peer);
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
        this.#delivery.answerReceipt(from, message.by);
        break;
      case 'subscribe':
        this.#delivery.readers.subscribe(from, message.from, message.credit);
        break;
      case 'unsubscribe':
        this.#delivery.readers.unsubscribe(from);
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
      this.#delivery.tellFate(from, submission.envelopes);
    }
  }

  #onMember(from: ValidatorIndex, peer: PeerId, message: MemberMessage, now: Instant): void {
    switch (message.kind) {
      case 'chunks':
        this.#links.reported(from, message.held);
        for (const bytes of message.chunks) this.#takeChunk(from, peer, bytes, now);
        break;
      case 'proposal':
        for (const bytes of message.chunks) this.#takeChunk(from, peer, bytes, now);
        this.#agreement.handle({ kind: 'block', block: decodeBlock(this.#voters, message.block) }, now);
        break;
      case 'votes':
        for (const vote of message.votes) this.#agreement.handle({ kind: 'vote', vote }, now);
        break;
      case 'certificates':
        for (const certificate of message.certificates)
          this.#agreement.handle({ kind: 'certificate', certificate }, now);
        break;
      case 'want-blocks':
        this.#out.send(from, this.#archive.blocks(message));
        break;
      case 'blocks':
        for (const bytes of message.blocks) {
          this.#agreement.handle({ kind: 'block', block: decodeBlock(this.#voters, bytes) }, now);
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
        this.#delivery.takeShares(from, message);
        break;
      case 'want-shares':
        this.#delivery.answerShares(from, message);
        break;
      case 'root':
        this.#delivery.takeRoot(from, peer, message);
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
        this.#requests.wantChunks(from, chunk.lane, chunk, lane.head.sequence, now);
        return;
      case 'invalid':
        this.#out.notice({ kind: 'misbehaviour', peer, what: `an invalid chunk of lane ${chunk.lane}` });
        return;
      case 'fork':
        this.#censorship.drop(chunk.lane);
        this.#evidence.report({ kind: 'lane-fork', first: acceptance.other, second: chunk });
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

  #onStatus(from: ValidatorIndex, status: Extract<MemberMessage, { kind: 'status' }>, now: Instant): void {
    this.#links.reported(from, status.held);
    const behind = status.finalView < this.#simplex.final.view || status.view < this.#simplex.view;
    if (behind && this.#requests.allow(`certificates ${from}`, now)) {
      this.#agreement.sendCertificates(from, this.#simplex.certificates);
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

  // ---- what follows from every input

  #onFinal(block: Block): void {
    this.#archive.add(block);
    this.#delivery.push(block);
    this.#madeFinal = true;
  }

  #settle(now: Instant): void {
    do {
      this.#madeFinal = false;
      this.#sequence(now);
      this.#closeChunk(now);
      this.#agreement.handle({ kind: 'work', work: this.#hasWork() }, now);
      this.#agreement.handle({ kind: 'tick' }, now);
    } while (this.#madeFinal);
    this.#forward(now);
    this.#delivery.askAgain(now);
    this.#requests.send(this.#simplex, this.#fetcher, now);
    if (now >= this.#heartbeatAt) this.#beat(now);
  }

  /** "An uncut entry, an unemitted solid order or an unopened batch": while there is any, views are timed. */
  #hasWork(): boolean {
    return (
      this.#writer.pending > 0 ||
      this.#delivery.busy ||
      this.#lanes.some(lane => lane.uncut > 0) ||
      this.#delivery.owesVerdict(this.#unix)
    );
  }

  /** Takes final cuts, as far as their chunks and orders are here. */
  #sequence(now: Instant): void {
    const step = this.#delivery.advance(now, this.#unix);
    if (step.kind === 'chunks-missing') this.#requests.wantCut(step.from, step.to);
    else if (step.kind === 'orders-missing') for (const id of step.ids) this.#fetcher.require(id, now);
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
    this.#agreement.sendChunks('all', this.#censorship.due(this.#simplex.highestNotarized.cut, now));
  }

  #beat(now: Instant): void {
    this.#heartbeatAt = after(now, this.#heartbeatMs);
    this.#sendStatus('all');
    if (this.#recovery.standing === 'recovering') this.#askForState();
    this.#pool.expire(this.#unix);
    this.#intake.sweep(this.#unix);
  }
}
