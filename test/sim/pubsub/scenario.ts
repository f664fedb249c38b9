/**
 * A publisher, a tree of subscribers with a small fan-out, and everything that goes wrong with them: forwarders die, drop or
 * slow down, the publisher restarts, links lose and clog. Every reader gets each publication of a run once and in order,
 * or is told honestly that it did not; at the end all have what was published last.
 */
import type { Publication } from '../../../lib/mesh/index.js';
import { type Scenario, type SeededRng, type SimWorld, Violation } from '../../../lib/sim/index.js';
import { type PubSubHost, PubSubWorld, sendAll } from '../../support/pubsub-world.js';

const TOPIC = 'book';
const FAULTY_MS = 6_000;
const SETTLING_MS = 60_000;
const STEP_MS = 5;

/** What one reader was given, judged as it comes. */
class ReaderCheck {
  readonly #name: string;
  /** What each run really published, by sequence number. */
  readonly #published: ReadonlyMap<number, readonly number[]>;
  readonly #runs: readonly number[];
  #epoch: number | undefined;
  #next: number | undefined;
  lastNumber = 0;

  constructor(name: string, published: ReadonlyMap<number, readonly number[]>, runs: readonly number[]) {
    this.#name = name;
    this.#published = published;
    this.#runs = runs;
  }

  take(event: Publication): void {
    if (event.kind === 'gap' && event.recovered) return;
    if (this.#epoch !== undefined && event.epoch !== this.#epoch) {
      throw new Violation('honest gap', `${this.#name} changed its run without being told that the old one ended`);
    }
    if (event.kind === 'message') this.#message(event);
    else if (event.to === undefined) {
      this.#epoch = undefined;
      this.#next = 1; // a run that a reader sees begin is read from its beginning
    } else {
      if (this.#next !== event.from)
        throw new Violation('honest gap', `${this.#name} was told of a gap that it has not`);
      this.#next = event.to + 1;
    }
  }

  #message({ epoch, sequence, bytes }: Extract<Publication, { kind: 'message' }>): void {
    const what = `${this.#name} got ${sequence} of run ${this.#runs.indexOf(epoch)}`;
    if (this.#next !== undefined && sequence !== this.#next) {
      throw new Violation('once and in order', `${what} where ${this.#next} comes next`);
    }
    this.lastNumber = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
    if (this.#published.get(epoch)?.[sequence - 1] !== this.lastNumber) throw new Violation('origin', what);
    this.#epoch = epoch;
    this.#next = sequence + 1;
  }
}

class Market {
  readonly readers: { readonly host: PubSubHost; check: ReaderCheck; processes: number }[] = [];
  readonly mesh: PubSubWorld;
  readonly publisher: PubSubHost;
  readonly #published = new Map<number, number[]>();
  readonly #runs: number[] = [];
  #count = 0;
  #failure: unknown;

