/** One topic of this node: what is published on it, sealed and signed, and the tree of those who get it (point 19). */
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import {
  encodeContent,
  encodeFlush,
  encodeFlushHeader,
  encodePubSub,
  flushNonce,
  flushSigningBody,
  MAX_FLUSH_MESSAGES,
  MAX_HELPERS,
  type TopicName,
} from '../wire/index.js';
import type { PubSubContext } from './context.js';
import { FanOut } from './fan-out.js';
import { FlushStore, type MissedRange } from './flush-store.js';
import { type TopicKey, TopicKeys } from './topic-keys.js';

/** False when the queue of the peer is full, or nothing can be sent to it at all. */
export type SendTo = (to: PeerId, bytes: Uint8Array) => boolean;

export interface TopicOptions {
  readonly name: string;
  readonly epoch: number;
  readonly history: number;
  readonly fanOut: number;
  readonly rttMs: (peer: PeerId) => number | undefined;
  readonly send: SendTo;
}

/** Leaves room for the place and the seal around the messages. */
const MAX_FLUSH_BYTES = LIMITS.maxApplicationMessageBytes / 2;
export const MAX_PUBLICATION_BYTES: number = MAX_FLUSH_BYTES - 4;

export class Topic implements TopicName {
  readonly publisher: PeerId;
  readonly name: string;
  readonly epoch: number;
  readonly #context: PubSubContext;
  readonly #options: TopicOptions;
  readonly #keys: TopicKeys;
  readonly #store: FlushStore;
  readonly #tree: FanOut;
  /** Whom each subscriber was told to ask besides us. */
  readonly #helpers = new Map<PeerId, readonly PeerId[]>();
  /** Those whose queue was full: they have to be told what they missed. */
  readonly #behind = new Set<PeerId>();
  #pending: Uint8Array[] = [];
  #next = 1;
  #announced = 1;

