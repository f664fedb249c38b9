/**
 * Publish/subscribe inside sessions: between publisher and subscriber, and among those who forward to one another or fill
 * each other's gaps (overlay.md point 19). Every message names its topic in full, since not only its publisher sends it.
 */
import { Reader, Writer } from '../bytes.js';
import type { AeadName } from '../crypto/interface.js';
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import { readPeer, writePeer } from './peer.js';

export interface TopicName {
  readonly publisher: PeerId;
  readonly name: string;
}

/** The place of consecutive publications that are sealed and signed together. */
export interface FlushPlace extends TopicName {
  /** Of the run of the publisher. */
  readonly epoch: number;
  /** Sequence number of the first publication, from 1. */
  readonly first: number;
  readonly count: number;
  /** The topic key that seals the content; ids of one run ascend from 1. */
  readonly keyId: number;
}

export interface Flush extends FlushPlace {
  readonly signature: Uint8Array;
  /** The place as it travels: what the seal and the signature cover besides the content. */
  readonly header: Uint8Array;
  /** The content, sealed with the topic key. */
  readonly sealed: Uint8Array;
  /** The whole message: what is kept and passed on as it is. */
  readonly encoded: Uint8Array;
}

export const REFUSALS = ['not-admitted', 'removed', 'limit'] as const;
export type SubscriptionRefusal = (typeof REFUSALS)[number];

interface FlushRange {
  readonly epoch: number;
  /** Both ends included. */
  readonly from: number;
  readonly to: number;
}

export type PubSubMessage = TopicName &
  (
    | {
        readonly kind: 'subscribe';
        /** Undefined: whatever comes next. */
        readonly from: { readonly epoch: number; readonly sequence: number } | undefined;
      }
    | { readonly kind: 'unsubscribe' }
    /** Where the topic stands, from whom its flushes will come, and who else may hold what is missed. */
    | {
        readonly kind: 'subscribed';
        readonly epoch: number;
        readonly next: number;
        /** Undefined: the publisher itself. */
        readonly parent: PeerId | undefined;
        readonly helpers: readonly PeerId[];
      }
    | ({ readonly kind: 'flush' } & Flush)
    /** Asks for what did not arrive. `late`: whoever should have passed it on did not. */
    | ({ readonly kind: 'fill'; readonly late: boolean } & FlushRange)
    /** Of what was asked for, this is not held here. */
    | ({ readonly kind: 'unavailable' } & FlushRange)
    | {
        readonly kind: 'key';
        readonly epoch: number;
        readonly id: number;
        readonly aead: AeadName;
        readonly key: Uint8Array;
      }
    | { readonly kind: 'refused'; readonly reason: SubscriptionRefusal }
    /** What was published up to here should have arrived, or be about to. */
    | { readonly kind: 'announce'; readonly epoch: number; readonly next: number }
    /** To whom the receiver passes flushes on from now on: all of them, whoever is not named is dropped. */
    | { readonly kind: 'forward'; readonly children: readonly PeerId[] }
  );

const KINDS = [
  'subscribe',
  'unsubscribe',
  'subscribed',
  'flush',
  'fill',
  'unavailable',
  'key',
  'refused',
  'announce',
  'forward',
] as const;
const FLUSH = KINDS.indexOf('flush');
const AEADS: readonly AeadName[] = ['ChaChaPoly', 'AESGCM'];
export const MAX_TOPIC_NAME_BYTES: number = LIMITS.maxTopicNameBytes;
export const MAX_FLUSH_MESSAGES = 1_024;
export const MAX_HELPERS = 4;
export const TOPIC_KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;

export function encodePubSub(message: Exclude<PubSubMessage, { kind: 'flush' }>): Uint8Array {
  const writer = writeTopic(new Writer(128).u8(KINDS.indexOf(message.kind)), message);
  switch (message.kind) {
    case 'subscribe':
      writer.u8(message.from === undefined ? 0 : 1);
      if (message.from !== undefined) writer.u64(message.from.epoch).u64(message.from.sequence);
      break;
    case 'unsubscribe':
      break;
    case 'subscribed':
      writer.u64(message.epoch).u64(message.next);
      writePeers(writer, message.parent === undefined ? [] : [message.parent]);
      writePeers(writer, message.helpers);
      break;
    case 'fill':
      writer
        .u8(message.late ? 1 : 0)
        .u64(message.epoch)
        .u64(message.from)
        .u64(message.to);
      break;
    case 'unavailable':
      writer.u64(message.epoch).u64(message.from).u64(message.to);
      break;
    case 'key':
      writer.u64(message.epoch).u32(message.id).u8(AEADS.indexOf(message.aead)).raw(message.key);
      break;
    case 'refused':
      writer.u8(REFUSALS.indexOf(message.reason));
      break;
    case 'announce':
      writer.u64(message.epoch).u64(message.next);
      break;
    case 'forward':
      writePeers(writer, message.children);
      break;
  }
  return writer.finish();
}

/** Throws DECODE_FAILED. What holds bytes are views of `bytes`. */
export function decodePubSub(bytes: Uint8Array): PubSubMessage {
  const reader = new Reader(bytes);
  const kind = KINDS[reader.u8()];
  if (kind === undefined) throw new HopfairError('DECODE_FAILED', 'unknown kind of publish/subscribe message');
  const topic = { publisher: readPeer(reader), name: reader.text(MAX_TOPIC_NAME_BYTES) };
  const message: PubSubMessage =
    kind === 'flush' ? decodeFlush(topic, bytes, reader) : { ...topic, ...decodeBody(kind, reader) };
  reader.end();
  return message;
}

