/** The view with a small HTTP server of its own. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { HopfairError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { refusal, type ViewedNode } from './answers.js';
import { type NodeViewOptions, nodeView } from './handler.js';

export interface ServeNodeViewOptions extends NodeViewOptions {
  /** Default 0: any free port. */
  readonly port?: number;
  /** Default 127.0.0.1. There is no authentication: another address lets everybody read who reaches it. */
  readonly host?: string;
}

export interface NodeViewServer {
  /** What `hopfair peers --url` takes. */
  readonly url: string;
  close(): Promise<void>;
}

const MAX_HEADER_BYTES = 4_096;
const REQUEST_TIMEOUT_MS = 5_000;

/**
 * Serves what the node knows, to whoever reaches the address. 64 connections at once, 4 KiB of headers and 5 s for each
 * request. Does not keep the process alive. Rejects with LISTEN_FAILED.
 *
 * @example
 * const view = await serveNodeView(node, { port: 7070 });
 * // hopfair peers --url http://127.0.0.1:7070
 */
export async function serveNodeView(node: ViewedNode, options: ServeNodeViewOptions = {}): Promise<NodeViewServer> {
  const { port = 0, host = '127.0.0.1', ...rest } = options;
  const view = nodeView(node, rest);
  const limits = {
    maxHeaderSize: MAX_HEADER_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    headersTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: REQUEST_TIMEOUT_MS,
  };
  const server = createServer(limits, (request, response) => {
    request.resume();
    if (view(request, response)) return;
    response.writeHead(404, { 'content-type': 'application/json' }).end(JSON.stringify(refusal('nothing is here')));
  });
  server.maxConnections = LIMITS.maxViewConnections;
  await new Promise<void>((resolve, reject) => {
    server.once('error', cause => {
      reject(
        new HopfairError('LISTEN_FAILED', `the view cannot listen on ${host}:${port}: ${cause.message}`, { cause }),
      );
    });
    server.listen(port, host, resolve);
  });
  server.unref();
  const { port: bound } = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}${rest.prefix ?? ''}`,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
