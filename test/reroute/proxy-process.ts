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
  | { readonly kind: 'delay'; readonly name: string; readonly delayMs: number }
  /** Bytes since the start, both directions together, by link. */
  | { readonly kind: 'bytes' }
  | { readonly kind: 'lateness' };

export interface ProxyAnswers {
  readonly open: { readonly address: string };
  readonly delay: null;
  readonly bytes: Readonly<Record<string, number>>;
  readonly lateness: Lateness;
}

class Link {
  delayMs: number;
  bytes = 0;
  readonly #line: DelayLine;
  readonly #target: URL;

  constructor(line: DelayLine, target: string, delayMs: number) {
    this.#line = line;
    this.#target = new URL(target);
    this.delayMs = delayMs;
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
    from.on('data', chunk => {
      this.bytes += chunk.length;
      this.#line.push(this.delayMs, () => {
        if (to.writable && !to.write(chunk) && to.writableLength > UNREAD_BYTES) from.pause();
      });
    });
    to.on('drain', () => from.resume());
    from.on('end', () => this.#line.push(this.delayMs, () => to.end()));
    // A reset, or a process that was killed: the other side hears of it after the time of the link, and no sooner.
    from.on('error', () => this.#line.push(this.delayMs, () => to.destroy()));
  }
}

// All links have the same delay except in `lie`, where each needs its own line to keep its own order.
const links = new Map<string, { readonly link: Link; readonly line: DelayLine }>();

answerRequests<ProxyRequest>(async request => {
  switch (request.kind) {
    case 'open': {
      const line = new DelayLine();
      const link = new Link(line, request.target, request.delayMs);
      links.set(request.name, { link, line });
      const bound = (await link.listen()).address();
      if (bound === null || typeof bound === 'string') throw new Error('a TCP port was expected');
      return { address: `tcp://127.0.0.1:${bound.port}` } satisfies ProxyAnswers['open'];
    }
    case 'delay': {
      const entry = links.get(request.name);
      if (entry === undefined) throw new Error(`there is no link ${request.name}`);
      entry.link.delayMs = request.delayMs;
      return null;
    }
    case 'bytes':
      return Object.fromEntries([...links].map(([name, { link }]) => [name, link.bytes]));
    case 'lateness': {
      const each = [...links.values()].map(({ line }) => line.lateness());
      return each.reduce((a, b) => (a.p99Ms >= b.p99Ms ? a : b));
    }
  }
});
