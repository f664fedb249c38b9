/** TCP: `tcp://host:port`. Each message stands behind its length in 4 bytes, big-endian. Node only. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { HopfairError } from '../lib/errors.js';
import type { Connection, DialEvents, Listener, Transport, TransportLimits } from '../lib/transport.js';
import { formatHostPort, parseHostPort } from './address.js';
import { InboxConnection } from './connection.js';
import { FrameParser } from './frames.js';
import { HIGH_WATER_BYTES } from './inbox.js';
import { type Framing, writeMessage } from './write-message.js';

export interface TcpOptions {
  /** A dial that has not connected after this fails. Default 10,000. */
  readonly dialTimeoutMs?: number;
  /** How long `close` waits for the other end before it destroys the socket. Default 5,000. */
  readonly closeTimeoutMs?: number;
}

const SCHEMES = ['tcp'];

const LENGTH_PREFIX: Framing = {
  headerBytes: () => 4,
  writeHeader: (target, length) => target.writeUInt32BE(length, 0),
};

class TcpConnection extends InboxConnection {
  readonly #socket: Socket;
  readonly #frames: FrameParser;
  readonly #closeTimeoutMs: number;

  constructor(socket: Socket, limits: TransportLimits, closeTimeoutMs: number) {
    super(formatHostPort(socket.remoteAddress, socket.remotePort), limits, queueMicrotask);
    this.#socket = socket;
    this.#closeTimeoutMs = closeTimeoutMs;
    this.#frames = new FrameParser(
      limits.maxMessageBytes,
      frame => this.inbox.deliver(frame),
      claimed => this.refuseSize(claimed),
    );
    socket.pause();
    socket.on('data', chunk => this.#frames.push(chunk));
    socket.on('drain', () => this.onDrained());
    socket.on('end', () => {
      if (!this.#frames.idle) this.fail('CONNECTION_LOST', 'the stream ended within a message');
    });
    socket.on('error', error => this.fail('CONNECTION_LOST', error.message, error));
    socket.on('close', () => this.inbox.end(this.closing ? undefined : this.cause));
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  override limitMessages(maxBytes: number): void {
    super.limitMessages(maxBytes);
    this.#frames.maxBytes = this.maxMessageBytes;
  }

  send(parts: readonly Uint8Array[]): boolean {
    const socket = this.#socket;
    if (this.closing || socket.destroyed) return false;
    let length = 0;
    for (let i = 0; i < parts.length; i++) length += (parts[i] as Uint8Array).length;
    writeMessage(socket, LENGTH_PREFIX, parts, length);
    this.full = socket.writableLength > HIGH_WATER_BYTES;
    return !this.full;
  }

  close(): void {
    if (this.closing) return;
    this.closing = true;
    this.inbox.mute();
    if (this.#socket.destroyed) return; // no timer for what has ended: it would keep the socket for as long
    this.#socket.resume(); // to read the other end's FIN
    this.#socket.end();
    const timer = setTimeout(() => this.#socket.destroy(), this.#closeTimeoutMs);
    timer.unref();
    this.#socket.once('close', () => clearTimeout(timer));
  }

  destroy(): void {
    this.closing = true;
    this.inbox.mute();
    this.#socket.destroy();
  }

  protected startReading(): void {
    this.#socket.resume();
  }

  protected stopReading(): void {
    this.#socket.pause();
  }

  protected abort(): void {
    this.#socket.destroy();
  }
}

/**
 * Connections over TCP, with Nagle's algorithm off.
 *
 * @example
 * createNode({ transports: [tcpTransport()], listen: ['tcp://0.0.0.0:7400'] })
 */
export function tcpTransport(options: TcpOptions = {}): Transport {
  const { dialTimeoutMs = 10_000, closeTimeoutMs = 5_000 } = options;

  function dial(address: string, limits: TransportLimits, events: DialEvents): () => void {
    let settled = false;
    const fail = (error: HopfairError): void => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      events.onError(error);
    };
    let timer: NodeJS.Timeout | undefined;
    let socket: Socket;
    try {
      const { host, port } = parseHostPort(address, SCHEMES);
      socket = connect({ host, port, noDelay: true });
    } catch (error) {
      const refused =
        error instanceof HopfairError
          ? error
          : new HopfairError('ADDRESS_INVALID', `cannot dial "${address}"`, { cause: error });
      queueMicrotask(() => fail(refused));
      return () => {
        settled = true;
      };
    }
    const lost = (cause: unknown): HopfairError =>
      new HopfairError('DIAL_FAILED', `no connection to ${address}`, { cause, retryable: true });
    timer = setTimeout(() => {
      socket.destroy();
      fail(lost(undefined));
    }, dialTimeoutMs);
    timer.unref();
    socket.on('error', error => fail(lost(error)));
    socket.once('connect', () => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      socket.removeAllListeners('error');
      events.onConnection(new TcpConnection(socket, limits, closeTimeoutMs));
    });
    return () => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      socket.destroy();
    };
  }

  async function listen(
    address: string,
    limits: TransportLimits,
    onConnection: (connection: Connection) => void,
  ): Promise<Listener> {
    const { host, port } = parseHostPort(address, SCHEMES);
    const server = createServer({ noDelay: true, pauseOnConnect: true }, socket =>
      onConnection(new TcpConnection(socket, limits, closeTimeoutMs)),
    );
    const bound = await listening(server, host, port);
    return {
      address: `tcp://${formatHostPort(host, bound)}`,
      close: async () => {
        server.close(); // connections live on
      },
    };
  }

  return { schemes: SCHEMES, dial, listen };
}

/** Binds the server; resolves with the port. Rejects with LISTEN_FAILED. */
export function listening(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const refuse = (cause: Error): void =>
      reject(new HopfairError('LISTEN_FAILED', `cannot listen on ${formatHostPort(host, port)}`, { cause }));
    server.once('error', refuse);
    server.listen({ host, port }, () => {
      server.off('error', refuse);
      // An accept that fails later (out of descriptors) concerns one stranger, who may try again: the server lives on.
      server.on('error', () => undefined);
      const bound = server.address();
      resolve(typeof bound === 'object' && bound !== null ? bound.port : port);
    });
  });
}
