/** A listener that sees every socket before HTTP does, and hands on what was upgraded to a WebSocket. */
import { createServer as createHttpServer, type Server as HttpServer, type IncomingMessage } from 'node:http';
import { createServer as createHttpsServer, type ServerOptions } from 'node:https';
import { createServer, type Server, type Socket } from 'node:net';
import { formatHostPort } from './address.js';

/** A socket has this long, TLS included, until its HTTP upgrade is whole; the gate of channels gives strangers less. */
const UPGRADE_TIMEOUT_MS = 5_000;
/** All headers of the upgrade: browsers send cookies of the page's origin along. */
const MAX_HEADER_BYTES = 8_192;

export interface Upgrade {
  readonly request: IncomingMessage;
  /** The socket that WebSocket frames pass on: of TLS, where there is TLS. */
  readonly socket: Socket;
  readonly head: Buffer;
}

/**
 * The server to listen with. `onAccept` is called for each accepted socket, before anything is read or spent on it: it
 * may destroy the socket, and what it returns is called once the upgrade came. Everything but an upgrade gets 426.
 */
export function createUpgradeServer(
  tls: ServerOptions | undefined,
  onAccept: (socket: Socket) => (upgrade: Upgrade) => void,
): Server {
  // Sockets are fed to the HTTP server one by one, so those that are turned away cost neither parser nor TLS.
  const settings = { maxHeaderSize: MAX_HEADER_BYTES, keepAliveTimeout: 1_000 };
  const http: HttpServer = tls === undefined ? createHttpServer(settings) : createHttpsServer({ ...settings, ...tls });
  /** By the address of the other end, which the socket and the TLS on top of it have in common. */
  const waiting = new Map<string, (upgrade: Upgrade) => void>();

  http.on('request', (_request, response) => response.writeHead(426, { connection: 'close' }).end());
  http.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    const onUpgrade = waiting.get(formatHostPort(socket.remoteAddress, socket.remotePort));
    if (onUpgrade === undefined) socket.destroy();
    else onUpgrade({ request, socket, head });
  });

  return createServer({ noDelay: true }, socket => {
    const address = formatHostPort(socket.remoteAddress, socket.remotePort);
    const onUpgrade = onAccept(socket);
    if (socket.destroyed) return;
    const timer = setTimeout(() => socket.destroy(), UPGRADE_TIMEOUT_MS);
    timer.unref();
    const settle = (): void => {
      clearTimeout(timer);
      waiting.delete(address);
    };
    waiting.set(address, upgrade => {
      settle();
      onUpgrade(upgrade);
    });
    socket.once('close', settle);
    http.emit('connection', socket);
  });
}
