/**
 * One simulated world: a seed, true time, a network, machines. Everything that happens in it follows from the seed.
 */
import { type Logger, silentLogger } from '../env.js';
import { requireArgument } from '../errors.js';
import { FaultCounts } from './faults.js';
import { type MachineOptions, SimMachine } from './machine.js';
import { type LinkConditions, SimNetwork } from './network.js';
import { SeededRng } from './rng.js';
import { Scheduler } from './scheduler.js';
import { Trace } from './trace.js';

export interface WorldOptions {
  readonly seed: string | number;
  /** What links are like unless told otherwise. */
  readonly link?: Partial<LinkConditions>;
  /** How many of the last events are kept for reading; none by default. */
  readonly keepTrace?: number;
  /** Where each machine's log goes; nowhere by default. */
  readonly logger?: (machine: string) => Logger;
}

/**
 * @example
 * const world = new SimWorld({ seed: 17 });
 * const machine = world.addMachine('a');
 * machine.start(process => process.env.clock.schedule(5, () => …));
 * world.scheduler.runFor(1_000);
 */
export class SimWorld {
  readonly seed: string;
  readonly rng: SeededRng;
  readonly scheduler: Scheduler = new Scheduler();
  readonly faults: FaultCounts = new FaultCounts();
  readonly trace: Trace;
  readonly network: SimNetwork;
  readonly #machines = new Map<string, SimMachine>();
  readonly #logger: (machine: string) => Logger;

  constructor(options: WorldOptions) {
    this.seed = String(options.seed);
    this.rng = new SeededRng(this.seed);
    this.trace = new Trace(options.keepTrace ?? 0);
    this.#logger = options.logger ?? (() => silentLogger);
    this.network = new SimNetwork(this, options.link ?? {});
  }

  /** Adds a machine that does not run yet. Names are addresses on the network. */
  addMachine(name: string, options: MachineOptions = {}): SimMachine {
    requireArgument(!this.#machines.has(name), `machine ${name} exists`);
    const machine = new SimMachine(this, name, options, this.#logger(name));
    this.#machines.set(name, machine);
    return machine;
  }

  get machines(): readonly SimMachine[] {
    return [...this.#machines.values()];
  }

  machine(name: string): SimMachine | undefined {
    return this.#machines.get(name);
  }

  /** Notes an event in the trace. */
  note(what: string, value = 0): void {
    this.trace.note(this.scheduler.nowMs, what, value);
  }
}
