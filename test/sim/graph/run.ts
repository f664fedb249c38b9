/** One run over a topology: what link state costs when nothing, little and much happens, and how fast the dead are avoided. */
import type { PeerId } from '../../../lib/identity/peer-id.js';
import type { Candidate } from '../../../lib/route/index.js';
import { SeededRng } from '../../../lib/sim/index.js';
import { type Latencies, readLatencies, STEP_MS } from './latencies.js';
import { GraphOverlay, type Link, type OverlayNode } from './overlay.js';
import { drawTopology } from './topology.js';

export interface Quantiles {
  readonly mean: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** Bytes per second that a node sends and, besides, receives, over one phase. */
export interface Traffic {
  readonly sent: Quantiles;
  readonly received: Quantiles;
}

export interface GraphReport {
  readonly nodes: number;
  readonly degree: number;
  readonly latencies: string;
  readonly steady: Traffic;
  readonly slowLinks: Traffic;
  readonly restarts: Traffic;
  readonly massFailure: Traffic;
  /** Only when it was asked for: links of a tenth of the nodes are slow at once. */
  readonly storm?: Traffic;
  /** Milliseconds of this machine. */
  readonly recompute: { readonly onePath: Quantiles; readonly held: Quantiles };
  /** After a tenth of the nodes died: until no candidate names one of them, and until all candidates work. */
  readonly convergence: { readonly avoidsDeadMs: number; readonly allWorkMs: number; readonly pairs: number };
}

const SETTLE_MS = 2_000;
const PHASE_MS = 30_000;
/** One refresh of every list. */
const RESTARTS_MS = 60_000;
const GONE_MS = 10_000;
const LIMIT_MS = 10_000;
const LOOK_EVERY_MS = 20;
const SLICE_MS = 100;
const DESTINATIONS = 16;
const RECOMPUTATIONS = 2_000;
const WARM_UP = 500;
/** The median of so many counts, so that what else this machine does does not. */
const REPETITIONS = 3;

export class GraphRun {
  readonly #overlay: GraphOverlay;
  readonly #rng: SeededRng;
  readonly #latencies: Latencies;
  readonly #degree: number;
  readonly #byPeer: ReadonlyMap<PeerId, OverlayNode>;
  readonly #onProgress: (what: string) => void;

  constructor(seed: number, nodes: number, degree: number, onProgress: (what: string) => void) {
    this.#rng = new SeededRng(seed).fork('graph');
    this.#latencies = readLatencies(this.#rng.fork('latencies'));
    const topology = drawTopology(this.#rng.fork('topology'), nodes, degree, this.#latencies);
    this.#overlay = new GraphOverlay(seed, topology, (a, b) => this.#latencies.rttMs(a, b));
    this.#degree = (2 * topology.links.length) / nodes;
    this.#byPeer = new Map(this.#overlay.nodes.map(node => [node.peer, node]));
    this.#onProgress = onProgress;
  }

  play(withStorm: boolean): GraphReport {
    const { nodes } = this.#overlay;
    this.#overlay.startAll();
    this.#run('start', SETTLE_MS);
    const steady = this.#measure('steady', PHASE_MS);
    const recompute = this.#recompute();
    const few = Math.max(1, Math.floor(nodes.length / 100));
    const calm = this.#slowDown(this.#pick(few));
    const slowLinks = this.#measure('slow links of 1 % of the nodes', PHASE_MS);
    calm();
    const restarts = this.#restarts(this.#pick(few));
    const { massFailure, convergence } = this.#massFailure(Math.floor(nodes.length / 10));
    const storm = withStorm ? this.#storm() : undefined;
    const { degree, latencies } = { degree: this.#degree, latencies: this.#latencies.source };
    const costs = { steady, slowLinks, restarts, massFailure, ...(storm && { storm }) };
    return { nodes: nodes.length, degree, latencies, ...costs, recompute, convergence };
  }

  #storm(): Traffic {
    this.#slowDown(this.#pick(Math.floor(this.#overlay.nodes.length / 10)));
    return this.#measure('storm: slow links of a tenth of the nodes', PHASE_MS);
  }

  #pick(count: number): OverlayNode[] {
    return this.#rng.shuffle(this.#overlay.nodes).slice(0, count);
  }

  #run(what: string, ms: number): void {
    const { scheduler } = this.#overlay.world;
    const end = scheduler.nowMs + ms;
    while (scheduler.nowMs < end) {
      scheduler.runUntil(Math.min(end, scheduler.nowMs + SLICE_MS));
      this.#onProgress(`${what}: ${Math.round((scheduler.nowMs - end + ms) / 1000)} of ${ms / 1000} s`);
    }
  }

