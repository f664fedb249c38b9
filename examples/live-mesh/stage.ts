/**
 * The stage manager: starts the nodes, plays the orders at their times, makes things go wrong, waits until all is settled
 * and gives the verdict. What it knows of the mesh is what the nodes report.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Character, castTheMesh } from './cast.js';
import type { Actor, Command, NodeConfig, OrderRequest, PathReport, Report, Spawn } from './messages.js';
import { encodedCommittees, NETWORK_ID, peerOfSeed, VICTIM } from './network.js';
import { crosses, Offenders } from './offenders.js';
import type { PartyState, Picture } from './page.js';
import { Processor } from './processor.js';
import type { Trade } from './replay.js';
import { type Measured, type Summary, Tally } from './tally.js';
import { DEEDS, type Deed, relaysToSpare } from './trouble.js';

/** Victim orders per second that the front-runner is shown, in both modes. */
const MIRRORED_PER_SECOND = 20;
/** Trades closer than this are one burst, as when one large order sweeps the book: one bot sends them. */
const SAME_BURST_MS = 0.5;
const START_TIMEOUT_MS = 60_000;
const SETTLE_TIMEOUT_MS = 60_000;
const MAX_EVENTS = 12;
/** Relays that stay honest and up. */
const SPARED_RELAYS = 4;

export interface StageOptions {
  readonly seconds: number;
  readonly speed: number;
  readonly spawn: Spawn;
  /** A line for people and for `--json`. */
  readonly onEvent: (event: { readonly atSeconds: number; readonly what: string } & Record<string, unknown>) => void;
}

export class Stage {
  readonly tally: Tally = new Tally();
  readonly #options: StageOptions;
  readonly #cast: Character[];
  readonly #folder = mkdtempSync(join(tmpdir(), 'hopfair-live-mesh-'));
  readonly #actors = new Map<string, Actor>();
  readonly #addresses = new Map<string, string>();
  readonly #states = new Map<string, PartyState>();
  readonly #ready = new Set<string>();
  readonly #drained = new Set<string>();
  readonly #paths = new Map<string, readonly PathReport[]>();
  readonly #views = new Map<string, string>();
  readonly #deeds = new Map<string, Deed>();
  readonly #offenders = new Offenders();
  readonly #processor = new Processor();
  /** Relays that may turn hostile or die. */
  readonly #expendable: Set<string>;
  readonly #replicas = new Map<string, number>();
  readonly #events: string[] = [];
  #view: { view: number; leader: number; height: number } = { view: 0, leader: 0, height: 0 };
  #phase = 'starting';
  #startedAt = performance.now();
  #fatal: string | undefined;

