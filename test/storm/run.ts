/**
 * Many clients of one backend restart at once (docs/overlay.md, bar R10): how long until all are back, what their
 * handshakes cost the backend, and what a session that was there before feels of it.
 */
import type { ChildProcess } from 'node:child_process';
import { spawnSync } from 'node:child_process';
import { availableParallelism, constants, setPriority } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { answerOf, startBundled } from '../support/bundled-process.js';
import type { BackendState } from './backend.js';
import type { ClientsBack, ClientsOrder, Place } from './protocol.js';
import { Witness } from './witness.js';

export const BARS = { allBackMs: 30_000, handshakeShare: 0.2, establishedP99Ratio: 2 } as const;

export interface StormOptions {
  readonly clients: number;
  readonly transport: 'tcp' | 'ws';
  /** How long the established session is measured before the storm. */
  readonly calmMs: number;
}

export interface StormReport {
  readonly clients: number;
  readonly transport: string;
  /** When half of the clients, 99 of 100 and all were back: an echo came through a new session. */
  readonly backMs: { readonly half: number; readonly p99: number; readonly all: number };
  /** Of one core, from the restart until all were back. */
  readonly share: { readonly handshakes: number; readonly backend: number };
  /** The second of the storm in which handshakes took most. */
  readonly worstSecondShare: number;
  /** Connections that were turned away or dropped before they were authenticated. */
  readonly refused: number;
  readonly evicted: number;
  readonly established: {
    readonly before: ReturnType<Witness['take']>;
    readonly during: ReturnType<Witness['take']>;
    readonly p99Ratio: number;
  };
  readonly bars: typeof BARS;
  readonly pass: boolean;
}

const PROCESSES = 4;
const SETTLE_MS = 3_000;
const STORM_TIMEOUT_MS = 180_000;

/** Clients get a core of their own: they stand for as many machines, and what is measured is the backend. */
function keepApart(backend: number, clients: readonly number[]): void {
  const pin = (core: number, pid: number): boolean =>
    spawnSync('taskset', ['-a', '-c', '-p', String(core), String(pid)]).status === 0;
  const apart =
    availableParallelism() > 1 && pin(0, process.pid) && pin(0, backend) && clients.every(pid => pin(1, pid));
  if (!apart) for (const pid of clients) setPriority(pid, constants.priority.PRIORITY_LOW);
}

async function order(processes: readonly ChildProcess[], what: (index: number) => ClientsOrder): Promise<number[]> {
  const answers = processes.map(child => answerOf<ClientsBack>(child));
  for (const [index, child] of processes.entries()) child.send(what(index));
  return (await Promise.all(answers)).flatMap(({ backMs }) => backMs).sort((a, b) => a - b);
}

async function stateOf(backend: ChildProcess): Promise<BackendState> {
  backend.send('state');
  return answerOf<BackendState>(backend);
}

/** Rejects when not everybody came back within three minutes, or a process ended. */
export async function storm({ clients, transport, calmMs }: StormOptions): Promise<StormReport> {
  const backend = startBundled(new URL('./backend.ts', import.meta.url), [transport]);
  const processes = Array.from({ length: PROCESSES }, () => startBundled(new URL('./clients.ts', import.meta.url)));
  try {
    const place = await answerOf<Place>(backend);
    keepApart(
      backend.pid as number,
      processes.map(child => child.pid as number),
    );
    const each = (index: number): number => Math.floor(clients / PROCESSES) + (index < clients % PROCESSES ? 1 : 0);
    await withinTime(order(processes, index => ({ kind: 'start', place, clients: each(index) })));
    const witness = await Witness.start(place);
    await sleep(SETTLE_MS);
    witness.take();
    await sleep(calmMs);
    const before = witness.take();

    const calm = await stateOf(backend);
    const restartedAt = performance.now();
    const worst = new WorstSecond(calm.handshakes.spentMs);
    const watch = setInterval(() => void stateOf(backend).then(state => worst.add(state.handshakes.spentMs)), 1_000);
    const back = await withinTime(order(processes, () => ({ kind: 'restart' }))).finally(() => clearInterval(watch));
    const tookMs = performance.now() - restartedAt;
    const during = witness.take();
    const after = await stateOf(backend);
    await witness.stop();

    const at = (share: number): number =>
      Math.round(back[Math.min(back.length - 1, Math.floor(share * back.length))] ?? 0);
    const backMs = { half: at(0.5), p99: at(0.99), all: at(1) };
    const spentMs = after.handshakes.spentMs - calm.handshakes.spentMs;
    const share = { handshakes: spentMs / tookMs, backend: (after.cpuMs - calm.cpuMs) / tookMs };
    const p99Ratio = during.p99Ms / before.p99Ms;
    return {
      clients,
      transport,
      backMs,
      share,
      worstSecondShare: Math.max(worst.share, share.handshakes),
      refused: after.handshakes.refused - calm.handshakes.refused,
      evicted: after.handshakes.evicted - calm.handshakes.evicted,
      established: { before, during, p99Ratio },
      bars: BARS,
      pass:
        back.length === clients &&
        backMs.all <= BARS.allBackMs &&
        share.handshakes <= BARS.handshakeShare &&
        p99Ratio < BARS.establishedP99Ratio,
    };
  } finally {
    for (const child of [backend, ...processes]) if (child.connected) child.disconnect();
  }
}

/** The largest share of a core in any interval between two looks. */
class WorstSecond {
  share = 0;
  #spentMs: number;
  #at = performance.now();

  constructor(spentMs: number) {
    this.#spentMs = spentMs;
  }

  add(spentMs: number): void {
    const now = performance.now();
    this.share = Math.max(this.share, (spentMs - this.#spentMs) / (now - this.#at));
    this.#spentMs = spentMs;
    this.#at = now;
  }
}

async function withinTime<T>(work: Promise<T>): Promise<T> {
  const giveUp = new AbortController();
  const late = sleep(STORM_TIMEOUT_MS, undefined, { signal: giveUp.signal, ref: false }).then(() => {
    throw new Error(`not everybody was back within ${STORM_TIMEOUT_MS / 1_000} s`);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    giveUp.abort();
    late.catch(() => undefined);
  }
}
