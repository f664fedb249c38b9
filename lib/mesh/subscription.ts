/**
 * One subscription: puts flushes in order, opens and delivers them, passes them on, finds gaps and has them filled, and
 * says honestly when nobody holds what is missing (overlay.md point 19).
 */
import { copyOf } from '../bytes.js';
import type { CryptoProvider } from '../crypto/interface.js';
import { after, type Instant } from '../env.js';
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import {
  decodeContent,
  encodePubSub,
  type Flush,
  flushNonce,
  type PubSubMessage,
  type SubscriptionRefusal,
  type TopicName,
} from '../wire/index.js';
import { ArrivalLag } from './arrival-lag.js';
import { EarlyFlushes } from './early-flushes.js';
import { FlushStore, type MissedRange } from './flush-store.js';
import { GapFill } from './gap-fill.js';
import type { PublicationQueue } from './publication-queue.js';
import type { SendTo } from './topic.js';
import { ReaderKeys } from './topic-keys.js';

export interface SubscriptionHost {
  readonly crypto: CryptoProvider;
  readonly send: SendTo;
  now(): Instant;
  rttMs(peer: PeerId): number | undefined;
  /** Whether the publisher signed it. */
  verify(flush: Flush): boolean;
  /** Deadlines changed. */
  wake(at: Instant): void;
  warn(event: string, from: PeerId): void;
}

type Message<K extends PubSubMessage['kind']> = Extract<PubSubMessage, { kind: K }>;
type Request = Extract<PubSubMessage, { kind: 'subscribe' | 'unsubscribe' | 'fill' }>;
type WithoutTopic<T> = T extends unknown ? Omit<T, keyof TopicName> : never;

/** A subscription is asked for again until it is confirmed; what was said before a session broke is said again anyway. */
const FIRST_RETRY_MS = 2_000;
const MAX_RETRY_MS = 60_000;
/** What others may still hold of a run that ended must come within this: what follows it waits. */
const CLOSING_MS = 1_000;
/** Assumed of a publisher to whom nothing was measured. */
const ASSUMED_RTT_MS = 50;

export class Subscription {
  readonly topic: TopicName;
  readonly queue: PublicationQueue;
  readonly #host: SubscriptionHost;
  readonly #fillFrom: readonly PeerId[];
  readonly #keys: ReaderKeys;
  readonly #store = new FlushStore();
  readonly #early = new EarlyFlushes();
  readonly #lag = new ArrivalLag();
  readonly #fill: GapFill;
  /** Run of the publisher and what comes next of it; undefined until it has said where the topic stands. */
  #position: { epoch: number; next: number } | undefined;
  /** Another run began: what is left of the present one is looked for until then. */
  #closing: { readonly epoch: number; next: number; readonly until: Instant } | undefined;
  #parent: PeerId | undefined;
  #formerParent: PeerId | undefined;
  #helpers: readonly PeerId[] = [];
  #children: readonly PeerId[] = [];
  #confirmed = false;
  #retryMs = FIRST_RETRY_MS;
  #retryAt: Instant | undefined;
  #announced: { next: number; readonly at: Instant } | undefined;
  #announcedNext = 0;
  #toldTo = 0;
  /** The publisher has to be told that whoever forwards to us did not. */
  #isLate = false;

