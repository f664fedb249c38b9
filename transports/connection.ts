/** What the connections of all transports share: the handler's side, the limit on messages, and how they end. */
import { HopfairError } from '../lib/errors.js';
import type { Connection, ConnectionHandler, TransportLimits } from '../lib/transport.js';
import { Inbox } from './inbox.js';

/** A subclass moves the bytes: it sends, starts and stops reading, and tells the inbox what arrived and when it ended. */
export abstract class InboxConnection implements Connection {
  readonly remoteAddress: string;
  /** `limitMessages` raises the limit up to here. */
  protected readonly highestLimitBytes: number;
  protected readonly inbox: Inbox;
  protected maxMessageBytes: number;
  /** `close` or `destroy` was called. */
  protected closing = false;
  /** `send` answered false and `onDrain` is due. */
  protected full = false;
  /** Why the connection ends; the first cause stands. */
  protected cause: HopfairError | undefined;

  /** `later` runs a function after the present call, without delay. */
  protected constructor(remoteAddress: string, limits: TransportLimits, later: (fn: () => void) => void) {
    this.remoteAddress = remoteAddress;
    this.highestLimitBytes = limits.maxMessageBytes;
    this.maxMessageBytes = limits.maxMessageBytes;
    this.inbox = new Inbox({ stop: () => this.stopReading(), start: () => this.startReading() }, later);
  }

  abstract get bufferedBytes(): number;
  abstract send(parts: readonly Uint8Array[]): boolean;
  abstract close(): void;
  abstract destroy(): void;

  protected abstract startReading(): void;
  protected abstract stopReading(): void;
  /** Drops the connection at once, without muting the inbox: what was held is still delivered before `onClose`. */
  protected abstract abort(): void;

  limitMessages(maxBytes: number): void {
    this.maxMessageBytes = Math.min(maxBytes, this.highestLimitBytes);
  }

  attach(handler: ConnectionHandler): void {
    this.inbox.attach(handler);
  }

  pause(): void {
    this.inbox.pause();
  }

  resume(): void {
    this.inbox.resume();
  }

  protected onDrained(): void {
    if (!this.full) return;
    this.full = false;
    this.inbox.drained();
  }

  protected fail(code: 'LIMIT_EXCEEDED' | 'CONNECTION_LOST' | 'DECODE_FAILED', message: string, cause?: Error): void {
    this.cause ??= new HopfairError(code, message, { cause, retryable: code === 'CONNECTION_LOST' });
    this.inbox.shut();
    this.abort();
  }

  protected refuseSize(bytes: number): void {
    this.fail('LIMIT_EXCEEDED', `a message of ${bytes} bytes`);
  }
}