  constructor(options: StageOptions) {
    this.#options = options;
    this.#cast = castTheMesh(peerOfSeed);
    const spared = relaysToSpare(this.#cast, SPARED_RELAYS);
    const relays = this.#cast.filter(({ role }) => role === 'relay').map(({ name }) => name);
    this.#expendable = new Set(relays.filter(name => !spared.includes(name)));
  }

  /** Runs the whole play. Rejects when a node cannot start or dies unasked. */
  async run(trades: AsyncIterable<Trade> | Iterable<Trade>): Promise<Summary & Measured> {
    try {
      await this.#start();
      await Promise.all([this.#play(trades), this.#makeTrouble()]);
      await this.#settle();
      const measured = { offenders: this.#offenders.reports(this.#activeRoutes()), ...this.#processor.summary() };
      return { ...this.tally.summary(), ...measured };
    } finally {
      await this.#stop();
    }
  }

  picture(): Picture {
    const { tally } = this;
    const tail = tally.tail(8);
    const frontRun = (mode: 'plain' | 'sealed') => {
      const { tried, won } = tally.frontRun(mode);
      return tried === 0 ? 'none yet' : `${won} of ${tried} won`;
    };
    const { p50, p99 } = tally.latencyMs();
    const delivered = tally.delivered;
    const length = tally.logLength;
    return {
      elapsedSeconds: this.#elapsed(),
      phase: this.#phase,
      parties: this.#cast.map(({ name, role }) => {
        const deed = this.#deeds.get(name);
        const label = deed === undefined ? undefined : DEEDS[deed].label;
        return { name, role, state: this.#states.get(name) ?? 'up', ...(label !== undefined && { deed: label }) };
      }),
      routes: [...this.#paths].flatMap(([from, paths]) =>
        paths.map(({ to, route, role, rttMs, quarantined }) => {
          return { from, to, relays: route === '' ? [] : route.split(' > '), role, rttMs, quarantined };
        }),
      ),
      offenders: this.#offenders.reports(this.#activeRoutes()).map(report => ({
        ...report,
        what: DEEDS[report.deed].what,
      })),
      cpuSecondsPer10s: this.#processor.summary().cpuSecondsPer10s,
      committee: { view: this.#view.view, leader: this.#leaderName(), height: this.#view.height },
      counts: { submitted: tally.submitted, delivered, p50Ms: p50, p99Ms: p99 },
      frontRun: { plain: frontRun('plain'), sealed: frontRun('sealed') },
      tail: tail.map((entry, i) => ({ index: Math.max(0, length - tail.length) + i, ...entry })),
      events: [...this.#events].reverse(),
    };
  }

  /** Where the node shows what it knows: bots do. */
  viewOf(name: string): string | undefined {
    return this.#views.get(name);
  }

  peerOf(name: string): string | undefined {
    return this.#cast.find(one => one.name === name)?.peer;
  }

  /** Of bots. */
  #activePaths(): readonly { readonly flow: string; readonly route: string }[] {
    const bots = [...this.#paths].filter(([name]) => this.#character(name).role === 'bot');
    return bots.flatMap(([from, paths]) =>
      paths.filter(({ role }) => role === 'active').map(({ to, route }) => ({ flow: `${from} > ${to}`, route })),
    );
  }

  #activeRoutes(): readonly string[] {
    return this.#activePaths().map(({ route }) => route);
  }

  #elapsed(): number {
    return (performance.now() - this.#startedAt) / 1000;
  }

  #leaderName(): string {
    return `member-${this.#view.leader + 1}`;
  }

  #say(what: string, fields: Record<string, unknown> = {}): void {
    const atSeconds = Math.round(this.#elapsed() * 10) / 10;
    this.#events.push(`${atSeconds.toFixed(1)} s: ${what}`);
    if (this.#events.length > MAX_EVENTS) this.#events.shift();
    this.#options.onEvent({ atSeconds, what, ...fields });
  }

  // Starting and stopping

  async #start(): Promise<void> {
    for (const role of ['relay', 'rest'] as const) {
      const now = this.#cast.filter(one => (one.role === 'relay') === (role === 'relay'));
      for (const one of now) {
        this.#spawn(one);
        // A relay's address must be known before the next one dials it.
        if (role === 'relay')
          await this.#until(() => this.#ready.has(one.name), START_TIMEOUT_MS, `${one.name} to start`);
      }
      const missing = () => now.filter(one => !this.#ready.has(one.name)).map(one => one.name);
      await this.#until(
        () => missing().length === 0,
        START_TIMEOUT_MS,
        () => `${missing().join(', ')} to start`,
      );
    }
    this.#say(`the mesh is up: ${this.#cast.length} nodes`);
    this.#processor.start();
    this.#startedAt = performance.now();
  }

