/** The live page of the main job: one static document and a stream of server-sent events, on 127.0.0.1 only. */
import { createReadStream } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { PathReport } from './messages.js';
import type { OffenderReport } from './offenders.js';

export type PartyState = 'up' | 'hostile' | 'down';

/** What the page draws. */
export interface Picture {
  readonly elapsedSeconds: number;
  readonly phase: string;
  readonly parties: readonly {
    readonly name: string;
    readonly role: string;
    readonly state: PartyState;
    readonly deed?: string;
  }[];
  /** Paths that are set up: `relays` are the names on the way. */
  readonly routes: readonly {
    readonly from: string;
    readonly to: string;
    readonly relays: readonly string[];
    readonly role: PathReport['role'];
    readonly rttMs: number;
    readonly quarantined: boolean;
  }[];
  readonly offenders: readonly (OffenderReport & { readonly what: string })[];
  readonly cpuSecondsPer10s: number;
  readonly committee: { readonly view: number; readonly leader: string; readonly height: number };
  readonly counts: {
    readonly submitted: number;
    readonly delivered: number;
    readonly p50Ms: number;
    readonly p99Ms: number;
  };
  readonly frontRun: { readonly plain: string; readonly sealed: string };
  readonly tail: readonly {
    readonly index: number;
    readonly order: string;
    readonly side: string;
    readonly id: string;
  }[];
  /** Newest first. */
  readonly events: readonly string[];
}

const document = fileURLToPath(new URL('../../../examples/live-mesh/page.html', import.meta.url));
const MAX_VIEWERS = 16;
const SECURITY = {
  'content-security-policy':
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'",
  'x-content-type-options': 'nosniff',
};

export class LivePage {
  readonly #server: Server;
  readonly #viewers = new Set<ServerResponse>();
  #latest = '';

  /** `why` explains the route from one node to another, when it can. */
  constructor(why: (from: string, to: string) => Promise<string | undefined>) {
    this.#server = createServer((request, response) => {
      const [, kind, from, to] = (request.url ?? '').split('/');
      if (request.method !== 'GET') response.writeHead(405).end();
      else if (kind === 'why' && from !== undefined && to !== undefined) void answerWhy(response, why(from, to));
      else if (request.url === '/') {
        response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', ...SECURITY });
        createReadStream(document).pipe(response);
      } else if (request.url === '/events' && this.#viewers.size < MAX_VIEWERS) this.#watch(response);
      else
        response
          .writeHead(request.url === '/events' ? 503 : 404, { 'content-type': 'text/plain' })
          .end('nothing here\n');
    });
  }

  /** Resolves with the address to open. Rejects when the port is taken. */
  listen(port: number): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', () =>
        resolve(`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`),
      );
    });
  }

  #watch(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store', ...SECURITY });
    if (this.#latest !== '') response.write(this.#latest);
    this.#viewers.add(response);
    response.on('close', () => this.#viewers.delete(response));
  }

  /** Whether anybody looks: a picture that nobody sees need not be made. */
  get watched(): boolean {
    return this.#viewers.size > 0;
  }

  show(picture: Picture): void {
    this.#latest = `data: ${JSON.stringify(picture)}\n\n`;
    for (const viewer of this.#viewers) if (!viewer.writableNeedDrain) viewer.write(this.#latest);
  }

  close(): Promise<void> {
    for (const viewer of this.#viewers) viewer.end();
    this.#server.closeAllConnections();
    return new Promise(resolve => this.#server.close(() => resolve()));
  }
}

async function answerWhy(response: ServerResponse, text: Promise<string | undefined>): Promise<void> {
  const found = await text.catch((error: Error) => `no answer: ${error.message}`);
  response.writeHead(found === undefined ? 404 : 200, { 'content-type': 'text/plain; charset=utf-8', ...SECURITY });
  response.end(found ?? 'nobody of that name tells');
}
