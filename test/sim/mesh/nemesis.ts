/** Lets the faults of one seed happen to an overlay, and ends them all. */
import type { SeededRng, SimMachine, SimWorld } from '../../../lib/sim/index.js';
import type { Conditions } from './conditions.js';
import type { Overlay } from './overlay.js';

export class Nemesis {
  readonly #world: SimWorld;
  readonly #rng: SeededRng;
  readonly #conditions: Conditions;
  readonly #overlay: Overlay;

  constructor(world: SimWorld, conditions: Conditions, overlay: Overlay) {
    this.#world = world;
    this.#rng = world.rng.fork('nemesis');
    this.#conditions = conditions;
    this.#overlay = overlay;
  }

  /** Schedules everything that goes wrong before `heal`, once routes exist. */
  unleash(): void {
    const { crashes, endCrashes, hostile, deadLinks, partitions, clogs, pauses, revocations, faultyMs } =
      this.#conditions;
    const rng = this.#rng;
    const { network, scheduler } = this.#world;
    const { relays, ends, connections } = this.#overlay;
    const sometimes = (times: number, act: () => void): void => {
      for (let i = 0; i < times; i++) scheduler.after(rng.between(0, 0.8 * faultyMs), act);
    };
    const names = this.#world.machines.map(({ name }) => name);
    const twoNames = (): readonly [string, string] => {
      const [a, b] = rng.shuffle(names);
      return [a as string, b as string];
    };
    sometimes(crashes, () => this.#crash(rng.pick(relays)));
    sometimes(endCrashes, () => {
      const end = rng.pick(ends);
      this.#overlay.traffic.died(end.name);
      this.#crash(end);
    });
    for (const { name } of rng.shuffle(relays).slice(0, hostile)) {
      sometimes(1, () => this.#overlay.hostile.add(name));
    }
    sometimes(deadLinks, () => connections.silence(...twoNames()));
    sometimes(partitions, () => this.#partition(names));
    sometimes(clogs, () => network.clog(...twoNames(), rng.between(20, 500)));
    sometimes(revocations, () => this.#revoke());
    sometimes(pauses, () => rng.pick(this.#world.machines).pause(rng.between(10, 200)));
  }

  #revoke(): void {
    const relay = this.#rng.pick(this.#overlay.relays);
    const others = [...this.#overlay.ends, ...this.#overlay.relays].filter(one => one !== relay && one.running);
    if (others.length > 0) this.#overlay.revoke(relay, this.#rng.pick(others));
  }

  #crash(machine: SimMachine): void {
    machine.crash();
    this.#world.scheduler.after(this.#rng.between(50, this.#conditions.faultyMs / 2), () => {
      if (!machine.running) machine.restart();
    });
  }

  /** Good links, no partitions, honest relays, every machine running. */
  heal(): void {
    this.#world.network.heal();
    this.#world.network.setUsual({ loss: 0, reset: 0, corrupt: 0 });
    this.#overlay.hostile.clear();
    for (const machine of this.#world.machines) if (!machine.running) machine.restart();
  }

  #partition(names: readonly string[]): void {
    const rng = this.#rng;
    const { network, scheduler } = this.#world;
    const shuffled = rng.shuffle(names);
    const cut = 1 + rng.int(shuffled.length - 1);
    const [left, right] = [shuffled.slice(0, cut), shuffled.slice(cut)];
    const kind = rng.int(3);
    if (kind === 0) network.partition([left, right]);
    else if (kind === 1) network.partitionOneWay(left, right);
    else network.partitionWithBridge(left, right.slice(1));
    scheduler.after(rng.between(50, this.#conditions.longestPartitionMs), () => network.heal());
  }
}
