/** Publish/subscribe between publisher and subscriber, inside their session (overlay.md point 19). */
import { Reader, Writer } from '../bytes.js';
import { HopfairError } from '../errors.js';
import { LIMITS } from '../limits.js';

/** Consecutive publications under one signature. */
export interface Flush {
  readonly name: string;
  /** Of the present run of the publisher. */
  readonly epoch: number;
  /** Sequence number of the first message, from 1. */
  readonly first: number;
  readonly messages: readonly Uint8Array[];
  readonly signature: Uint8Array;
}

export type PubSubMessage =
  /** `from` undefined: whatever comes next. */
  | {
      readonly kind: 'subscribe';
      readonly name: string;
      readonly from: { readonly epoch: number; readonly sequence: number } | undefined;
    }
  | { readonly kind: 'unsubscribe'; readonly name: string }
  /** The answer to `subscribe`: where the topic stands. */
  | { readonly kind: 'subscribed'; readonly name: string; readonly epoch: number; readonly next: number }
  | ({ readonly kind: 'flush' } & Flush)
  /** Asks for what did not arrive, both ends included. */
  | {
      readonly kind: 'fill';
      readonly name: string;
      readonly epoch: number;
      readonly from: number;
      readonly to: number;
    }
  /** Of what was asked for, this is held no more. */
  | {
      readonly kind: 'unavailable';
      readonly name: string;
      readonly epoch: number;
      readonly from: number;
      readonly to: number;
    };

const KINDS = ['subscribe', 'unsubscribe', 'subscribed', 'flush', 'fill', 'unavailable'] as const;
export const MAX_TOPIC_NAME_BYTES: number = LIMITS.maxTopicNameBytes;
export const MAX_FLUSH_MESSAGES = 1_024;
const SIGNATURE_BYTES = 64;

export function encodePubSub(message: PubSubMessage): Uint8Array {
  const writer = new Writer(256).u8(KINDS.indexOf(message.kind)).text(message.name);
  switch (message.kind) {
    case 'subscribe':
      writer.u8(message.from === undefined ? 0 : 1);
      if (message.from !== undefined) writer.u64(message.from.epoch).u64(message.from.sequence);
      break;
    case 'unsubscribe':
      break;
    case 'subscribed':
      writer.u64(message.epoch).u64(message.next);
      break;
    case 'flush':
      writer.u64(message.epoch).u64(message.first).raw(message.signature).u16(message.messages.length);
      for (const bytes of message.messages) writer.bytes32(bytes);
      break;
    case 'fill':
    case 'unavailable':
      writer.u64(message.epoch).u64(message.from).u64(message.to);
      break;
  }
  return writer.finish();
}

/** Throws DECODE_FAILED. The messages of a flush are views of `bytes`. */
export function decodePubSub(bytes: Uint8Array): PubSubMessage {
  const reader = new Reader(bytes);
  const kind = KINDS[reader.u8()];
  const name = reader.text(MAX_TOPIC_NAME_BYTES);
  if (kind === undefined) throw new HopfairError('DECODE_FAILED', 'unknown kind of publish/subscribe message');
  const message = decodeBody(kind, name, reader);
  reader.end();
  return message;
}

function decodeBody(kind: (typeof KINDS)[number], name: string, reader: Reader): PubSubMessage {
  switch (kind) {
    case 'subscribe': {
      const from = reader.u8() === 0 ? undefined : { epoch: reader.u64(), sequence: reader.u64() };
      return { kind, name, from };
    }
    case 'unsubscribe':
      return { kind, name };
    case 'subscribed':
      return { kind, name, epoch: reader.u64(), next: reader.u64() };
    case 'flush': {
      const epoch = reader.u64();
      const first = reader.u64();
      const signature = reader.raw(SIGNATURE_BYTES);
      const count = reader.count16(MAX_FLUSH_MESSAGES);
      const messages: Uint8Array[] = [];
      for (let i = 0; i < count; i++) messages.push(reader.bytes32(LIMITS.maxApplicationMessageBytes));
      return { kind, name, epoch, first, messages, signature };
    }
    case 'fill':
    case 'unavailable': {
      const range = { epoch: reader.u64(), from: reader.u64(), to: reader.u64() };
      if (range.from > range.to) throw new HopfairError('DECODE_FAILED', 'an empty range');
      return { kind, name, ...range };
    }
  }
}

/** What the publisher signs: the place of the flush and the hash of each message. */
export function flushSigningBody(
  { name, first, messages }: Pick<Flush, 'name' | 'first' | 'messages'>,
  sha256: (bytes: Uint8Array) => Uint8Array,
): Uint8Array {
  const writer = new Writer(64 + 32 * messages.length).text(name).u64(first).u16(messages.length);
  for (const message of messages) writer.raw(sha256(message));
  return writer.finish();
}
