/**
 * A link of 100 Mbit/s: two network namespaces, a pair of virtual interfaces between them, and a token bucket at either
 * end. Made and removed by the bench; needs root and iproute2.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { PeerRecord, Peers } from './peers.js';

const RATE = '100mbit';
/** What the token bucket may let through at once, and how long a packet may wait in it: a home router's buffer. */
const BURST = '32kb';
const QUEUE = '100ms';
const SERVER_HOST = '10.117.0.1';
const CLIENT_HOST = '10.117.0.2';
const CASE_TIMEOUT_MS = 60_000;

/** A message of the processes of bench-peers. */
interface PeerMessage {
  readonly t: string;
  readonly addr?: unknown;
  readonly r?: PeerRecord;
  readonly error?: string;
}

export interface Link {
  /** Like the bench's own pairs, with the client and the server at the two ends of the link. */
  runPair(peers: Peers, adapterFile: string, job: object): Promise<PeerRecord[]>;
  close(): void;
}

const ip = (...args: string[]): void => {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' });
};

/** Returns the link, or why there can be none here. */
export function openLink(): Link | string {
  const [server, client] = [`hopfair-bench-${process.pid}-s`, `hopfair-bench-${process.pid}-c`];
  const close = (): void => {
    process.off('exit', close);
    for (const space of [server, client]) {
      try {
        ip('netns', 'del', space); // and the interfaces in it
      } catch (error) {
        console.error(`The network namespace ${space} could not be removed: ${String(error)}`);
      }
    }
  };
  try {
    ip('netns', 'add', server);
  } catch (error) {
    return `network namespaces are not possible here: ${reason(error)}`;
  }
  try {
    ip('netns', 'add', client);
    process.once('exit', close);
    ip('-n', server, 'link', 'add', 'link0', 'type', 'veth', 'peer', 'name', 'link0', 'netns', client);
    for (const [space, host] of [
      [server, SERVER_HOST],
      [client, CLIENT_HOST],
    ] as const) {
      ip('-n', space, 'address', 'add', `${host}/24`, 'dev', 'link0');
      ip('-n', space, 'link', 'set', 'lo', 'up');
      ip('-n', space, 'link', 'set', 'link0', 'up');
      const bucket = ['tbf', 'rate', RATE, 'burst', BURST, 'latency', QUEUE];
      ip('netns', 'exec', space, 'tc', 'qdisc', 'add', 'dev', 'link0', 'root', ...bucket);
    }
  } catch (error) {
    close();
    return `the link could not be made: ${reason(error)}`;
  }
  return { runPair: (peers, file, job) => runPair(peers, [server, client], file, job), close };
}

const reason = (error: unknown): string =>
  error instanceof Error ? error.message.trim().replaceAll('\n', ' ') : String(error);

async function runPair(
  peers: Peers,
  [serverSpace, clientSpace]: readonly [string, string],
  file: string,
  job: object,
): Promise<PeerRecord[]> {
  const records: PeerRecord[] = [];
  const server = new End(peers, serverSpace, '1', SERVER_HOST, 'server', file);
  const client = new End(peers, clientSpace, '0', CLIENT_HOST, 'client', file);
  try {
    await Promise.all([server.next('up'), client.next('up')]);
    server.send({ t: 'server', ctx: {} });
    const { addr } = await server.next('ready');
    client.onResult = record => records.push(record);
    client.send({ t: 'job', job, addr, via: 'direct' });
    await Promise.race([client.next('done'), server.next('never')]);
  } catch (error) {
    records.push({ w: 'link', ok: false, error: reason(error) });
  } finally {
    await Promise.all([client.stop(), server.stop()]);
  }
  return records;
}

/** One process of the pair, in its namespace and on its core. */
class End {
  readonly #process: ChildProcess;
  readonly #messages: PeerMessage[] = [];
  readonly #gone: Promise<void>;
  #waiting: { type: string; resolve: (message: PeerMessage) => void; reject: (error: Error) => void } | undefined;
  #fatal: Error | undefined;
  onResult: (record: PeerRecord) => void = () => undefined;

  constructor(peers: Peers, space: string, core: string, host: string, role: string, file: string) {
    const node = [process.execPath, '--expose-gc', '--no-warnings', join(peers.folder, 'peer.mjs'), role, file];
    this.#process = spawn('ip', ['netns', 'exec', space, 'taskset', '-c', core, ...node], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, HOPFAIR_BENCH_HOST: host },
    });
    const kill = (): void => {
      this.#process.kill('SIGKILL');
    };
    process.once('exit', kill);
    this.#process.on('message', message => this.#onMessage(message as PeerMessage));
    this.#gone = new Promise(resolve => {
      this.#process.once('exit', () => {
        process.off('exit', kill);
        this.#fail(`the ${role} ended`);
        resolve();
      });
    });
  }

  send(message: object): void {
    if (this.#process.connected) this.#process.send(message);
  }

  /** The next message of this type; rejects when the process fails, ends or takes longer than a minute. */
  async next(type: string): Promise<PeerMessage> {
    if (this.#fatal !== undefined) throw this.#fatal;
    const index = this.#messages.findIndex(({ t }) => t === type);
    if (index >= 0) return this.#messages.splice(index, 1)[0] as PeerMessage;
    const timer = setTimeout(() => this.#fail(`no "${type}" within ${CASE_TIMEOUT_MS} ms`), CASE_TIMEOUT_MS);
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting = { type, resolve, reject };
      });
    } finally {
      clearTimeout(timer);
    }
  }

  async stop(): Promise<void> {
    this.send({ t: 'stop' });
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), 1_000);
    await this.#gone;
    clearTimeout(timer);
  }

  #onMessage(message: PeerMessage): void {
    if (message.t === 'fatal') this.#fail(message.error ?? 'unknown');
    else if (message.t === 'result' && message.r !== undefined) this.onResult(message.r);
    else if (this.#waiting?.type === message.t) {
      this.#waiting.resolve(message);
      this.#waiting = undefined;
    } else this.#messages.push(message);
  }

  #fail(why: string): void {
    this.#fatal ??= new Error(why);
    this.#waiting?.reject(this.#fatal);
    this.#waiting = undefined;
  }
}