  constructor(
    topic: TopicName,
    queue: PublicationQueue,
    host: SubscriptionHost,
    from: { readonly epoch: number; readonly sequence: number } | undefined,
    fillFrom: readonly PeerId[],
  ) {
    this.topic = topic;
    this.queue = queue;
    this.#host = host;
    this.#fillFrom = fillFrom;
    this.#keys = new ReaderKeys(host.crypto);
    this.#fill = new GapFill({
      sources: () => this.#sources(),
      rttMs: peer => host.rttMs(peer),
      ask: (source, first, to) => this.#askFor(source, first, to),
    });
    if (from !== undefined) this.#position = { epoch: from.epoch, next: from.sequence };
  }

  // ---------------------------------------------------------------- the publisher

  /** Asks for the topic from where we are. */
  subscribe(): void {
    this.#confirmed = false;
    this.#retryMs = FIRST_RETRY_MS;
    this.#request();
  }

  #request(): void {
    const position = this.#position;
    const from = position && { epoch: position.epoch, sequence: position.next };
    this.#send({ kind: 'subscribe', from });
    this.#retryLater();
  }

  #retryLater(): void {
    this.#retryAt = after(this.#host.now(), this.#retryMs);
    this.#retryMs = Math.min(2 * this.#retryMs, MAX_RETRY_MS);
    this.#host.wake(this.#retryAt);
  }

  #send(message: WithoutTopic<Request>, to: PeerId = this.topic.publisher): void {
    this.#host.send(to, encodePubSub({ ...message, ...this.topic }));
  }

  /** The session with the publisher is gone. */
  lost(): void {
    this.#confirmed = false;
  }

  onKey({ epoch, id, aead, key }: Message<'key'>): void {
    this.#keys.add(epoch, id, aead, key);
    const now = this.#host.now();
    this.#deliver(now);
    // Behind what waited for this key something may be missing, which nobody looked for until now.
    const hole = this.#early.hole(this.#position?.next ?? 0);
    if (hole !== undefined) this.#miss(hole, false, now);
  }

  onSubscribed({ epoch, next, parent, helpers }: Message<'subscribed'>): void {
    const now = this.#host.now();
    const isAnswer = !this.#confirmed;
    this.#confirmed = true;
    if (isAnswer) this.#children = []; // if we still serve somebody, that is said next
    const isMoved = parent !== this.#parent;
    if (isMoved) this.#formerParent = this.#parent;
    this.#parent = parent;
    this.#helpers = helpers;
    this.#announced = undefined;
    if (this.#position === undefined) this.#position = { epoch, next };
    else if (this.#position.epoch !== epoch) this.#beginRun(epoch, next, now);
    else if (isAnswer || isMoved) this.#miss(next - 1, false, now);
    else this.#expect(next, now);
    this.#retryAt = undefined;
    this.#deliver(now);
  }

  /** What was published up to here is on its way to us, or should be. */
  onAnnounce({ epoch, next }: Message<'announce'>): void {
    if (this.#closing?.epoch === epoch) this.#closing.next = Math.max(this.#closing.next, next);
    if (this.#position?.epoch === epoch) this.#expect(next, this.#host.now());
  }

  onRefused(reason: SubscriptionRefusal): void {
    const why = { 'not-admitted': 'is not admitted to', removed: 'was removed from', limit: 'found no room in' }[
      reason
    ];
    const { publisher, name } = this.topic;
    this.queue.end(
      new HopfairError('SUBSCRIPTION_REFUSED', `this node ${why} ${publisher}/${name}`, {
        retryable: reason === 'limit',
      }),
    );
  }

  onForward(children: readonly PeerId[]): void {
    this.#children = children;
  }

  // ---------------------------------------------------------------- flushes

  /** `from` sent it: the publisher, whoever forwards to us, or whoever was asked. */
  onFlush(from: PeerId, flush: Flush): void {
    const position = this.#position;
    const last = flush.first + flush.count - 1;
    if (flush.epoch === this.#closing?.epoch && from === this.topic.publisher) this.#closing.next = last + 1;
    if (position === undefined || flush.epoch !== position.epoch || !this.#isSource(from)) return;
    if (last < position.next || this.#early.has(flush, position.next)) return;
    if (flush.first > position.next && !this.#early.hasRoomFor(flush)) return;
    // Whoever speaks in its own session needs no signature; those to whom it is passed on have nothing else.
    const isFirstHand = from === this.topic.publisher;
    if ((!isFirstHand || this.#children.length > 0) && !this.#host.verify(flush)) {
      this.#host.warn('publication-forged', from);
      return;
    }
    for (const child of this.#children) if (child !== from) this.#host.send(child, flush.encoded);
    const now = this.#host.now();
    this.#early.add(flush, position.next);
    this.#deliver(now);
    const isBehindHole = flush.first > position.next && this.#early.get(position.next) === undefined;
    if (isBehindHole) this.#miss(flush.first - 1, from === this.#parent, now);
  }

  #deliver(now: Instant): void {
    const position = this.#position;
    if (position === undefined) return;
    const before = position.next;
    for (;;) {
      const flush = this.#early.get(position.next);
      if (flush === undefined) break;
      const key = this.#keys.get(flush.epoch, flush.keyId);
      if (key === undefined) {
        // The key is on its way from the publisher, or was lost with a queue: it is asked for again.
        if (this.#retryAt === undefined) this.#retryLater();
        break;
      }
      this.#early.delete(position.next);
      const content = key.open(flushNonce(flush.first), flush.header, flush.sealed);
      this.#give(flush, content, position);
      this.#keys.dropBefore(flush.epoch, flush.keyId);
      this.#keep(flush);
    }
    if (position.next !== before) this.#onProgress(position.next, now);
  }

  /** What its publisher sealed wrongly is as good as lost, and must not stop what follows. */
  #give(flush: Flush, content: Uint8Array | undefined, position: { epoch: number; next: number }): void {
    const { epoch, first, count } = flush;
    const end = first + count;
    try {
      if (content === undefined) throw new HopfairError('DECRYPT_FAILED', 'the flush does not open');
      const messages = decodeContent(content, count);
      for (let i = position.next - first; i < count; i++) {
        this.queue.push({ kind: 'message', epoch, sequence: first + i, bytes: messages[i] as Uint8Array });
      }
    } catch (error) {
      if (!(error instanceof HopfairError)) throw error;
      this.#host.warn('publication-unreadable', this.topic.publisher);
      this.queue.push({ kind: 'gap', epoch, from: position.next, to: end - 1, recovered: false });
    }
    position.next = end;
  }

  /** A small part of a large buffer is copied, so that the history takes what it is counted for. */
  #keep({ epoch, first, count, encoded }: Flush): void {
    const isPart = encoded.length * 2 < encoded.buffer.byteLength;
    this.#store.add({ epoch, first, count, encoded: isPart ? copyOf(encoded) : encoded });
  }

  #onProgress(next: number, now: Instant): void {
    this.#fill.onProgress(next, now);
    this.#wakeForFill();
    if (this.#announced === undefined || next < this.#announced.next) return;
    this.#lag.sample(now - this.#announced.at);
    this.#announced = undefined;
    if (this.#announcedNext > next) this.#expect(this.#announcedNext, now);
  }

  // ---------------------------------------------------------------- gaps

  /** Whoever forwards to us has some time; what the publisher itself left out is missing at once. */
  #expect(next: number, now: Instant): void {
    this.#announcedNext = Math.max(this.#announcedNext, next);
    if (this.#position === undefined || next <= this.#position.next) return;
    if (this.#parent === undefined) this.#miss(next - 1, false, now);
    else if (this.#announced === undefined) {
      this.#announced = { next, at: now };
      this.#host.wake(after(now, this.#graceMs));
    }
  }

  get #graceMs(): number {
    return this.#lag.graceMs(this.#host.rttMs(this.topic.publisher) ?? ASSUMED_RTT_MS);
  }

  /** Everything up to `to` that we lack is asked for. `late`: whoever forwards to us should have sent it. */
  #miss(to: number, late: boolean, now: Instant): void {
    const position = this.#position;
    if (position === undefined || to < position.next || this.#closing !== undefined) return;
    const from = Math.max(position.next, this.#toldTo + 1);
    if (from > to) return;
    this.queue.push({ kind: 'gap', epoch: position.epoch, from, to, recovered: true });
    this.#toldTo = to;
    this.#isLate = late;
    this.#fill.want(position.next, to, now);
    if (this.#isLate) this.#askFor(this.topic.publisher, from, to); // somebody else is asked at the moment
    this.#wakeForFill();
  }

  #askFor(source: PeerId, from: number, to: number): void {
    const epoch = this.#position?.epoch;
    const late = this.#isLate && source === this.topic.publisher;
    if (late) this.#isLate = false;
    if (epoch !== undefined) this.#send({ kind: 'fill', late, epoch, from, to }, source);
  }

  #wakeForFill(): void {
    if (this.#fill.deadline !== undefined) this.#host.wake(this.#fill.deadline);
  }

  /** Who may hold what we miss: the publisher first, then whoever gets it as we do, then whom the reader named. */
  #sources(): readonly PeerId[] {
    const others = this.#parent === undefined ? this.#helpers : [this.#parent, ...this.#helpers];
    return [...new Set([this.topic.publisher, ...others, ...this.#fillFrom])];
  }

  #isSource(peer: PeerId): boolean {
    return (
      peer === this.topic.publisher ||
      peer === this.#parent ||
      peer === this.#formerParent ||
      this.#helpers.includes(peer) ||
      this.#fillFrom.includes(peer)
    );
  }

  onUnavailable(from: PeerId, { epoch, from: first, to }: Message<'unavailable'>): void {
    const position = this.#position;
    if (position === undefined || epoch !== position.epoch || !this.#isSource(from)) return;
    if (first > position.next || to < position.next) return;
    const now = this.#host.now();
    this.#lose(this.#fill.onUnavailable(from, position.next, to, now), now);
    this.#wakeForFill();
  }

  /** Nobody holds what is missing up to `upTo`. */
  #lose(upTo: number | undefined, now: Instant): void {
    const position = this.#position;
    if (position === undefined || upTo === undefined) return;
    if (this.#closing !== undefined) {
      this.#endRun(now);
      return;
    }
    this.queue.push({ kind: 'gap', epoch: position.epoch, from: position.next, to: upTo, recovered: false });
    position.next = upTo + 1;
    this.#early.skipTo(position.next);
    this.#onProgress(position.next, now);
    this.#deliver(now);
  }

  /** What this node holds of the topic, for others who miss it. */
  serve(missed: MissedRange, send: (bytes: Uint8Array) => boolean): void {
    this.#store.serve(this.topic, missed, send);
  }

  // ---------------------------------------------------------------- runs of the publisher

  /**
   * The publisher runs anew, whatever its clock says: only it can say so, inside a session with its present run. What it
   * published before and we lack may be held by those who got it; it itself has forgotten.
   */
  #beginRun(epoch: number, next: number, now: Instant): void {
    const position = this.#position;
    if (position === undefined) return;
    this.#closing = { epoch, next, until: after(now, CLOSING_MS) };
    this.#announcedNext = 0;
    this.#fill.reset();
    if (!this.#keys.has(position.epoch) || this.#sources().length === 1) {
      this.#endRun(now);
      return;
    }
    this.#fill.want(position.next, Number.MAX_SAFE_INTEGER, now);
    this.#host.wake(this.#closing.until);
    this.#lose(this.#fill.onUnavailable(this.topic.publisher, position.next, Number.MAX_SAFE_INTEGER, now), now);
    this.#wakeForFill();
  }

  #endRun(now: Instant): void {
    const [position, closing] = [this.#position, this.#closing];
    if (position === undefined || closing === undefined) return;
    const { epoch, next } = position;
    this.queue.push({ kind: 'gap', epoch, from: next, to: undefined, recovered: false });
    this.#keys.drop(epoch);
    this.#early.clear();
    this.#fill.reset();
    this.#closing = undefined;
    this.#toldTo = 0;
    this.#position = { epoch: closing.epoch, next: 1 };
    this.#miss(closing.next - 1, false, now);
  }

  // ---------------------------------------------------------------- time

  /** When `tick` has something to do. */
  get deadline(): Instant | undefined {
    const announced = this.#announced && after(this.#announced.at, this.#graceMs);
    const all = [this.#retryAt, this.#fill.deadline, this.#closing?.until, announced];
    const due = all.filter(at => at !== undefined);
    return due.length === 0 ? undefined : (Math.min(...due) as Instant);
  }

  tick(now: Instant): void {
    const position = this.#position;
    if (this.#retryAt !== undefined && now >= this.#retryAt) this.#request();
    if (position === undefined) return;
    if (this.#closing !== undefined && now >= this.#closing.until) this.#endRun(now);
    if (this.#announced !== undefined && now - this.#announced.at >= this.#graceMs) {
      this.#announced = undefined;
      this.#miss(this.#announcedNext - 1, true, now);
    }
    this.#lose(this.#fill.tick(position.next, now), now);
  }

  end(): void {
    this.#send({ kind: 'unsubscribe' });
    this.#keys.destroy();
    this.#early.clear();
    this.#fill.reset();
    this.#children = [];
  }
}
