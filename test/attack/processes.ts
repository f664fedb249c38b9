/** The two processes of a run, victim and strangers, and how they are asked. */
import { type ChildProcess, spawnSync } from 'node:child_process';
import { availableParallelism, constants, setPriority } from 'node:os';
import { answerOf, startBundled } from '../support/bundled-process.js';
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

const start = (name: 'victim' | 'strangers'): ChildProcess => startBundled(new URL(`./${name}.ts`, import.meta.url));

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