  #measure(what: string, ms: number): Traffic {
    return this.#traffic(ms, () => this.#run(what, ms));
  }

  #traffic(ms: number, act: () => void): Traffic {
    const before = this.#overlay.nodes.map(({ sentBytes, receivedBytes }) => ({ sentBytes, receivedBytes }));
    act();
    const rates = (of: (node: { sentBytes: number; receivedBytes: number }) => number): Quantiles =>
      quantiles(this.#overlay.nodes.map((node, i) => ((of(node) - of(before[i] as OverlayNode)) * 1000) / ms));
    return { sent: rates(node => node.sentBytes), received: rates(node => node.receivedBytes) };
  }

  /** All links of these nodes follow recorded ones from now on. */
  #slowDown(nodes: readonly OverlayNode[]): () => void {
    const links = new Set(nodes.flatMap(node => [...node.links.values()]));
    const traces = new Map([...links].map(link => [link, this.#rng.int(30 * 31)]));
    let step = this.#rng.int(600);
    const stop = this.#overlay.every(STEP_MS, () => {
      step += 1;
      for (const [link, trace] of traces) link.rttMs = link.usualRttMs * this.#latencies.slowdown(trace, step);
    });
    return () => {
      stop();
      for (const link of links) link.rttMs = link.usualRttMs;
    };
  }

  #restarts(nodes: readonly OverlayNode[]): Traffic {
    return this.#traffic(RESTARTS_MS, () => {
      for (const node of nodes) this.#overlay.kill(node);
      this.#run('1 % of the nodes gone', GONE_MS);
      for (const node of nodes) this.#overlay.start(node);
      this.#run('1 % of the nodes back', RESTARTS_MS - GONE_MS);
    });
  }

  #massFailure(count: number): { massFailure: Traffic; convergence: GraphReport['convergence'] } {
    const dead = new Set(this.#pick(count));
    const alive = this.#overlay.nodes.filter(node => !dead.has(node));
    const pairs = alive.flatMap(node => this.#destinations(node, alive).map(destination => ({ node, destination })));
    const isDead = (peer: PeerId): boolean => this.#byPeer.get(peer)?.running !== true;
    const namesDead = (paths: readonly Candidate[]): boolean => paths.some(({ route }) => route.some(isDead));
    let [avoidsDeadMs, allWorkMs] = [-1, -1];
    const massFailure = this.#traffic(LIMIT_MS, () => {
      const { scheduler } = this.#overlay.world;
      const startMs = scheduler.nowMs;
      for (const node of dead) this.#overlay.kill(node);
      let waiting = pairs;
      while (allWorkMs < 0 && scheduler.nowMs - startMs < LIMIT_MS) {
        scheduler.runUntil(scheduler.nowMs + LOOK_EVERY_MS);
        const paths = waiting.map(pair => ({ ...pair, found: this.#candidates(pair.node, pair.destination) }));
        if (avoidsDeadMs < 0 && !paths.some(({ found }) => namesDead(found))) avoidsDeadMs = scheduler.nowMs - startMs;
        // Whoever never had a way round its dead relays is not waited for: nobody can heal what is cut off.
        waiting = paths.filter(({ node, destination, found }) => !this.#works(node, destination, found));
        if (waiting.length === 0) allWorkMs = scheduler.nowMs - startMs;
        this.#onProgress(
          `a tenth of the nodes died: ${waiting.length} of ${pairs.length} pairs have paths that do not work`,
        );
      }
      this.#run('after it', LIMIT_MS - (scheduler.nowMs - startMs));
    });
    return { massFailure, convergence: { avoidsDeadMs, allWorkMs, pairs: pairs.length } };
  }

  #destinations(node: OverlayNode, alive: readonly OverlayNode[]): readonly OverlayNode[] {
    return Array.from({ length: DESTINATIONS }, () => this.#rng.pick(alive)).filter(other => other !== node);
  }

  #candidates(node: OverlayNode, destination: OverlayNode): readonly Candidate[] {
    return node.planner.candidates(
      destination.peer,
      (node.process as NonNullable<typeof node.process>).env.clock.now(),
    );
  }

  /** There are candidates, and each leads over channels that are up. */
  #works(node: OverlayNode, destination: OverlayNode, candidates: readonly Candidate[]): boolean {
    return (
      candidates.length > 0 &&
      candidates.every(({ route }) => {
        let at = node;
        for (const peer of [...route, destination.peer]) {
          const link: Link | undefined = at.links.get(peer);
          if (link?.up !== true) return false;
          at = this.#byPeer.get(peer) as OverlayNode;
        }
        return true;
      })
    );
  }

  #timesOf(node: OverlayNode, destination: OverlayNode): { readonly onePath: number; readonly held: number } {
    node.planner.forget();
    const startMs = performance.now();
    this.#candidates(node, destination);
    const computedMs = performance.now();
    this.#candidates(node, destination);
    return { onePath: computedMs - startMs, held: performance.now() - computedMs };
  }

  #recompute(): GraphReport['recompute'] {
    const [onePath, held]: [number[], number[]] = [[], []];
    for (let i = 0; i < WARM_UP + RECOMPUTATIONS; i++) {
      const node = this.#rng.pick(this.#overlay.nodes);
      const destination = this.#rng.pick(this.#overlay.nodes);
      if (node === destination) continue;
      const times = Array.from({ length: REPETITIONS }, () => this.#timesOf(node, destination));
      if (i < WARM_UP) continue;
      onePath.push(median(times.map(time => time.onePath)));
      held.push(median(times.map(time => time.held)));
    }
    return { onePath: quantiles(onePath), held: quantiles(held) };
  }
}

const median = (values: readonly number[]): number => quantiles(values).p50;

function quantiles(values: readonly number[]): Quantiles {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}
