/** One run: a contender in a fresh diamond, traffic, a fault at the relay that carries it, and when delivery was restored. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { atExit } from '../reroute/at-exit.js';
import { monotonicMs } from '../reroute/clock.js';
import type { RelayName } from '../reroute/diamond.js';
import { type Outage, outageOf } from './outage.js';
import { Spaces } from './spaces.js';
import type { Running, System } from './systems.js';

export const FAULTS = ['crash', 'drop', 'drop20', 'delay25'] as const;
export type Fault = (typeof FAULTS)[number];

export interface CompareRun extends Outage {
  readonly system: string;
  readonly fault: Fault;
  readonly run: number;
  /** How late the hub let packets go while the fault was on. */
  readonly linksLateP99Ms: number;
}

export interface CompareOptions {
  readonly system: System;
  readonly fault: Fault;
  readonly run: number;
  readonly rttMs: number;
  readonly ratePerSecond: number;
  /** After this long without delivery nobody waits any more. */
  readonly capMs: number;
}

const CONVERGE_TIMEOUT_MS = 90_000;
/** So many messages in a row have arrived: it has a route. */
const IN_A_ROW = 200;
const POLL_MS = 500;
const RELAYS: readonly RelayName[] = ['a', 'b'];

/** Returns why when network namespaces are not possible here. */
export async function compareOnce(options: CompareOptions): Promise<CompareRun | string> {
  const spaces = await Spaces.open(options.rttMs / 4);
  if (typeof spaces === 'string') return spaces;
  const folder = mkdtempSync(join(tmpdir(), 'hopfair-compare-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  const forget = atExit(remove);
  try {
    const running = await options.system.start(spaces, folder, options.ratePerSecond);
    try {
      return await play(options, spaces, running);
    } finally {
      await running.end();
    }
  } finally {
    await spaces.close();
    forget();
    remove();
  }
}

async function play(options: CompareOptions, spaces: Spaces, running: Running): Promise<CompareRun> {
  const { system, fault, run, capMs } = options;
  await untilDelivered(running, system.name);
  await sleep(system.settleMs);
  const relay = await busierRelay(spaces);
  await spaces.lateness();
  const faultAtMs = monotonicMs();
  await begin(fault, relay, spaces, running);
  let outage: Outage;
  do {
    await sleep(POLL_MS);
    outage = outageOf(await running.delivery(), faultAtMs, monotonicMs());
  } while (outage.restoredMs === undefined && monotonicMs() - faultAtMs < capMs);
  const { p99Ms } = await spaces.lateness();
  return { system: system.name, fault, run, ...outage, linksLateP99Ms: Math.round(p99Ms * 100) / 100 };
}

async function untilDelivered(running: Running, name: string): Promise<void> {
  const deadline = monotonicMs() + CONVERGE_TIMEOUT_MS;
  for (;;) {
    await sleep(POLL_MS);
    const { oneWayMs } = await running.delivery();
    const last = oneWayMs.slice(-IN_A_ROW);
    if (last.length === IN_A_ROW && last.every(ms => ms !== null)) return;
    if (monotonicMs() > deadline)
      throw new Error(`${name} delivers nothing ${CONVERGE_TIMEOUT_MS / 1_000} s after its start`);
  }
}

/** The relay whose link from the source carries the traffic, now and a second ago. */
async function busierRelay(spaces: Spaces): Promise<RelayName> {
  let last: RelayName | undefined;
  for (;;) {
    const before = await spaces.bytes();
    await sleep(1_000);
    const after = await spaces.bytes();
    const [a = 0, b = 0] = RELAYS.map(relay => (after[`source-${relay}`] ?? 0) - (before[`source-${relay}`] ?? 0));
    const busier = a > b ? 'a' : 'b';
    if (busier === last) return busier;
    last = busier;
  }
}

async function begin(fault: Fault, relay: RelayName, spaces: Spaces, running: Running): Promise<void> {
  switch (fault) {
    case 'crash': // silent: its interfaces stay up at its neighbours, and nothing comes through them
      await Promise.all([
        spaces.fault(`source-${relay}`, { loss: 1 }),
        spaces.fault(`destination-${relay}`, { loss: 1 }),
      ]);
      break;
    case 'drop':
      await running.dropData(relay, 1);
      break;
    case 'drop20':
      await running.dropData(relay, 0.2);
      break;
    case 'delay25': // of everything that passes, hellos included: what a daemon that measures delay can see
      await spaces.fault(`source-${relay}`, { extraMs: 25 });
      break;
  }
}
