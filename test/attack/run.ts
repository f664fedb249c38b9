/** One run: every attack over every transport, idle and attacked windows in turn, so that ratios hold on a busy machine. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Listener } from '../../lib/transport.js';
import { ATTACKS, type Attack, type Recordings } from './attacks.js';
import { openHonestly, SteadyTraffic } from './honest.js';
import { inBetween, type Meddling, mirror } from './in-between.js';
import { keepApart, Strangers, Victim } from './processes.js';
import type { AttackOutcome } from './strangers.js';
import type { VictimState } from './victim.js';
import { TRANSPORTS, type TransportName } from './wire.js';

export interface RunOptions {
  readonly rounds: number;
  /** How long each idle and each attacked window is. */
  readonly windowMs: number;
  /** Share of each attack's connections that is made. */
  readonly share: number;
  /** Only attacks whose name contains this. */
  readonly only: string;
  readonly transports: readonly TransportName[];
}

export interface AttackLine {
  readonly type: 'attack';
  readonly name: string;
  readonly transport: TransportName;
  readonly figure: Readonly<Record<string, number>>;
  readonly bar: Readonly<Record<string, number>>;
  readonly pass: boolean;
}

/** What a flood of 10,000 may pin, and by how much it may slow down others (C4). */
const MAX_GROWTH_BYTES = 16 * 1_048_576;
const MAX_RATIO = 2;
/** Strangers' half of `maxHalfOpen`, and one newcomer. */
const MAX_HALF_OPEN = 513;
/** An attack goes on for so long after its measured window, while the memory that it holds is read. */
const HOLD_MS = 800;
/** After this all limits of a half-open connection have passed. */
const SETTLE_MS = 6_000;

function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** The median of the windows: one in which the machine did something else does not count. */
function typical(windows: readonly (readonly number[])[], share: number): number {
  return percentile(
    windows.map(samples => percentile(samples, share)),
    0.5,
  );
}

const round = (value: number): number => Math.round(value * 1_000) / 1_000;

/** A line passes when every figure that has a bar is at most that: or exactly that, where the bar's name says so. */
function judge(
  name: string,
  transport: TransportName,
  figure: Record<string, number>,
  bars: { readonly below?: Record<string, number>; readonly exactly?: Record<string, number> },
): AttackLine {
  const { below = {}, exactly = {} } = bars;
  const pass =
    Object.entries(below).every(([key, most]) => (figure[key] ?? Number.NaN) < most) &&
    Object.entries(exactly).every(([key, value]) => figure[key] === value);
  return { type: 'attack', name, transport, figure, bar: { ...below, ...exactly }, pass };
}

class Run {
  readonly #options: RunOptions;
  readonly #victim: Victim;
  readonly #strangers: Strangers;

  constructor(options: RunOptions, victim: Victim, strangers: Strangers) {
    this.#options = options;
    this.#victim = victim;
    this.#strangers = strangers;
  }

  async *lines(): AsyncGenerator<AttackLine> {
    const { only, transports } = this.#options;
    for (const transport of transports) {
      const port = this.#victim.ready.ports[transport];
      const recordings = await this.#record(transport, port);
      for (const attack of ATTACKS) {
        if (!attack.transports.includes(transport) || !attack.name.includes(only)) continue;
        yield await this.#attacked(attack, transport, port, recordings);
      }
      for (const meddling of ['reflect', 'repeat', 'swap'] as const) {
        if (`${meddling}-records`.includes(only)) yield await this.#meddled(meddling, transport, port);
      }
      if ('reflect-handshakes'.includes(only)) yield await this.#mirrored(transport);
    }
  }

  /** Two honest handshakes, XX and IK, with a record each, as somebody on the way would record them. */
  async #record(transport: TransportName, port: number): Promise<Recordings> {
    const xx: Uint8Array[] = [];
    const ik: Uint8Array[] = [];
    for (const [into, remoteStatic] of [
      [xx, undefined],
      [ik, this.#victim.ready.staticKey],
    ] as const) {
      const traffic = new SteadyTraffic(await openHonestly(transport, port, remoteStatic, into));
      while (traffic.samples.length < 10) await sleep(10);
      traffic.stop();
    }
    return { xx: xx.slice(0, 4), ik: ik.slice(0, 4) };
  }

