/** One run: a fresh diamond over delaying links, traffic, a fault at the relay of the active path, and what came of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Child } from './child.js';
import { monotonicMs } from './clock.js';
import { Diamond, type RelayName } from './diamond.js';
import type { Counters, NodeAnswers, NodeEvent, Sent, TrafficClass } from './node-process.js';
import type { Forwarded } from './operator.js';
import type { ProxyAnswers, ProxyRequest } from './proxy-process.js';
import { type RunResult, resultOf, type Traffic } from './result.js';
import type { Scenario } from './scenarios.js';

export interface RunOptions {
  readonly scenario: Scenario;
  readonly run: number;
  /** Of each path; a quarter of it is each direction of each link. */
  readonly rttMs: number;
  readonly ratePerSecond: number;
  readonly class: TrafficClass;
  readonly watchMs: number;
}

/** Estimators get their baselines. */
const WARM_UP_MS = 3_000;
/** After the traffic left the relay it goes on for so long. */
const AFTER_SWITCH_MS = 2_000;
const SETTLE_MS = 10_000;
/** A frozen process gets on again and sends what it held. */
const THAWED_MS = 500;
const QUIET_MS = 3_000;
const IDLE_MS = 30_000;
const PROXY = new URL('./proxy-process.ts', import.meta.url);
/** Of a liar: its links take this part of an honest one's time, and before it lies so much more. */
const FAST_SHARE = 1 / 3;
const SLOW_SHARE = 3;
const RELAYS: readonly RelayName[] = ['a', 'b'];

export async function runOnce(options: RunOptions): Promise<RunResult> {
  const proxy = new Child<ProxyRequest>('the proxy', PROXY);
  const events: NodeEvent[] = [];
  try {
    const linkMs = options.rttMs / 4;
    const isSlow = options.scenario.fault.kind === 'lie';
    const diamond = await Diamond.start({
      listenAt: () => 'tcp://127.0.0.1:0',
      dialAt: async (from, relay, target) => {
        const delayMs = isSlow && relay === 'a' ? linkMs * SLOW_SHARE : linkMs;
        const link: ProxyRequest = { kind: 'open', name: `${from}-${relay}`, target, delayMs };
        return (await proxy.ask<ProxyAnswers['open']>(link)).address;
      },
      onRoute: event => events.push(event),
    });
    try {
      return await new Run(options, diamond, proxy, events).play();
    } finally {
      await diamond.end();
    }
  } finally {
    await proxy.end();
  }
}

class Run {
  readonly #options: RunOptions;
  readonly #diamond: Diamond;
  readonly #proxy: Child<ProxyRequest>;
  readonly #events: readonly NodeEvent[];

  constructor(options: RunOptions, diamond: Diamond, proxy: Child<ProxyRequest>, events: readonly NodeEvent[]) {
    this.#options = options;
    this.#diamond = diamond;
    this.#proxy = proxy;
    this.#events = events;
  }

