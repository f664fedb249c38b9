/** The two processes of a run, victim and strangers, and how they are asked. */
import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { availableParallelism, constants, setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import type { AttackOrder, AttackOutcome } from './strangers.js';
import type { VictimOrder, VictimReady, VictimState } from './victim.js';

/**
 * Attackers get a core of their own, and those who are measured another: what the measured ones wait for is then the
 * victim, not the attackers' turn on their core. Where there is no taskset, or one core, attackers only yield.
 */
export function keepApart(victim: Victim, strangers: Strangers): void {
  const pin = (core: number, pid: number): boolean =>
    spawnSync('taskset', ['-a', '-c', '-p', String(core), String(pid)]).status === 0;
  const isApart = availableParallelism() > 1 && pin(0, process.pid) && pin(0, victim.pid) && pin(1, strangers.pid);
  if (!isApart) setPriority(strangers.pid, constants.priority.PRIORITY_LOW);
}

/**
 * Bundled first, as the product is: what runs a source as it is wraps its functions, and a good part of what one stranger
 * costs would be that.
 */
function start(name: 'victim' | 'strangers'): ChildProcess {
  const outfile = fileURLToPath(new URL(`../../dist/attack/${name}-${process.pid}.mjs`, import.meta.url));
  const entry = fileURLToPath(new URL(`./${name}.ts`, import.meta.url));
  buildSync({ entryPoints: [entry], outfile, bundle: true, platform: 'node', format: 'esm', packages: 'external' });
  const child = fork(outfile, { execArgv: ['--expose-gc'], serialization: 'advanced' });
  child.once('exit', () => rmSync(outfile));
  return child;
}

async function answerOf<T>(child: ChildProcess): Promise<T> {
  const died = new AbortController();
  const onExit = (code: number | null): void => died.abort(new Error(`a process of the run ended with ${code}`));
  child.once('exit', onExit);
  try {
    const [answer] = await once(child, 'message', { signal: died.signal });
    return answer as T;
  } catch (error) {
    throw died.signal.reason ?? error;
  } finally {
    child.off('exit', onExit);
  }
}

export class Victim {
  readonly ready: VictimReady;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, ready: VictimReady) {
    this.#child = child;
    this.ready = ready;
  }

  static async start(): Promise<Victim> {
    const child = start('victim');
    return new Victim(child, await answerOf<VictimReady>(child));
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /** Collects its garbage first, so not while something is measured. */
  state(): Promise<VictimState> {
    return this.#ask({ kind: 'state' });
  }

  /** The code with which the dialled connection ended. */
  dial(address: string): Promise<string> {
    return this.#ask({ kind: 'dial', address });
  }

  stop(): void {
    if (this.#child.connected) this.#child.disconnect();
  }

  #ask<T>(order: VictimOrder): Promise<T> {
    this.#child.send(order);
    return answerOf<T>(this.#child);
  }
}

export class Strangers {
  readonly #child: ChildProcess = start('strangers');

  get pid(): number {
    return this.#child.pid as number;
  }

  async attack(order: AttackOrder): Promise<AttackOutcome> {
    this.#child.send(order);
    return answerOf<AttackOutcome>(this.#child);
  }

  stop(): void {
    if (this.#child.connected) this.#child.disconnect();
  }
}