  constructor(world: SimWorld, seed: number, rng: SeededRng) {
    this.mesh = new PubSubWorld({
      world,
      realCrypto: seed % 5 === 0,
      lossDetectionMs: 3_000,
      record: false,
      publisher: { publicationFanOut: 2 + rng.int(2) },
    });
    this.publisher = this.mesh.add('publisher');
    const readers = 6 + rng.int(8);
    for (let i = 0; i < readers; i++) {
      const host = this.mesh.add(`reader-${i}`);
      this.readers.push({ host, check: this.#check(host), processes: 0 });
    }
  }

  #check(host: PubSubHost): ReaderCheck {
    return new ReaderCheck(host.name, this.#published, this.#runs);
  }

  get count(): number {
    return this.#count;
  }

  publish(): void {
    if (this.mesh.world.machine('publisher')?.running !== true) return;
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, ++this.#count);
    const { epoch, sequence } = this.publisher.pubsub.publisher.publish(TOPIC, bytes);
    const run = this.#published.get(epoch) ?? [];
    if (run.length === 0) {
      this.#published.set(epoch, run);
      this.#runs.push(epoch);
    }
    run[sequence - 1] = this.#count;
  }

  /** A reader that was killed subscribes anew with its next process, from now on. */
  subscribeAll(): void {
    for (const reader of this.readers) {
      const machine = this.mesh.world.machine(reader.host.name);
      if (machine?.running !== true || machine.starts === reader.processes) continue;
      reader.processes = machine.starts;
      const check = this.#check(reader.host);
      reader.check = check;
      const read = async (): Promise<void> => {
        const topic = `${this.publisher.peer}/${TOPIC}`;
        for await (const event of reader.host.pubsub.subscriber.subscribe(topic, {})) check.take(event);
      };
      read().catch(error => {
        this.#failure ??= error;
      });
    }
  }

  async run(durationMs: number): Promise<void> {
    const { scheduler } = this.mesh.world;
    const end = scheduler.nowMs + durationMs;
    while (scheduler.nowMs < end) {
      this.subscribeAll();
      await this.mesh.run(STEP_MS, STEP_MS);
      if (this.#failure !== undefined) throw this.#failure;
    }
  }
}

export const pubsubScenario: Scenario = {
  name: 'pubsub',
  faults: ['jitter', 'drop', 'clog', 'crash', 'pause', 'clock-jump', 'partition-two-way', 'hostile-relay'],
  play: async (world, seed) => {
    const rng = world.rng.fork('conditions');
    const market = new Market(world, seed, rng);
    await market.run(500);
    world.network.setUsual({
      delayMs: rng.between(0.5, 15),
      jitterMs: rng.chance(0.7) ? rng.between(0.1, 5) : 0,
      loss: rng.chance(0.4) ? rng.between(0.001, 0.05) : 0,
    });
    unleash(world, market, rng);
    for (let at = 0; at < FAULTY_MS; at += rng.between(1, 40)) world.scheduler.after(at, () => market.publish());
    await market.run(FAULTY_MS);
    heal(world, market);
    await market.run(5_000); // until sessions that a fault ended are noticed
    market.publish();
    await settle(market);
    market.publish();
    await settle(market);
  },
};

function unleash(world: SimWorld, market: Market, rng: SeededRng): void {
  const { network, scheduler } = world;
  const sometimes = (times: number, act: () => void): void => {
    for (let i = 0; i < times; i++) scheduler.after(rng.between(0, 0.8 * FAULTY_MS), act);
  };
  const some = (probability: number, most: number): number => (rng.chance(probability) ? 1 + rng.int(most) : 0);
  const names = market.readers.map(({ host }) => host.name);
  const crash = (name: string, jumpMs: number): void => {
    const machine = world.machine(name);
    machine?.crash();
    if (jumpMs !== 0) machine?.jumpClock(jumpMs);
    scheduler.after(rng.between(50, 2_000), () => {
      if (machine?.running === false) machine.restart();
    });
  };
  sometimes(some(0.6, 3), () => crash(rng.pick(names), 0));
  sometimes(some(0.3, 1), () => crash('publisher', rng.chance(0.5) ? -60_000 : 0));
  for (const name of rng.shuffle(names).slice(0, some(0.6, 3))) {
    sometimes(1, () => {
      const share = rng.between(0.3, 1);
      market.mesh.host(name).onSend = (_to, { kind }) => {
        if (kind !== 'flush' || !rng.chance(share)) return true;
        world.faults.count('hostile-relay');
        return false;
      };
    });
  }
  sometimes(some(0.4, 2), () => network.clog(rng.pick(names), rng.pick(names), rng.between(20, 800)));
  sometimes(some(0.3, 2), () => rng.pick(world.machines).pause(rng.between(10, 500)));
  sometimes(some(0.3, 1), () => {
    const cut = 1 + rng.int(names.length - 1);
    network.partition([names.slice(0, cut), [...names.slice(cut), 'publisher']]);
    scheduler.after(rng.between(50, 2_000), () => network.heal());
  });
}

function heal(world: SimWorld, market: Market): void {
  world.network.heal();
  world.network.setUsual({ loss: 0, jitterMs: 0 });
  for (const { host } of market.readers) host.onSend = sendAll;
  for (const machine of world.machines) if (!machine.running) machine.restart();
}

async function settle(market: Market): Promise<void> {
  const { scheduler } = market.mesh.world;
  const end = scheduler.nowMs + SETTLING_MS;
  const behind = (): string[] =>
    market.readers.filter(({ check }) => check.lastNumber < market.count).map(({ host }) => host.name);
  while (behind().length > 0) {
    if (scheduler.nowMs >= end)
      throw new Violation('liveness', `${behind().join(', ')} lack publication ${market.count}`);
    await market.run(50);
  }
}
