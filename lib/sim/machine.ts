/**
 * A simulated machine: clocks and a disk that outlive its processes, and at most one process. A crash takes the process
 * and all that was in memory; timers, messages and disk completions that were meant for it find nobody.
 */
import type { Cancel, Env, Logger } from '../env.js';
import { requireArgument } from '../errors.js';
import { type ClockErrors, MachineClock, ProcessClock } from './clock.js';
import { type DiskFaults, SimDisk } from './disk.js';
import type { SeededRng } from './rng.js';
import type { SimWorld } from './world.js';

export interface MachineOptions {
  readonly clock?: ClockErrors;
  readonly disk?: DiskFaults;
}

/** What a program gets when it starts. */
export interface SimProcess {
  readonly machine: SimMachine;
  readonly env: Env;
  readonly disk: SimDisk;
  /** Runs `fn` as an input of this process: now, or when it wakes up, or never if it died. */
  enter(fn: () => void): void;
  /** Called once when the process dies; for what belongs to the surroundings, as its connections do. */
  onDeath(fn: () => void): Cancel;
  readonly alive: boolean;
}

export type Program = (process: SimProcess) => void;

/** Monotonic clocks start anywhere below this. */
const MAX_CLOCK_ORIGIN_MS = 1e9;

class Process implements SimProcess {
  readonly machine: SimMachine;
  readonly env: Env;
  readonly disk: SimDisk;
  readonly #world: SimWorld;
  readonly #deathWatchers = new Set<() => void>();
  #alive = true;

  constructor(world: SimWorld, machine: SimMachine, hardware: MachineClock, rng: SeededRng, log: Logger) {
    this.#world = world;
    this.machine = machine;
    this.disk = machine.disk;
    const origin = rng.between(0, MAX_CLOCK_ORIGIN_MS);
    const clock = new ProcessClock(world.scheduler, hardware, origin, fn => this.enter(fn));
    this.env = { clock, rng, log };
  }

  get alive(): boolean {
    return this.#alive;
  }

  enter(fn: () => void): void {
    if (!this.#alive) return;
    const wakesAtMs = this.machine.pausedUntilMs;
    if (wakesAtMs > this.#world.scheduler.nowMs) {
      this.#world.faults.count('pause');
      this.#world.scheduler.at(wakesAtMs, () => this.enter(fn));
    } else fn();
  }

  onDeath(fn: () => void): Cancel {
    this.#deathWatchers.add(fn);
    return () => this.#deathWatchers.delete(fn);
  }

  die(): void {
    this.#alive = false;
    for (const watcher of this.#deathWatchers) watcher();
    this.#deathWatchers.clear();
  }
}

export class SimMachine {
  readonly name: string;
  readonly disk: SimDisk;
  readonly #world: SimWorld;
  readonly #rng: SeededRng;
  readonly #log: Logger;
  readonly #clock: MachineClock;
  #program: Program | undefined;
  #process: Process | undefined;
  #starts = 0;
  #pausedUntilMs = 0;

  constructor(world: SimWorld, name: string, options: MachineOptions, log: Logger) {
    this.name = name;
    this.#world = world;
    this.#log = log;
    this.#rng = world.rng.fork(`machine/${name}`);
    const errors = options.clock ?? {};
    if ((errors.skewMs ?? 0) !== 0) world.faults.count('clock-skew');
    if ((errors.drift ?? 0) !== 0) world.faults.count('clock-drift');
    this.#clock = new MachineClock(world.scheduler, errors);
    this.disk = new SimDisk(world, name, this.#rng.fork('disk'), options.disk ?? {});
  }

  get process(): SimProcess | undefined {
    return this.#process;
  }

  get running(): boolean {
    return this.#process !== undefined;
  }

  /** How often a process was started here. */
  get starts(): number {
    return this.#starts;
  }

  get pausedUntilMs(): number {
    return this.#pausedUntilMs;
  }

  /** Starts the program; throws if one runs. */
  start(program: Program): void {
    requireArgument(this.#process === undefined, `${this.name} is running`);
    this.#program = program;
    this.#starts += 1;
    this.#pausedUntilMs = 0;
    this.#world.note(`start ${this.name}`, this.#starts);
    const process = new Process(this.#world, this, this.#clock, this.#rng.fork(`start/${this.#starts}`), this.#log);
    this.#process = process;
    this.disk.mount(process);
    program(process);
  }

  /** Says what `restart` will start, without starting it. */
  install(program: Program): void {
    this.#program = program;
  }

  /** Starts the program that was installed or started last: after a crash, on what the disk kept. */
  restart(): void {
    requireArgument(this.#program !== undefined, `${this.name} has no program`);
    this.start(this.#program);
  }

  /** Kills the process; nothing of it runs any more. Counted as a fault. */
  crash(): void {
    if (this.#process === undefined) return;
    this.#world.faults.count('crash');
    this.stop();
  }

  /** As a crash, but by the will of the scenario: nothing is counted. Unsynced writes are lost all the same. */
  stop(): void {
    const process = this.#process;
    if (process === undefined) return;
    this.#world.note(`stop ${this.name}`);
    this.#process = undefined;
    process.die();
    this.disk.powerLoss();
  }

  /** The process stands still: inputs queue and are handled in order when it wakes. */
  pause(durationMs: number): void {
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, this.#world.scheduler.nowMs + durationMs);
  }

  /** The wall clock jumps; the monotonic one does not. */
  jumpClock(byMs: number): void {
    this.#world.faults.count('clock-jump');
    this.#clock.jump(byMs);
  }
}
