/** The view as a request handler, to be mounted in a server that the application has. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { LIMITS } from '../limits.js';
import { answerTo, refusal, type ViewAnswer, type ViewError, type ViewedNode } from './answers.js';

export interface NodeViewOptions {
  /** Where it is mounted: a path without a slash at its end. Default: at the root. */
  readonly prefix?: string;
  /** Names of peers that people know them by, by peer id. Asked for at each request. */
  readonly names?: () => Readonly<Record<string, string>>;
}

/** Answers the request and returns true; false when it is for somebody else, and nothing was written. */
export type NodeViewHandler = (request: IncomingMessage, response: ServerResponse) => boolean;

const HEADERS = {
  'content-type': 'application/json; charset=utf-8',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
};

/**
 * The handler for `GET PREFIX/peers`, `PREFIX/routes` and `PREFIX/why/PEER`. It tells who the peers of a node are, who runs
 * them and how good their links are: mount it where only operators come. A connection from this host must name a loopback
 * host, so that no page of the web reads it through a name that leads here. Nothing is sent that lets another origin read.
 *
 * Requests have 512 bytes of URL at most and no body that is read; an answer is as long as the node has peers.
 *
 * @example
 * const view = nodeView(node, { prefix: '/hopfair' });
 * createServer((request, response) => {
 *   if (!view(request, response)) response.writeHead(404).end();
 * }).listen(7070, '127.0.0.1');
 */
export function nodeView(node: ViewedNode, { prefix = '', names }: NodeViewOptions = {}): NodeViewHandler {
  return (request, response) => {
    const url = request.url ?? '';
    const [path = ''] = url.split('?', 1);
    if (!path.startsWith(`${prefix}/`)) return false;
    const send = (status: number, answer: ViewAnswer | ViewError, headers: Record<string, string> = {}): void => {
      response.writeHead(status, { ...HEADERS, ...headers }).end(`${JSON.stringify(answer)}\n`);
    };
    if (request.method !== 'GET') send(405, refusal('a view is only read'), { allow: 'GET' });
    else if (url.length > LIMITS.maxViewUrlBytes) send(414, refusal('the URL is too long'));
    else if (isRebound(request)) send(421, refusal('this address is not asked for under that name'));
    else {
      const answer = answerTo(path.slice(prefix.length), node, names?.() ?? {});
      if (answer === undefined) send(404, refusal('there are /peers, /routes and /why/PEER'));
      else send(answer.kind === 'error' ? 400 : 200, answer);
    }
    return true;
  };
}

/** A name of the web that its owner lets lead to this host: the browser takes what is here for a part of that site. */
function isRebound({ socket, headers }: IncomingMessage): boolean {
  if (!isLoopback(socket.localAddress ?? '')) return false;
  const host = (headers.host ?? '').replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  return host !== 'localhost' && !isLoopback(host);
}

const isLoopback = (address: string): boolean =>
  (isIP(address) === 4 && address.startsWith('127.')) || address === '::1' || address.startsWith('::ffff:127.');