  #spawn(one: Character): void {
    const config: NodeConfig = {
      ...{ name: one.name, role: one.role, seeds: one.seeds, league: one.league, networkId: NETWORK_ID },
      parties: this.#cast.map(({ name, role, peer, operator }) => ({ name, role, peer, operator })),
      dial: one.dials.map(relay => ({ peer: this.#character(relay).peer, address: this.#addresses.get(relay) ?? '' })),
      committees: encodedCommittees(this.#cast.filter(({ role }) => role === 'member').map(({ peer }) => peer)),
      dataFolder: join(this.#folder, one.name),
    };
    this.#states.set(one.name, 'up');
    this.#actors.set(
      one.name,
      this.#options.spawn(config, report => this.#onReport(one.name, report)),
    );
  }

  #character(name: string): Character {
    const found = this.#cast.find(one => one.name === name);
    if (found === undefined) throw new Error(`nobody is called ${name}`);
    return found;
  }

  async #stop(): Promise<void> {
    for (const actor of this.#actors.values()) actor.send({ kind: 'stop' });
    await sleep(300); // processes end by themselves; whoever has not by then is killed
    await Promise.all([...this.#actors.values()].map(actor => actor.kill()));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #onReport(name: string, report: Report): void {
    switch (report.kind) {
      case 'ready':
        if (report.addresses[0] !== undefined) this.#addresses.set(name, report.addresses[0]);
        if (report.view !== undefined) this.#views.set(name, report.view);
        this.#ready.add(name);
        break;
      case 'paths':
        this.#paths.set(name, report.paths);
        break;
      case 'processor':
        this.#processor.add(name, report.cpuMs);
        break;
      case 'route': {
        const { flow, from, to, trigger } = report.event;
        this.#offenders.left(flow, from, to, performance.now());
        this.#say(`${flow} leaves ${from} for ${to} (${trigger})`, report.event as never);
        break;
      }
      case 'suspicion': {
        const { suspect, cleared } = report;
        this.#offenders.named(name, suspect, cleared, performance.now());
        this.#say(`${name} ${cleared ? 'clears' : 'suspects'} ${suspect.join(' - ')}`, {
          flow: name,
          suspect,
          cleared,
        });
        break;
      }
      case 'state':
        this.#replicas.set(name, report.applied);
        break;
      case 'view':
        if (report.view > this.#view.view) this.#view = report;
        break;
      case 'failed-order':
        this.#say(`${report.order} failed in the ${report.mode} log: ${report.reason}`);
        break;
      case 'drained':
        this.#drained.add(name);
        break;
      case 'fatal':
        if (this.#states.get(name) !== 'down') this.#fatal ??= `${name}: ${report.reason}`;
        break;
    }
    this.tally.add(name, report);
  }

  /** Waits for a condition that reports change; rejects with what was waited for. */
  async #until(condition: () => boolean, timeoutMs: number, what: string | (() => string)): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    while (!condition()) {
      if (this.#fatal !== undefined) throw new Error(this.#fatal);
      if (performance.now() > deadline)
        throw new Error(`waited ${timeoutMs / 1000} s for ${typeof what === 'string' ? what : what()}`);
      await sleep(20);
    }
    return true;
  }

  #send(name: string, command: Command): void {
    this.#actors.get(name)?.send(command);
  }

  // The orders

  /** Hands each burst of trades to the next bot at its time; ends after the options' seconds or with the last trade. */
  async #play(trades: AsyncIterable<Trade> | Iterable<Trade>): Promise<void> {
    this.#phase = 'trading';
    const bots = this.#cast.filter(({ role }) => role === 'bot').map(({ name }) => name);
    const waiting = new Map<string, OrderRequest[]>(bots.map(bot => [bot, []]));
    const started = performance.now();
    let flushed = started;
    let reference = 0;
    let mirrored = 0;
    let turn = 0;
    let lastDueMs = Number.NEGATIVE_INFINITY;
    const flush = () => {
      flushed = performance.now();
      for (const [bot, orders] of waiting)
        if (orders.length > 0) this.#send(bot, { kind: 'orders', orders: orders.splice(0) });
    };
    for await (const trade of trades) {
      const dueMs = trade.atMs / this.#options.speed;
      if (dueMs > this.#options.seconds * 1000) break;
      const aheadMs = dueMs - (performance.now() - started);
      if (aheadMs > 2 || performance.now() - flushed > 20) {
        flush();
        await sleep(Math.max(0, Math.min(aheadMs, 2 ** 31 - 1)));
      }
      if (this.#fatal !== undefined) throw new Error(this.#fatal);
      if (dueMs - lastDueMs > SAME_BURST_MS) turn++;
      lastDueMs = dueMs;
      const bot = bots[turn % bots.length] as string;
      const { side, price, quantity } = trade;
      const shown = bot === VICTIM && mirrored < (dueMs / 1000) * MIRRORED_PER_SECOND;
      if (shown) mirrored++;
      waiting.get(bot)?.push({ reference: reference++, side, price, quantity, mirrored: shown });
    }
    flush();
    const restMs = this.#options.seconds * 1000 - (performance.now() - started);
    if (restMs > 0) this.#say('the recording is over');
  }

  // What goes wrong

  /** Three relays turn hostile, one dies, the leader is killed and comes back: at fixed shares of the run. */
  async #makeTrouble(): Promise<void> {
    const at = async (share: number) => {
      await sleep(Math.max(0, share * this.#options.seconds * 1000 - this.#elapsed() * 1000));
      if (this.#fatal !== undefined) throw new Error(this.#fatal);
    };
    await at(0.12);
    this.#corrupt('drop');
    await at(0.28);
    this.#corrupt('delay');
    await at(0.42);
    this.#corrupt('on-off');

    await at(0.56);
    const dying = this.#busiestRelay();
    this.#states.set(dying, 'down');
    await this.#kill(dying);
    this.#say(`${dying} dies`);

    await at(0.68);
    const leader = this.#leaderName();
    this.#states.set(leader, 'down');
    await this.#kill(leader);
    this.#say(`${leader} is killed while it leads view ${this.#view.view}`);

    await at(0.8);
    this.#spawn(this.#character(leader));
    await this.#until(() => this.#ready.has(leader), START_TIMEOUT_MS, `${leader} to come back`);
    this.#say(`${leader} is back with its log`);
  }

  #corrupt(deed: Deed): void {
    const relay = this.#busiestRelay();
    this.#states.set(relay, 'hostile');
    this.#deeds.set(relay, deed);
    const crossing = this.#activePaths().filter(({ route }) => crosses(route, relay));
    const flows = crossing.map(({ flow }) => flow);
    this.#offenders.begin(relay, deed, Math.round(this.#elapsed() * 10) / 10, performance.now(), flows);
    this.#send(relay, { kind: 'misbehave', deed });
    this.#say(`${relay} turns hostile: it ${DEEDS[deed].what}`, { relay, deed });
  }

  async #kill(name: string): Promise<void> {
    this.#ready.delete(name);
    this.#paths.delete(name);
    this.#processor.gone(name);
    await this.#actors.get(name)?.kill();
  }

  /** Of the relays that nobody depends on the healthy one that most active routes of bots cross. */
  #busiestRelay(): string {
    const routes = this.#activeRoutes();
    const load = (relay: string): number => routes.filter(route => crosses(route, relay)).length;
    const healthy = [...this.#expendable].filter(name => this.#states.get(name) === 'up');
    const [busiest] = healthy.sort((a, b) => load(b) - load(a));
    if (busiest === undefined) throw new Error('no healthy relay is left to turn');
    return busiest;
  }

  /** Waits until every order that was submitted is at both replicas, and these agree. */
  async #settle(): Promise<void> {
    this.#phase = 'settling';
    const clients = this.#cast.filter(({ role }) => role === 'bot' || role === 'front-runner').map(({ name }) => name);
    for (const name of clients) this.#send(name, { kind: 'drain' });
    const undrained = () => clients.filter(name => !this.#drained.has(name)).join(', ');
    // A replica reports its state once a second: wait for the one that holds the whole log.
    const current = () => [...this.#replicas.values()].every(applied => applied === this.tally.logLength);
    const settled = () => undrained() === '' && this.tally.delivered === this.tally.submitted && current();
    try {
      await this.#until(settled, SETTLE_TIMEOUT_MS, 'the last orders to arrive');
      await sleep(500); // the last reports of members, and whatever might still be delivered twice
      await this.#until(settled, SETTLE_TIMEOUT_MS, 'the replicas to take what came last');
    } catch (error) {
      // Not settled is a verdict, not a crash of the play: the summary says what is missing.
      const missing = this.tally.submitted - this.tally.delivered;
      this.#say(
        `not settled: ${(error as Error).message}; undrained: ${undrained() || 'nobody'}; missing orders: ${missing}`,
      );
    }
    this.#phase = 'over';
  }
}
