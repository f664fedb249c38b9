/**
 * What a transport is to the rest of hopfair: a way to get connections that carry messages of bytes, in order, between
 * two addresses. Nothing about a connection is trusted; channels make it so. Callbacks instead of promises on this path,
 * so that a simulator can run everything above it in virtual time, and nothing is allocated per message.
 *
 * No handler is ever called from within a call of attach, send, pause, resume, close, destroy or dial: what they cause
 * comes later. So a caller never finds its own state changed under its feet.
 *
 * To write a transport, implement `Transport` and run `transportConformance` (test/conformance) against it.
 */
import type { HopfairError } from './errors.js';

/** Receives what happens on a connection. Set once, synchronously, when the connection is handed over. */
export interface ConnectionHandler {
  /** One whole message. The bytes are only valid during the call unless the receiver copies them. */
  onMessage(message: Uint8Array): void;
  /** The send buffer fell below the low-water mark after `send` had returned false. */
  onDrain(): void;
  /** Called exactly once. `cause` is undefined when either side closed in the ordinary way. */
  onClose(cause: HopfairError | undefined): void;
}

export interface Connection {
  /** For logs and per-address limits, e.g. `127.0.0.1:50312`; never trusted as an identity. */
  readonly remoteAddress: string;
  /** Bytes accepted by `send` that the operating system has not taken yet. */
  readonly bufferedBytes: number;
  /** Sets the handler. Nothing that arrives before is lost. */
  attach(handler: ConnectionHandler): void;
  /**
   * Sends one message made of these parts, in order. The connection takes ownership of the bytes: they must not change
   * afterwards. Returns false when the buffer is above the high-water mark: the message was still accepted, but the
   * caller should wait for `onDrain`. After `close` or `destroy` it does nothing and returns false.
   */
  send(parts: readonly Uint8Array[]): boolean;
  /**
   * Accepts messages of at most `maxBytes` from now on, and never more than the transport was told. A channel begins
   * low and raises the limit as the other end proves itself, so that a stranger cannot pin what a peer may.
   */
  limitMessages(maxBytes: number): void;
  /** Stops and resumes `onMessage`, from this call on; and reading, which is how back-pressure reaches the other end. */
  pause(): void;
  resume(): void;
  /** Closes after everything that was sent has left. No message is delivered any more; `onClose` follows. */
  close(): void;
  /** Closes at once and drops what is buffered. No message is delivered any more; `onClose` follows. */
  destroy(): void;
}

export interface DialEvents {
  onConnection(connection: Connection): void;
  onError(error: HopfairError): void;
}

export interface Listener {
  /** The address that was bound, in the form that `dial` takes, with the real port. */
  readonly address: string;
  close(): Promise<void>;
}

export interface TransportLimits {
  /**
   * Largest message in bytes that is ever accepted from the other end; a larger one closes the connection unallocated.
   * `Connection.limitMessages` lowers it, and raises it again up to here.
   */
  readonly maxMessageBytes: number;
}

export interface Transport {
  /** Schemes of the addresses that it takes, e.g. `['ws', 'wss']`. */
  readonly schemes: readonly string[];
  /** Dials; exactly one of the two events follows unless the returned function is called first. */
  dial(address: string, limits: TransportLimits, events: DialEvents): () => void;
  /**
   * Listens; undefined where the platform cannot (browsers). A connection is handed over as soon as its socket is
   * accepted, whatever the transport itself still has to settle with the other end (an HTTP upgrade, TLS): so whoever
   * counts and times strangers sees all of them. What is sent before that is settled leaves after it.
   */
  readonly listen?: (
    address: string,
    limits: TransportLimits,
    onConnection: (connection: Connection) => void,
  ) => Promise<Listener>;
}
