/** Lets the faults of one seed happen to a cluster, and ends them all. */
import type { SeededRng, SimMachine, SimWorld } from '../../../lib/sim/index.js';
import type { Conditions } from './conditions.js';

/** The log that the members keep on their disks. */
export const LOG_NAME = 'committee';

export class Nemesis {
  readonly #world: SimWorld;
  readonly #rng: SeededRng;
  readonly #conditions: Conditions;
  readonly #members: readonly SimMachine[];
  readonly #restart: (machine: SimMachine) => void;

  constructor(
    world: SimWorld,
    conditions: Conditions,
    members: readonly SimMachine[],
    restart: (machine: SimMachine) => void,
  ) {
    this.#world = world;
    this.#rng = world.rng.fork('nemesis');
    this.#conditions = conditions;
    this.#members = members;
    this.#restart = restart;
  }

  /** Schedules everything that goes wrong before `heal`. */
  unleash(): void {
    const { crashes, partitions, clogs, pauses, clockJumps, blackout, faultyMs } = this.#conditions;
    const rng = this.#rng;
    const sometimes = (times: number, act: () => void): void => {
      for (let i = 0; i < times; i++) this.#world.scheduler.after(rng.between(0, 0.8 * faultyMs), act);
    };
    sometimes(crashes, () => this.#crash(rng.int(this.#members.length)));
    sometimes(blackout ? 1 : 0, () => {
      for (const member of this.#members.keys()) this.#crash(member);
    });
    sometimes(partitions, () => this.#partition());
    sometimes(clogs, () => {
      const [from, to] = rng.shuffle(this.#names());
      if (from !== undefined && to !== undefined) this.#world.network.clog(from, to, rng.between(20, 300));
    });
    sometimes(pauses, () => rng.pick(this.#members).pause(rng.between(10, 200)));
    sometimes(clockJumps, () => rng.pick(this.#members).jumpClock(rng.between(-60, 60)));
  }

  /** Good links, no partitions, disks that work, every member running. */
  heal(): void {
    const { network } = this.#world;
    network.heal();
    network.setUsual({ loss: 0 });
    for (const machine of this.#members) {
      machine.disk.faults = {};
      if (!machine.running) this.#restart(machine);
    }
  }

  #names(): string[] {
    return this.#world.machines.map(machine => machine.name);
  }

  #crash(member: number): void {
    const { rot, weakDisks, faultyMs } = this.#conditions;
    const machine = this.#members[member];
    if (machine === undefined || !machine.running) return;
    machine.crash();
    if (rot !== undefined && weakDisks.has(member)) machine.disk.rot(LOG_NAME, rot);
    this.#world.scheduler.after(this.#rng.between(5, faultyMs / 4), () => {
      if (!machine.running) this.#restart(machine);
    });
  }

  #partition(): void {
    const rng = this.#rng;
    const names = rng.shuffle(this.#names());
    const cut = 1 + rng.int(names.length - 1);
    const [left, right] = [names.slice(0, cut), names.slice(cut)];
    const { network, scheduler } = this.#world;
    const kind = rng.int(3);
    if (kind === 0) network.partition([left, right]);
    else if (kind === 1) network.partitionOneWay(left, right);
    else network.partitionWithBridge(left, right.slice(1));
    scheduler.after(rng.between(30, this.#conditions.faultyMs / 2), () => network.heal());
  }
}