  async #attacked(attack: Attack, transport: TransportName, port: number, recordings: Recordings): Promise<AttackLine> {
    const { rounds, windowMs, share } = this.#options;
    const traffic = new SteadyTraffic(await openHonestly(transport, port));
    const idle: number[][] = [];
    const attacked: number[][] = [];
    const total = { connections: 0, dropped: 0, refused: 0, answered: 0, kept: 0 };
    let newcomers = 0;
    await sleep(500);
    const before = await this.#victim.state();
    let held = before;
    for (let i = 0; i < rounds; i++) {
      idle.push(await this.#measure(traffic, windowMs));
      const count = Math.ceil((attack.count * share) / rounds);
      const order = { attack: attack.name, transport, port, recordings, count, firstIndex: i * count };
      const underWay = this.#strangers.attack({ ...order, durationMs: windowMs + HOLD_MS });
      attacked.push(await this.#measure(traffic, windowMs));
      newcomers += await this.#newcomer(transport, port);
      held = largest(held, await this.#victim.state());
      const outcome: AttackOutcome = await underWay;
      for (const key of Object.keys(total) as (keyof AttackOutcome)[]) total[key] += outcome[key];
      await sleep(500);
    }
    const after = await this.#settled();
    const wasUp = !traffic.isDown && traffic.missing < 100;
    traffic.stop();
    const [idleP99, attackedP99] = [typical(idle, 0.99), typical(attacked, 0.99)];
    const figure = {
      ...total,
      channels: after.opened - before.opened - newcomers,
      halfOpen: held.gate.halfOpen,
      halfOpenAfter: after.gate.halfOpen,
      gateRefused: after.gate.refused - before.gate.refused,
      gateEvicted: after.gate.evicted - before.gate.evicted,
      handshakeMs: round(after.gate.spentMs - before.gate.spentMs),
      heldBytes: held.usedBytes - before.usedBytes,
      keptBytes: after.usedBytes - before.usedBytes,
      rssBytes: held.rssBytes - before.rssBytes,
      idleP50Ms: round(typical(idle, 0.5)),
      idleP99Ms: round(idleP99),
      attackedP50Ms: round(typical(attacked, 0.5)),
      attackedP99Ms: round(attackedP99),
      p99Ratio: round(attackedP99 / idleP99),
      newcomers,
      establishedUp: Number(wasUp),
    };
    return judge(attack.name, transport, figure, {
      below: {
        heldBytes: MAX_GROWTH_BYTES,
        keptBytes: MAX_GROWTH_BYTES,
        p99Ratio: MAX_RATIO,
        halfOpen: MAX_HALF_OPEN,
      },
      exactly: {
        ...(attack.isWhole && { connections: attack.count * share }),
        channels: 0,
        halfOpenAfter: 0,
        newcomers: rounds,
        establishedUp: 1,
      },
    });
  }

  /** The victim once it has got rid of all strangers, or should have. */
  async #settled(): Promise<VictimState> {
    const begun = performance.now();
    for (;;) {
      await sleep(500);
      const state = await this.#victim.state();
      if (state.gate.halfOpen === 0 || performance.now() - begun > SETTLE_MS) return state;
    }
  }

  async #measure(traffic: SteadyTraffic, ms: number): Promise<number[]> {
    traffic.samples = [];
    await sleep(ms);
    const { samples } = traffic;
    traffic.samples = [];
    return samples;
  }

  /** 1 when a new peer from an address that is known gets a channel now. */
  async #newcomer(transport: TransportName, port: number): Promise<number> {
    try {
      (await openHonestly(transport, port)).destroy();
      return 1;
    } catch {
      return 0; // counted against the bar
    }
  }

  /** Somebody between an honest peer and the victim meddles with one record: the victim ends that channel, and only it. */
  async #meddled(meddling: Meddling, transport: TransportName, port: number): Promise<AttackLine> {
    const { listener, meddle } = await inBetween(transport, port, meddling);
    const before = await this.#victim.state();
    const traffic = new SteadyTraffic(await openHonestly(transport, portOf(listener)));
    while (traffic.samples.length < 10) await sleep(10);
    meddle();
    for (let i = 0; i < 200 && !traffic.isDown; i++) await sleep(10);
    const after = await this.#victim.state();
    traffic.stop();
    await listener.close();
    const detected = (after.ended['DECRYPT_FAILED'] ?? 0) - (before.ended['DECRYPT_FAILED'] ?? 0);
    return judge(`${meddling}-records`, transport, { detected }, { exactly: { detected: 1 } });
  }

  /** The victim dials somebody who says what the victim says. */
  async #mirrored(transport: TransportName): Promise<AttackLine> {
    const listener = await mirror(transport);
    const before = await this.#victim.state();
    let refused = 0;
    for (let i = 0; i < 20; i++) refused += Number((await this.#victim.dial(listener.address)) === 'HANDSHAKE_FAILED');
    const channels = (await this.#victim.state()).opened - before.opened;
    await listener.close();
    return judge('reflect-handshakes', transport, { refused, channels }, { exactly: { refused: 20, channels: 0 } });
  }
}

function largest(a: VictimState, b: VictimState): VictimState {
  const gate = a.gate.halfOpen > b.gate.halfOpen ? a.gate : b.gate;
  const most = { usedBytes: Math.max(a.usedBytes, b.usedBytes), rssBytes: Math.max(a.rssBytes, b.rssBytes) };
  return { ...b, ...most, gate };
}

const portOf = (listener: Listener): number => Number(new URL(listener.address).port);

/** Yields a line for each attack. Starts and ends its processes. */
export async function* attackRun(options: Partial<RunOptions> = {}): AsyncGenerator<AttackLine> {
  const victim = await Victim.start();
  const strangers = new Strangers();
  try {
    keepApart(victim, strangers);
    const all: RunOptions = { rounds: 5, windowMs: 1_600, share: 1, only: '', transports: TRANSPORTS, ...options };
    yield* new Run(all, victim, strangers).lines();
  } finally {
    strangers.stop();
    victim.stop();
  }
}