  async play(): Promise<RunResult> {
    const { scenario, run, rttMs, ratePerSecond, watchMs } = this.#options;
    const diamond = this.#diamond;
    const peer = diamond.peers.destination;
    await diamond.ask('source', { kind: 'send', peer, ratePerSecond, class: scenario.class ?? this.#options.class });
    await sleep(WARM_UP_MS);
    const { routes } = await diamond.view();
    const active = routes.find(({ role }) => role === 'active');
    const standby = routes.find(({ role }) => role === 'standby');
    const bad = scenario.fault.kind === 'lie' ? 'a' : diamond.relayOf(active?.route[0]);
    if (bad === undefined || active === undefined) throw new Error('the source has no active path');
    await this.#proxy.ask({ kind: 'lateness' }); // that of the start does not count

    const before = await this.#traffic();
    const faultAtMs = await this.#begin(bad);
    await this.#watch(faultAtMs, bad, watchMs);
    const endedAtMs = monotonicMs();
    const after = await this.#traffic(
      scenario.fault.kind === 'kill' || scenario.fault.kind === 'freeze' ? bad : undefined,
    );
    if (scenario.fault.kind === 'freeze') {
      diamond.signal(bad, 'SIGCONT');
      await sleep(THAWED_MS);
    }
    const { cheapest, why } = await diamond.view();
    const sent = await diamond.ask<Sent>('source', { kind: 'stop-sending' });
    const arrivals = await diamond.settle(sent.count, SETTLE_MS);
    const lateness = await this.#proxy.ask<ProxyAnswers['lateness']>({ kind: 'lateness' });
    return resultOf({
      ...{
        scenario: scenario.name,
        run,
        rttMs,
        ratePerSecond,
        faultAtMs,
        endedAtMs,
        sent,
        arrivals,
        lateness,
        cheapest,
        why,
      },
      ...{ events: this.#events, bad: diamond.peers[bad], isFault: scenario.fault.kind !== 'none' },
      ptoMs: active.ptoMs,
      alternateOneWayMs: (standby?.rttMs ?? Number.NaN) / 2,
      ...(scenario.fault.kind === 'none' && { busy: { before, after }, idle: await this.#idle() }),
    });
  }

  /** Begins the fault; returns when that was. */
  async #begin(bad: RelayName): Promise<number> {
    const { fault } = this.#options.scenario;
    const diamond = this.#diamond;
    switch (fault.kind) {
      case 'behave':
        return (await diamond.ask<NodeAnswers['behave']>(bad, { kind: 'behave', behaviour: fault.behaviour })).atMs;
      case 'kill':
      case 'freeze': {
        const atMs = monotonicMs();
        diamond.signal(bad, fault.kind === 'kill' ? 'SIGKILL' : 'SIGSTOP');
        return atMs;
      }
      case 'lie':
        return this.#lie(bad);
      case 'none':
        for (const relay of RELAYS) {
          const behaviour = { kind: 'drop', share: 0.001, direction: 'both' } as const;
          await diamond.ask(relay, { kind: 'behave', behaviour });
        }
        // Not the relays: one that forwards nothing for 80 ms has to be left, as a crashed one (R1).
        for (const place of ['source', 'destination'] as const)
          await diamond.ask(place, { kind: 'stall', fromMs: 20, toMs: 80, everyMs: 10_000 });
        return monotonicMs();
    }
  }

  /**
   * Its links break and come back quick, so that both neighbours measure and sign a low cost for it; the data that it
   * forwards it holds for longer than the honest relay takes. To forge the cost itself it would need both neighbours.
   */
  async #lie(bad: RelayName): Promise<number> {
    const { rttMs } = this.#options;
    for (const from of ['source', 'destination'])
      await this.#proxy.ask({ kind: 'renew', name: `${from}-${bad}`, delayMs: (rttMs / 4) * FAST_SHARE });
    const behaviour = { kind: 'delay', delayMs: rttMs } as const;
    return (await this.#diamond.ask<NodeAnswers['behave']>(bad, { kind: 'behave', behaviour })).atMs;
  }

  async #watch(faultAtMs: number, bad: RelayName, watchMs: number): Promise<void> {
    const badPeer = this.#diamond.peers[bad];
    let leaveAtMs = faultAtMs + watchMs;
    let left = false;
    while (monotonicMs() < leaveAtMs) {
      await sleep(20);
      if (left || !this.#options.scenario.untilSwitch) continue;
      left = this.#events.some(
        ({ event, atMs }) => atMs >= faultAtMs && event.kind === 'switch' && event.to && !event.to.includes(badPeer),
      );
      if (left) leaveAtMs = monotonicMs() + AFTER_SWITCH_MS;
    }
  }

  /** What has passed so far, except at a relay that cannot answer. */
  async #traffic(mute?: RelayName): Promise<Traffic> {
    const diamond = this.#diamond;
    const asked = RELAYS.filter(relay => relay !== mute).map(relay =>
      diamond.ask<Forwarded>(relay, { kind: 'forwarded' }),
    );
    return {
      linkBytes: await this.#proxy.ask<ProxyAnswers['bytes']>({ kind: 'bytes' }),
      forwarded: await Promise.all(asked),
      source: await diamond.ask<Counters>('source', { kind: 'counters', peer: diamond.peers.destination }),
      atMs: monotonicMs(),
    };
  }

  async #idle(): Promise<{ readonly before: Traffic; readonly after: Traffic }> {
    await sleep(QUIET_MS);
    const before = await this.#traffic();
    await sleep(IDLE_MS);
    return { before, after: await this.#traffic() };
  }
}