type WithoutTopic<T> = T extends unknown ? Omit<T, keyof TopicName> : never;
type Body = WithoutTopic<Exclude<PubSubMessage, { kind: 'flush' }>>;

function decodeBody(kind: Body['kind'], reader: Reader): Body {
  switch (kind) {
    case 'subscribe':
      return { kind, from: readFlag(reader) ? { epoch: reader.u64(), sequence: reader.u64() } : undefined };
    case 'unsubscribe':
      return { kind };
    case 'subscribed': {
      const [epoch, next] = [reader.u64(), reader.u64()];
      return { kind, epoch, next, parent: readPeers(reader, 1)[0], helpers: readPeers(reader, MAX_HELPERS) };
    }
    case 'fill':
      return { kind, late: readFlag(reader), ...readRange(reader) };
    case 'unavailable':
      return { kind, ...readRange(reader) };
    case 'key': {
      const [epoch, id, aead] = [reader.u64(), reader.u32(), AEADS[reader.u8()]];
      if (aead === undefined) throw new HopfairError('DECODE_FAILED', 'unknown cipher of a topic key');
      return { kind, epoch, id, aead, key: reader.raw(TOPIC_KEY_BYTES) };
    }
    case 'refused': {
      const reason = REFUSALS[reader.u8()];
      if (reason === undefined) throw new HopfairError('DECODE_FAILED', 'unknown reason of a refusal');
      return { kind, reason };
    }
    case 'announce':
      return { kind, epoch: reader.u64(), next: reader.u64() };
    case 'forward':
      return { kind, children: readPeers(reader, LIMITS.maxPublicationFanOut) };
  }
}

function writeTopic(writer: Writer, { publisher, name }: TopicName): Writer {
  return writePeer(writer, publisher).text(name);
}

function writePeers(writer: Writer, peers: readonly PeerId[]): void {
  writer.u8(peers.length);
  for (const peer of peers) writePeer(writer, peer);
}

function readPeers(reader: Reader, max: number): PeerId[] {
  const count = reader.u8();
  if (count > max) throw new HopfairError('DECODE_FAILED', `${count} peers where ${max} are allowed`);
  return Array.from({ length: count }, () => readPeer(reader));
}

function readFlag(reader: Reader): boolean {
  const flag = reader.u8();
  if (flag > 1) throw new HopfairError('DECODE_FAILED', 'a flag is 0 or 1');
  return flag === 1;
}

function readRange(reader: Reader): FlushRange {
  const range = { epoch: reader.u64(), from: reader.u64(), to: reader.u64() };
  if (range.from > range.to) throw new HopfairError('DECODE_FAILED', 'an empty range');
  return range;
}

// ---------------------------------------------------------------- flushes

/** What the seal authenticates and the signature begins with. */
export function encodeFlushHeader(place: FlushPlace): Uint8Array {
  return writeTopic(new Writer(96), place).u64(place.epoch).u64(place.first).u32(place.keyId).u16(place.count).finish();
}

export function encodeFlush(header: Uint8Array, signature: Uint8Array, sealed: Uint8Array): Uint8Array {
  const encoded = new Uint8Array(1 + header.length + SIGNATURE_BYTES + 4 + sealed.length);
  encoded[0] = FLUSH;
  encoded.set(header, 1);
  encoded.set(signature, 1 + header.length);
  const at = 1 + header.length + SIGNATURE_BYTES;
  new DataView(encoded.buffer).setUint32(at, sealed.length);
  encoded.set(sealed, at + 4);
  return encoded;
}

function decodeFlush(topic: TopicName, encoded: Uint8Array, reader: Reader): PubSubMessage {
  const [epoch, first, keyId] = [reader.u64(), reader.u64(), reader.u32()];
  const count = reader.count16(MAX_FLUSH_MESSAGES);
  if (count === 0 || first === 0 || !Number.isSafeInteger(first + count)) {
    throw new HopfairError('DECODE_FAILED', 'a flush of nothing, or of numbers that there are not');
  }
  const header = encoded.subarray(1, encoded.length - reader.remaining);
  const signature = reader.raw(SIGNATURE_BYTES);
  const sealed = reader.bytes32(LIMITS.maxApplicationMessageBytes);
  return { kind: 'flush', ...topic, epoch, first, count, keyId, signature, header, sealed, encoded };
}

/** What the publisher signs: the place, and the hash of the sealed content, whoever may read it. */
export function flushSigningBody(header: Uint8Array, hashOfSealed: Uint8Array): Uint8Array {
  return new Writer(header.length + hashOfSealed.length).raw(header).raw(hashOfSealed).finish();
}

/** The nonce of the seal: a topic key is used by one run for one topic, where no flush begins with the number of another. */
export function flushNonce(first: number): Uint8Array {
  return new Writer(12).u32(0).u64(first).finish();
}

/** The content of a flush before it is sealed: each publication behind its length. */
export function encodeContent(messages: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const message of messages) length += 4 + message.length;
  const content = new Uint8Array(length);
  const view = new DataView(content.buffer);
  let at = 0;
  for (const message of messages) {
    view.setUint32(at, message.length);
    content.set(message, at + 4);
    at += 4 + message.length;
  }
  return content;
}

/** Views of `content`. Throws DECODE_FAILED unless it is exactly `count` publications. */
export function decodeContent(content: Uint8Array, count: number): Uint8Array[] {
  const reader = new Reader(content);
  const messages: Uint8Array[] = [];
  for (let i = 0; i < count; i++) messages.push(reader.bytes32(LIMITS.maxApplicationMessageBytes));
  reader.end();
  return messages;
}
