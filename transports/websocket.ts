/** WebSocket for Node: `ws://host:port/path` and `wss://…`, over the ws package. One binary message is one message. */
import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createHttpsServer, type ServerOptions } from 'node:https';
import type { Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { WebSocket, WebSocketServer } from 'ws';
import { HopfairError } from '../lib/errors.js';
import type {
  Connection,
  ConnectionHandler,
  DialEvents,
  Listener,
  Transport,
  TransportLimits,
} from '../lib/transport.js';
import { formatHostPort, parseHostPort } from './address.js';
import { HIGH_WATER_BYTES, Inbox } from './inbox.js';
import { listening } from './tcp.js';
import { clientFrameHeader, serverFrameHeader } from './websocket-frame.js';

export interface WebSocketOptions {
  /** Key and certificate for `wss://` listeners. */
  readonly tls?: Pick<ServerOptions, 'key' | 'cert' | 'pfx' | 'passphrase'>;
  /** Trust for `wss://` dials, e.g. `{ ca }` of a private authority. Peers authenticate in the channel anyway. */
  readonly trust?: Pick<ConnectionOptions, 'ca' | 'rejectUnauthorized' | 'servername'>;
  /** A dial that has not connected after this fails. Default 10,000. */
  readonly dialTimeoutMs?: number;
}

const SCHEMES = ['ws', 'wss'];
/** A stranger has this long to send the HTTP upgrade. */
const UPGRADE_TIMEOUT_MS = 5_000;
/** Up to this size one copy is cheaper than a system call with several buffers. */
const JOIN_BYTES = 4_096;
const MESSAGE_TOO_BIG = 1009;
const NORMAL_CLOSURE = 1000;
const NO_STATUS = 1005;

/**
 * Receiving and closing are left to ws. Sending is not: frames are written to the socket from here, because ws joins
 * what belongs to one frame, and a record would be copied once more. All frames are whole when the write returns, so
 * those of ws (pong, close) can only come between them.
 */
class NodeWebSocketConnection implements Connection {
  readonly remoteAddress: string;
  readonly #socket: Socket;
  readonly #webSocket: WebSocket;
  readonly #header: (length: number) => Buffer;
  readonly #inbox: Inbox;
  #full = false;
  #closing = false;
  #cause: HopfairError | undefined;

  constructor(webSocket: WebSocket, socket: Socket, side: 'client' | 'server') {
    this.remoteAddress = formatHostPort(socket.remoteAddress, socket.remotePort);
    this.#socket = socket;
    this.#webSocket = webSocket;
    this.#header = side === 'client' ? clientFrameHeader : serverFrameHeader;
    this.#inbox = new Inbox({ stop: () => webSocket.pause(), start: () => webSocket.resume() }, queueMicrotask);
    webSocket.pause();
    webSocket.on('message', (data: Buffer, isBinary: boolean) => {
      if (isBinary) this.#inbox.deliver(data);
      else this.#fail(new HopfairError('DECODE_FAILED', 'a text message arrived'));
    });
    webSocket.on('error', error => this.#onError(error));
    webSocket.on('close', code => this.#onClose(code));
    socket.on('drain', () => this.#onDrain());
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  attach(handler: ConnectionHandler): void {
    this.#inbox.attach(handler);
  }

  send(parts: readonly Uint8Array[]): boolean {
    if (this.#closing || this.#webSocket.readyState !== WebSocket.OPEN) return false;
    const socket = this.#socket;
    let length = 0;
    for (let i = 0; i < parts.length; i++) length += (parts[i] as Uint8Array).length;
    const header = this.#header(length);
    if (length <= JOIN_BYTES) {
      const joined = Buffer.allocUnsafe(header.length + length);
      joined.set(header, 0);
      let at = header.length;
      for (let i = 0; i < parts.length; i++) {
        const part = parts[i] as Uint8Array;
        joined.set(part, at);
        at += part.length;
      }
      socket.write(joined);
    } else {
      socket.cork();
      socket.write(header);
      for (let i = 0; i < parts.length; i++) socket.write(parts[i] as Uint8Array);
      socket.uncork();
    }
    this.#full = socket.writableLength > HIGH_WATER_BYTES;
    return !this.#full;
  }

  pause(): void {
    this.#inbox.pause();
  }

  resume(): void {
    this.#inbox.resume();
  }

  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#inbox.mute();
    this.#webSocket.resume(); // to read the other end's close frame
    this.#webSocket.close(NORMAL_CLOSURE);
  }

  destroy(): void {
    this.#closing = true;
    this.#inbox.mute();
    this.#webSocket.terminate();
  }

  #onDrain(): void {
    if (!this.#full) return;
    this.#full = false;
    this.#inbox.drained();
  }

  #onError(error: Error & { code?: string }): void {
    const tooLarge = error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH';
    this.#cause ??= new HopfairError(tooLarge ? 'LIMIT_EXCEEDED' : 'CONNECTION_LOST', error.message, {
      cause: error,
      retryable: !tooLarge,
    });
  }

  #onClose(code: number): void {
    if (this.#closing || (this.#cause === undefined && (code === NORMAL_CLOSURE || code === NO_STATUS))) {
      this.#inbox.end(undefined);
      return;
    }
    const reason = code === MESSAGE_TOO_BIG ? 'the other end refused a message as too large' : `close code ${code}`;
    this.#inbox.end(this.#cause ?? new HopfairError('CONNECTION_LOST', reason, { retryable: true }));
  }

  #fail(cause: HopfairError): void {
    this.#cause ??= cause;
    this.#webSocket.terminate();
  }
}

