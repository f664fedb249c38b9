/** A process of a measurement, in a network namespace where one is named. Ends with whoever started it, whatever ends that. */
import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { atExit } from './at-exit.js';
import type { Reply, Request } from './request.js';

const ANSWER_TIMEOUT_MS = 30_000;
const bundles = new Map<string, string>();

/** Bundled once, as the product is: what runs a source as it is would take part in what is measured. */
function bundle(entry: URL): string {
  const known = bundles.get(entry.href);
  if (known !== undefined) return known;
  // In dist/, where the packages that it imports are found.
  const outfile = fileURLToPath(new URL(`../../dist/reroute/${process.pid}-${bundles.size}.mjs`, import.meta.url));
  buildSync({
    entryPoints: [fileURLToPath(entry)],
    ...{ outfile, bundle: true, platform: 'node', format: 'esm', packages: 'external', sourcemap: 'inline' },
  });
  atExit(() => rmSync(outfile));
  bundles.set(entry.href, outfile);
  return outfile;
}

interface Waiting {
  resolve(answer: unknown): void;
  reject(error: Error): void;
}

export class Child<R> {
  readonly name: string;
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  readonly #gone: Promise<void>;
  readonly #onEvent: (event: unknown) => void;
  #nextId = 0;
  #ended: string | undefined;

  /** `entry` is the source of the process; `space` the network namespace, which takes iproute2 and root. */
  constructor(name: string, entry: URL, onEvent: (event: unknown) => void = () => undefined, space?: string) {
    this.name = name;
    this.#onEvent = onEvent;
    const node = [process.execPath, '--enable-source-maps', '--no-warnings', bundle(entry)] as const;
    const command = space === undefined ? node : (['ip', 'netns', 'exec', space, ...node] as const);
    this.#process = spawn(command[0], command.slice(1), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const forget = atExit(() => this.#process.kill('SIGKILL'));
    this.#process.on('message', message => this.#onReply(message as Reply));
    this.#gone = new Promise(resolve => {
      const onEnd = (why: string): void => {
        forget();
        this.#ended = why;
        for (const { reject } of this.#waiting.values()) reject(new Error(`${name} ended: ${why}`));
        this.#waiting.clear();
        resolve();
      };
      this.#process.once('error', error => onEnd(error.message));
      this.#process.once('exit', (code, signal) => onEnd(signal ?? `code ${code}`));
    });
  }

  /** Rejects with what the process threw, when it ends, and after 30 s. */
  async ask<A>(request: R, timeoutMs: number = ANSWER_TIMEOUT_MS): Promise<A> {
    if (this.#ended !== undefined) throw new Error(`${this.name} ended: ${this.#ended}`);
    const id = this.#nextId++;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<A>((resolve, reject) => {
        this.#waiting.set(id, { resolve: answer => resolve(answer as A), reject });
        const late = new Error(
          `${this.name} did not answer ${JSON.stringify(request).slice(0, 80)} in ${timeoutMs} ms`,
        );
        timer = setTimeout(() => reject(late), timeoutMs);
        this.#process.send({ id, request } satisfies Request);
      });
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  signal(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    this.#process.kill(signal);
  }

  /** Kills the process; resolves when it is gone. */
  async end(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#gone;
  }

  #onReply(reply: Reply): void {
    if ('event' in reply) this.#onEvent(reply.event);
    else if ('error' in reply) this.#waiting.get(reply.id)?.reject(new Error(`${this.name}: ${reply.error}`));
    else this.#waiting.get(reply.id)?.resolve(reply.answer);
  }
}
