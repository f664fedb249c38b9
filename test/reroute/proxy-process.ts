/**
 * The links of the diamond: connections pass through here and take the time of a link in each direction. Bytes are kept in
 * order and never split, an end is passed on in its turn, and a side that does not read stops the other, as TCP does.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { DelayLine, type Lateness } from './delay-line.js';
import { answerRequests } from './request.js';

/** What a side may have unread before the other is not read any more: a socket buffer of a distant link. */
const UNREAD_BYTES = 1_048_576;

export type ProxyRequest =
  | { readonly kind: 'open'; readonly name: string; readonly target: string; readonly delayMs: number }
  /** The link breaks, and is as long as this when it comes back. */
  | { readonly kind: 'renew'; readonly name: string; readonly delayMs: number }
  /** Bytes since the start, both directions together, by link. */
  | { readonly kind: 'bytes' }
  | { readonly kind: 'lateness' };

export interface ProxyAnswers {
  readonly open: { readonly address: string };
  readonly renew: null;
  readonly bytes: Readonly<Record<string, number>>;
  readonly lateness: Lateness;
}

class Link {
  bytes = 0;
  #delayMs: number;
  readonly #line = new DelayLine();
  readonly #target: URL;
  readonly #sockets = new Set<Socket>();

  constructor(target: string, delayMs: number) {
    this.#target = new URL(target);
    this.#delayMs = delayMs;
  }

  lateness(): Lateness {
    return this.#line.lateness();
  }

  renew(delayMs: number): void {
    this.#delayMs = delayMs;
    for (const socket of this.#sockets) socket.destroy();
  }

  listen(): Promise<Server> {
    const server = createServer({ noDelay: true, allowHalfOpen: true }, near => this.#join(near));
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', () => resolve(server));
    });
  }

  #join(near: Socket): void {
    const { hostname: host, port } = this.#target;
    const far = connect({ host, port: Number(port), noDelay: true, allowHalfOpen: true });
    this.#passOn(near, far);
    this.#passOn(far, near);
  }

  #passOn(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on('close', () => this.#sockets.delete(from));
    from.on('data', chunk => {
      this.bytes += chunk.length;
      this.#line.push(this.#delayMs, () => {
        if (to.writable && !to.write(chunk) && to.writableLength > UNREAD_BYTES) from.pause();
      });
    });
    to.on('drain', () => from.resume());
    from.on('end', () => this.#line.push(this.#delayMs, () => to.end()));
    // A reset, or a process that was killed: the other side hears of it after the time of the link, and no sooner.
    from.on('error', () => this.#line.push(this.#delayMs, () => to.destroy()));
  }
}

const links = new Map<string, Link>();

answerRequests<ProxyRequest>(async request => {
  switch (request.kind) {
    case 'open': {
      const link = new Link(request.target, request.delayMs);
      links.set(request.name, link);
      const bound = (await link.listen()).address();
      if (bound === null || typeof bound === 'string') throw new Error('a TCP port was expected');
      return { address: `tcp://127.0.0.1:${bound.port}` } satisfies ProxyAnswers['open'];
    }
    case 'renew': {
      const link = links.get(request.name);
      if (link === undefined) throw new Error(`there is no link ${request.name}`);
      link.renew(request.delayMs);
      return null;
    }
    case 'bytes':
      return Object.fromEntries([...links].map(([name, link]) => [name, link.bytes]));
    case 'lateness': {
      const each = [...links.values()].map(link => link.lateness());
      return each.reduce((a, b) => (a.p99Ms >= b.p99Ms ? a : b));
    }
  }
});
