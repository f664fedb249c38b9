/**
 * One of a relay's peers stops reading (overlay.md R9): its process is stopped, as by SIGSTOP, while bulk for it goes on at
 * a rate that it took before. What the relay holds for it, and how long orders between others take, before and during.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export interface StallFigure {
  readonly row: string;
  readonly adapter: string;
  readonly unit: string;
  readonly value: number;
}

const ROLES = fileURLToPath(new URL('./relay-stall-role.mjs', import.meta.url));
const ORDERS_PER_SECOND = 2_000;
const BULK_PER_SECOND = 20_000_000;
const OURS = 'hopfair-relay';

type Message = { readonly t: string } & Readonly<Record<string, unknown>>;

class Role {
  readonly #child: ChildProcess;
  readonly #gone: Promise<void>;

  constructor(core: number) {
    this.#child = spawn('taskset', ['-c', String(core), process.execPath, '--expose-gc', ROLES], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const kill = (): void => {
      this.#child.kill('SIGKILL');
    };
    process.once('exit', kill);
    this.#gone = new Promise(resolve => {
      this.#child.once('exit', () => {
        process.off('exit', kill);
        resolve();
      });
    });
  }

  send(message: object): void {
    this.#child.send(message);
  }

  /** The next message, which must be of this type. */
  next(type: string): Promise<Message> {
    return new Promise((resolve, reject) => {
      const onExit = (): void => reject(new Error(`a process of the bench ended before "${type}"`));
      this.#child.once('exit', onExit);
      this.#child.once('message', message => {
        this.#child.off('exit', onExit);
        const told = message as Message;
        if (told.t === type) resolve(told);
        else reject(new Error(`"${told.t}" came instead of "${type}"`));
      });
    });
  }

  async start(options: object): Promise<Message> {
    await this.next('up');
    this.send(options);
    return this.next('ready');
  }

  async ask(type: string): Promise<Message> {
    this.send({ t: type });
    return this.next(type);
  }

  stop(): void {
    this.#child.kill('SIGSTOP');
  }

  /** Resolves when it is gone, and its processor time counts as that of the bench. */
  end(): Promise<void> {
    this.#child.kill('SIGKILL');
    return this.#gone;
  }
}

export async function stallCase(quick: boolean): Promise<readonly StallFigure[]> {
  const durationMs = quick ? 1_500 : 5_000;
  const sink = new Role(0);
  const ends = new Role(0);
  const relay = new Role(1);
  try {
    const [stalled, healthy] = await Promise.all([sink.start({ role: 'sink' }), ends.start({ role: 'ends' })]);
    const sinkAddress = stalled['addr'] as { readonly peer: string };
    const targets = [sinkAddress, healthy['addr']];
    const { addr } = await relay.start({ role: 'relay', targets, stalled: sinkAddress.peer });
    ends.send({
      t: 'begin',
      addr,
      sink: sinkAddress.peer,
      ordersPerSecond: ORDERS_PER_SECOND,
      bulkPerSecond: BULK_PER_SECOND,
    });
    await ends.next('begun');
    await sleep(1_000); // until code is compiled and windows have grown
    await ends.ask('latencies');
    const idle = await relay.ask('held');
    await sleep(durationMs);
    const before = await ends.ask('latencies');
    sink.stop();
    await sleep(500); // until the queue is full
    await ends.ask('latencies');
    await sleep(durationMs);
    const during = await ends.ask('latencies');
    const held = await relay.ask('held');
    const figure = (row: string, adapter: string, unit: string, value: unknown): StallFigure => ({
      row,
      adapter,
      unit,
      value: Number(value),
    });
    const lost = (ORDERS_PER_SECOND * durationMs) / 1_000 - Number(during['count']);
    return [
      figure('stall-held', OURS, 'bytes', held['heldBytes']),
      figure('stall-memory-growth', OURS, 'bytes', Number(held['memoryBytes']) - Number(idle['memoryBytes'])),
      figure('stall-dropped', OURS, 'frames', held['dropped']),
      figure('stall-late', OURS, 'orders', Math.max(0, lost)),
      figure('stall-p99', OURS, 'ms', during['p99']),
      figure('stall-p99', 'before', 'ms', before['p99']),
      figure('stall-p50', OURS, 'ms', during['p50']),
      figure('stall-p50', 'before', 'ms', before['p50']),
    ];
  } finally {
    await Promise.all([sink, ends, relay].map(role => role.end()));
  }
}
