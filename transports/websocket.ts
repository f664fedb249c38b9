/** WebSocket for Node: `ws://host:port/path` and `wss://…`, over the ws package. One binary message is one message. */
import type { ServerOptions } from 'node:https';
import type { Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { WebSocket, WebSocketServer } from 'ws';
import { HopfairError } from '../lib/errors.js';
import type { Connection, DialEvents, Listener, Transport, TransportLimits } from '../lib/transport.js';
import { formatHostPort, parseHostPort } from './address.js';
import { InboxConnection } from './connection.js';
import { TrustedProxies } from './forwarded.js';
import { HIGH_WATER_BYTES } from './inbox.js';
import { listening } from './tcp.js';
import { createUpgradeServer } from './upgrade-server.js';
import { CLIENT_FRAMES, SERVER_FRAMES } from './websocket-frame.js';
import { writeMessage } from './write-message.js';

export interface WebSocketOptions {
  /** Key and certificate for `wss://` listeners. */
  readonly tls?: Pick<ServerOptions, 'key' | 'cert' | 'pfx' | 'passphrase'>;
  /** Trust for `wss://` dials, e.g. `{ ca }` of a private authority. Peers authenticate in the channel anyway. */
  readonly trust?: Pick<ConnectionOptions, 'ca' | 'rejectUnauthorized' | 'servername'>;
  /** A dial that has not connected after this fails. Default 10,000. */
  readonly dialTimeoutMs?: number;
  /**
   * Listeners: addresses and prefixes of reverse proxies, e.g. `['10.0.0.7', 'fd00::/8']`, whose `X-Forwarded-For` is
   * believed when strangers are counted. Default: none. A proxy is expected to have the whole upgrade before it
   * connects: its sockets are handed over, and counted, after the upgrade.
   */
  readonly proxies?: readonly string[];
}

const SCHEMES = ['ws', 'wss'];
/**
 * What ws may keep besides the bytes of one message: it holds an object for every fragment and for every chunk read. And
 * how long it waits for the other end's close frame.
 */
const RECEIVER_LIMITS = { maxFragments: 64, maxBufferedChunks: 256, maxPendingAutoPongs: 16, closeTimeout: 5_000 };
/** Headers of frames and pings on top of the bytes of a message, while these are counted. */
const MAX_FRAMING_BYTES = 1_024;
const TOO_LARGE = new Set([
  'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH',
  'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH',
  'WS_ERR_TOO_MANY_BUFFERED_PARTS',
]);
const MESSAGE_TOO_BIG = 1009;
const NORMAL_CLOSURE = 1000;
const NO_STATUS = 1005;

/**
 * Receiving and closing are left to ws. Sending is not: frames are written to the socket from here, because ws joins
 * what belongs to one frame, and a record would be copied once more. All frames are whole when the write returns, so
 * those of ws (pong, close) can only come between them.
 */
class NodeWebSocketConnection extends InboxConnection {
  #socket: Socket;
  /** Undefined until the HTTP upgrade is done. */
  #webSocket: WebSocket | undefined;
  #framing = SERVER_FRAMES;
  #isReading = false;
  #early: (readonly Uint8Array[])[] = [];
  /** Bytes that arrived and were no part of a whole message, while they are counted. */
  #unfinishedBytes = 0;
  #isCounting = false;

  constructor(socket: Socket, remoteAddress: string, limits: TransportLimits) {
    super(remoteAddress, limits, queueMicrotask);
    this.#socket = socket;
    socket.on('error', error => this.fail('CONNECTION_LOST', error.message, error));
    socket.on('close', () => {
      if (this.#webSocket === undefined) this.inbox.end(this.closing ? undefined : this.cause);
    });
  }

  /** The upgrade is done. `socket` is that of TLS, where there is TLS. */
  open(webSocket: WebSocket, socket: Socket, side: 'client' | 'server'): void {
    this.#webSocket = webSocket;
    this.#socket = socket;
    this.#framing = side === 'client' ? CLIENT_FRAMES : SERVER_FRAMES;
    webSocket.on('message', (data: Buffer, isBinary: boolean) => this.#onMessage(data, isBinary));
    webSocket.on('error', error => this.#onError(error));
    webSocket.on('close', code => this.#onClose(code));
    socket.on('drain', () => this.onDrained());
    this.#isCounting = false;
    this.limitMessages(this.maxMessageBytes);
    if (!this.#isReading) webSocket.pause();
    const early = this.#early;
    this.#early = [];
    for (const parts of early) this.send(parts);
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  /**
   * The limit of ws is for good, so a lower one is kept here: what arrives besides whole messages, be it part of one,
   * empty fragments or pings, may not exceed it. Nothing is counted once the limit is that of ws.
   */
  override limitMessages(maxBytes: number): void {
    super.limitMessages(maxBytes);
    const counts = this.#webSocket !== undefined && this.maxMessageBytes < this.highestLimitBytes;
    if (counts === this.#isCounting) return;
    this.#isCounting = counts;
    if (counts)
      this.#socket.on('data', this.#count); // after ws, which has taken from the chunk what it could
    else this.#socket.off('data', this.#count);
  }

  send(parts: readonly Uint8Array[]): boolean {
    if (this.closing || this.#webSocket?.readyState !== WebSocket.OPEN) return this.#hold(parts);
    const socket = this.#socket;
    let length = 0;
    for (let i = 0; i < parts.length; i++) length += (parts[i] as Uint8Array).length;
    writeMessage(socket, this.#framing, parts, length);
    this.full = socket.writableLength > HIGH_WATER_BYTES;
    return !this.full;
  }

  close(): void {
    if (this.closing) return;
    if (this.#webSocket === undefined) {
      this.destroy();
      return;
    }
    this.closing = true;
    this.inbox.mute();
    this.#webSocket.resume(); // to read the other end's close frame
    this.#webSocket.close(NORMAL_CLOSURE);
    // Who has not proved anything is not waited for: the close frame leaves, and the end of the stream with it.
    if (this.#isCounting) this.#socket.end();
  }

  destroy(): void {
    this.closing = true;
    this.inbox.mute();
    this.abort();
  }

  protected startReading(): void {
    this.#isReading = true;
    this.#webSocket?.resume();
  }

  protected stopReading(): void {
    this.#isReading = false;
    this.#webSocket?.pause();
  }

  protected abort(): void {
    if (this.#webSocket === undefined) this.#socket.destroy();
    else this.#webSocket.terminate();
  }

  #hold(parts: readonly Uint8Array[]): boolean {
    if (this.closing || this.#webSocket !== undefined) return false;
    this.#early.push(parts);
    return true;
  }

  #onMessage(data: Buffer, isBinary: boolean): void {
    if (this.#isCounting) this.#unfinishedBytes -= data.length;
    if (!isBinary) this.fail('DECODE_FAILED', 'a text message arrived');
    else if (data.length > this.maxMessageBytes) this.refuseSize(data.length);
    else this.inbox.deliver(data);
  }

  readonly #count = (chunk: Buffer): void => {
    this.#unfinishedBytes += chunk.length;
    if (this.#unfinishedBytes > this.maxMessageBytes + MAX_FRAMING_BYTES) this.refuseSize(this.#unfinishedBytes);
  };

  #onError(error: Error & { code?: string }): void {
    const tooLarge = TOO_LARGE.has(error.code ?? '');
    this.cause ??= new HopfairError(tooLarge ? 'LIMIT_EXCEEDED' : 'CONNECTION_LOST', error.message, {
      cause: error,
      retryable: !tooLarge,
    });
    // ws has written a close frame and would wait for the answer of an end that broke the protocol.
    this.#socket.destroySoon();
  }

  #onClose(code: number): void {
    if (this.closing || (this.cause === undefined && (code === NORMAL_CLOSURE || code === NO_STATUS))) {
      this.inbox.end(undefined);
      return;
    }
    const reason = code === MESSAGE_TOO_BIG ? 'the other end refused a message as too large' : `close code ${code}`;
    this.inbox.end(this.cause ?? new HopfairError('CONNECTION_LOST', reason, { retryable: true }));
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
  const proxies = new TrustedProxies(options.proxies ?? []);

  function dial(address: string, limits: TransportLimits, events: DialEvents): () => void {
    let settled = false;
    let webSocket: WebSocket;
    try {
      parseHostPort(address, SCHEMES);
      webSocket = new WebSocket(address, {
        perMessageDeflate: false,
        maxPayload: limits.maxMessageBytes,
        ...RECEIVER_LIMITS,
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
      const connection = new NodeWebSocketConnection(socket, remoteOf(socket), limits);
      connection.open(webSocket, socket, 'client');
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
    const webSockets = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      maxPayload: limits.maxMessageBytes,
      ...RECEIVER_LIMITS,
      skipUTF8Validation: true,
      clientTracking: false,
    });
    const server = createUpgradeServer(url.protocol === 'wss:' ? (options.tls ?? {}) : undefined, raw => {
      const isProxy = proxies.has(raw.remoteAddress);
      const direct = isProxy ? undefined : new NodeWebSocketConnection(raw, remoteOf(raw), limits);
      if (direct !== undefined) onConnection(direct);
      return ({ request, socket, head }) =>
        webSockets.handleUpgrade(request, socket, head, webSocket => {
          const client = proxies.client(request.headers['x-forwarded-for']);
          const connection = direct ?? new NodeWebSocketConnection(raw, client ?? remoteOf(raw), limits);
          connection.open(webSocket, socket, 'server');
          if (direct === undefined) onConnection(connection);
        });
    });
    const bound = await listening(server, host, port);
    const path = url.pathname === '/' ? '' : url.pathname;
    return {
      address: `${url.protocol}//${formatHostPort(host, bound)}${path}`,
      close: async () => {
        server.close(); // connections live on
      },
    };
  }

  return { schemes: SCHEMES, dial, listen };
}

const remoteOf = (socket: Socket): string => formatHostPort(socket.remoteAddress, socket.remotePort);