  constructor(context: PubSubContext, options: TopicOptions) {
    this.publisher = context.self;
    this.name = options.name;
    this.epoch = options.epoch;
    this.#context = context;
    this.#options = options;
    this.#keys = new TopicKeys(context.env, context.crypto);
    this.#store = new FlushStore(options.history);
    this.#tree = new FanOut({
      degree: options.fanOut,
      rttMs: options.rttMs,
      regionOf: peer => context.membership.labels(peer).region,
    });
  }

  get subscribers(): number {
    return this.#tree.size;
  }

  has(peer: PeerId): boolean {
    return this.#tree.has(peer);
  }

  // ---------------------------------------------------------------- publishing

  /** Takes one publication; it leaves with the next flush. Returns its sequence number. */
  push(bytes: Uint8Array): number {
    this.#pending.push(bytes);
    return this.#next + this.#pending.length - 1;
  }

  /** Seals, signs and sends what was published in this turn. */
  flush(): void {
    const pending = this.#pending;
    if (pending.length === 0) return;
    this.#pending = [];
    for (let from = 0; from < pending.length; ) {
      let to = from;
      let bytes = 0;
      while (to < pending.length && to - from < MAX_FLUSH_MESSAGES) {
        bytes += (pending[to] as Uint8Array).length + 4;
        if (to > from && bytes > MAX_FLUSH_BYTES) break;
        to += 1;
      }
      this.#flush(from === 0 && to === pending.length ? pending : pending.slice(from, to));
      from = to;
    }
  }

  #flush(messages: readonly Uint8Array[]): void {
    const { key, isNew } = this.#keys.current();
    if (isNew) for (const peer of this.#tree.peers) this.#sendKey(peer, key);
    const place = { ...this.#topicName, epoch: this.epoch, first: this.#next, count: messages.length, keyId: key.id };
    const header = encodeFlushHeader(place);
    const sealed = key.key.seal(flushNonce(place.first), header, encodeContent(messages));
    const { crypto, identity } = this.#context;
    const hash = crypto.hash('SHA256').digest(sealed);
    const encoded = encodeFlush(
      header,
      identity.sign('publication', this.epoch, flushSigningBody(header, hash)),
      sealed,
    );
    this.#next += messages.length;
    key.flushes += 1;
    key.bytes += sealed.length;
    key.lastSequence = this.#next - 1;
    this.#store.add({ epoch: this.epoch, first: place.first, count: place.count, encoded });
    this.#store.dropBefore(this.#keys.dropBefore(this.#store.oldest ?? this.#next));
    for (const peer of this.#tree.direct) if (!this.#options.send(peer, encoded)) this.#behind.add(peer);
  }

  get #topicName(): TopicName {
    return { publisher: this.publisher, name: this.name };
  }

  // ---------------------------------------------------------------- subscribers

  /** Lets the peer have the topic, from this sequence number of the present run or from now on; may be called again. */
  admit(peer: PeerId, sequence: number | undefined): void {
    for (const key of this.#keys.since(sequence ?? this.#next)) this.#sendKey(peer, key);
    const isNew = !this.#tree.has(peer);
    if (isNew) this.#tree.add(peer, this.#context.env.clock.now());
    this.#tellChanges(isNew ? undefined : peer);
    // A node that lost its run knows nothing of what it passed on.
    const children = this.#tree.childrenOf(peer);
    if (!isNew && children.length > 0) this.#tellChildren(peer);
  }

  remove(peer: PeerId, cause: 'left' | 'removed'): boolean {
    if (!this.#tree.has(peer)) return false;
    this.#tree.remove(peer, this.#context.env.clock.now());
    this.#behind.delete(peer);
    this.#helpers.delete(peer);
    this.#keys.expire(cause);
    this.#tellChanges(undefined);
    return true;
  }

  /** What it missed because its forwarder did not pass it on also says something of the forwarder. */
  complain(peer: PeerId): void {
    this.#tree.complain(peer, this.#context.env.clock.now());
    this.#tellChanges(undefined);
  }

  fill(missed: MissedRange, send: (bytes: Uint8Array) => boolean): void {
    const to = missed.epoch === this.epoch ? Math.min(missed.to, this.#next - 1) : missed.to;
    if (missed.from <= to) this.#store.serve(this.#topicName, { ...missed, to }, send);
  }

  #sendKey(peer: PeerId, { id, aead, secret }: TopicKey): void {
    const message = { kind: 'key', ...this.#topicName, epoch: this.epoch, id, aead, key: secret } as const;
    if (!this.#options.send(peer, encodePubSub(message))) this.#behind.add(peer);
  }

  /** Tells forwarders whom they serve, and subscribers who serves them and who helps. */
  #tellChanges(asked: PeerId | undefined): void {
    const { parents, moved } = this.#tree.takeChanges();
    for (const parent of parents) this.#tellChildren(parent);
    const told = new Set(moved);
    if (asked !== undefined) told.add(asked);
    for (const [peer, helpers] of this.#helpers) {
      const isShort = helpers.length < Math.min(MAX_HELPERS, this.#tree.size - 1);
      if (isShort || helpers.some(helper => !this.#tree.has(helper))) told.add(peer);
    }
    for (const peer of told) {
      const helpers = this.#chooseHelpers(peer);
      this.#helpers.set(peer, helpers);
      const parent = this.#tree.parentOf(peer);
      const place = { epoch: this.epoch, next: this.#next, parent, helpers };
      const message = { kind: 'subscribed', ...this.#topicName, ...place } as const;
      if (!this.#options.send(peer, encodePubSub(message))) this.#behind.add(peer);
    }
  }

  #tellChildren(parent: PeerId): void {
    const children = this.#tree.childrenOf(parent);
    const message = { kind: 'forward', ...this.#topicName, children } as const;
    if (!this.#options.send(parent, encodePubSub(message))) this.#behind.add(parent);
  }

  /** Others who hold what was published, should it be missed: those nearest to us, since they have it first. */
  #chooseHelpers(peer: PeerId): readonly PeerId[] {
    const helpers: PeerId[] = [];
    const parent = this.#tree.parentOf(peer);
    for (const others of [this.#tree.direct, this.#tree.peers]) {
      for (const other of others) {
        if (helpers.length === MAX_HELPERS) return helpers;
        if (other !== peer && other !== parent && !helpers.includes(other)) helpers.push(other);
      }
    }
    return helpers;
  }

  // ---------------------------------------------------------------- announcements

  /** Whether somebody depends on others, or missed something, and was not told yet how far the topic is. */
  get hasNews(): boolean {
    return this.#behind.size > 0 || (this.#announced < this.#next && this.#tree.size > this.#tree.direct.size);
  }

  /** Tells those whom we do not send to ourselves how far the topic is. Returns how many were told. */
  announce(): number {
    const { epoch } = this;
    const bytes = encodePubSub({ kind: 'announce', ...this.#topicName, epoch, next: this.#next });
    this.#announced = this.#next;
    const behind = [...this.#behind];
    this.#behind.clear();
    let told = behind.length;
    for (const peer of behind) if (!this.#options.send(peer, bytes)) this.#behind.add(peer);
    if (this.#tree.size === this.#tree.direct.size) return told;
    for (const peer of this.#tree.peers) {
      if (this.#tree.direct.has(peer) || behind.includes(peer)) continue;
      told += 1;
      if (!this.#options.send(peer, bytes)) this.#behind.add(peer);
    }
    return told;
  }

  close(): void {
    this.#keys.destroy();
  }
}