/**
 * Connections over WebSocket. No compression: it would leak lengths of secrets and costs memory per connection.
 *
 * @example
 * createNode({ transports: [webSocketTransport()], listen: ['ws://0.0.0.0:7401'] })
 */
export function webSocketTransport(options: WebSocketOptions = {}): Transport {
  const { dialTimeoutMs = 10_000 } = options;

  function dial(address: string, limits: TransportLimits, events: DialEvents): () => void {
    let settled = false;
    let webSocket: WebSocket;
    try {
      parseHostPort(address, SCHEMES);
      webSocket = new WebSocket(address, {
        perMessageDeflate: false,
        maxPayload: limits.maxMessageBytes,
        handshakeTimeout: dialTimeoutMs,
        skipUTF8Validation: true,
        ...options.trust,
      });
    } catch (error) {
      const refused =
        error instanceof HopfairError
          ? error
          : new HopfairError('ADDRESS_INVALID', `cannot dial "${address}"`, { cause: error });
      queueMicrotask(() => {
        if (!settled) events.onError(refused);
      });
      return () => {
        settled = true;
      };
    }
    let socket: Socket | undefined;
    webSocket.on('upgrade', response => {
      socket = response.socket;
    });
    const onError = (cause: Error): void => {
      if (settled) return;
      settled = true;
      events.onError(new HopfairError('DIAL_FAILED', `no connection to ${address}`, { cause, retryable: true }));
    };
    webSocket.on('error', onError);
    webSocket.once('open', () => {
      if (settled || socket === undefined) return;
      settled = true;
      const connection = new NodeWebSocketConnection(webSocket, socket, 'client');
      webSocket.off('error', onError);
      events.onConnection(connection);
    });
    return () => {
      if (settled) return;
      settled = true;
      webSocket.terminate();
    };
  }

  async function listen(
    address: string,
    limits: TransportLimits,
    onConnection: (connection: Connection) => void,
  ): Promise<Listener> {
    const { host, port, url } = parseHostPort(address, SCHEMES);
    const http = createUpgradeServer(url.protocol === 'wss:' ? (options.tls ?? {}) : undefined);
    const webSockets = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      maxPayload: limits.maxMessageBytes,
      skipUTF8Validation: true,
      clientTracking: false,
    });
    http.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
      webSockets.handleUpgrade(request, socket, head, webSocket =>
        onConnection(new NodeWebSocketConnection(webSocket, socket, 'server')),
      );
    });
    const bound = await listening(http, host, port);
    const path = url.pathname === '/' ? '' : url.pathname;
    return {
      address: `${url.protocol}//${formatHostPort(host, bound)}${path}`,
      close: async () => {
        http.close(); // connections live on
        http.closeIdleConnections();
      },
    };
  }

  return { schemes: SCHEMES, dial, listen };
}

/** A server that answers everything but an upgrade with 426 and does not wait for slow strangers. */
function createUpgradeServer(tls: ServerOptions | undefined): Server {
  const settings = {
    noDelay: true,
    maxHeaderSize: 8_192,
    headersTimeout: UPGRADE_TIMEOUT_MS,
    requestTimeout: UPGRADE_TIMEOUT_MS,
    keepAliveTimeout: 1_000,
    connectionsCheckingInterval: 1_000,
  };
  const server = tls === undefined ? createHttpServer(settings) : createHttpsServer({ ...settings, ...tls });
  server.on('request', (_request, response) => response.writeHead(426, { connection: 'close' }).end());
  return server;
}
