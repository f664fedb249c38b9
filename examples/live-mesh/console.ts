/** What the main job prints: a live line and events for people, or one JSON object a line. */

import type { OffenderReport } from './offenders.js';
import type { Picture } from './page.js';
import type { FrontRunTally, Measured, Summary } from './tally.js';
import { DEEDS } from './trouble.js';

const LINE_INTERVAL_MS = 5_000;

export class Console {
  readonly #json: boolean;
  /** A terminal has one live line that is rewritten; elsewhere a line is printed now and then. */
  readonly #live: boolean;
  #lastLineAt = Number.NEGATIVE_INFINITY;

  constructor(json: boolean) {
    this.#json = json;
    this.#live = !json && process.stdout.isTTY === true;
  }

  event(event: { readonly atSeconds: number; readonly what: string } & Record<string, unknown>): void {
    if (this.#json) this.#print(JSON.stringify({ type: 'event', ...event }));
    else if (event['flow'] === undefined || String(event['flow']).startsWith('bot'))
      // of a hundred reroutes, those of bots
      this.#print(`${event.atSeconds.toFixed(1).padStart(6)} s  ${event.what}`);
  }

  malformedLine(file: string, line: number, reason: string): void {
    this.#toStderr(`${file}:${line}: skipped, ${reason}`);
  }

  /** Whether the next line of progress is due. */
  isDue(): boolean {
    return this.#live || performance.now() - this.#lastLineAt >= LINE_INTERVAL_MS;
  }

  progress(picture: Picture): void {
    const { counts, committee, elapsedSeconds, frontRun } = picture;
    this.#lastLineAt = performance.now();
    if (this.#json) {
      this.#print(JSON.stringify({ type: 'progress', elapsedSeconds, phase: picture.phase, ...counts, ...committee }));
      return;
    }
    const line =
      `${elapsedSeconds.toFixed(1).padStart(6)} s  ${picture.phase}: ${counts.delivered}/${counts.submitted} orders, ` +
      `p50 ${counts.p50Ms} ms, p99 ${counts.p99Ms} ms, view ${committee.view} led by ${committee.leader}, ` +
      `front-run open: ${frontRun.plain}, sealed: ${frontRun.sealed}`;
    if (this.#live) process.stdout.write(`\r\x1b[2K${line.slice(0, (process.stdout.columns ?? 120) - 1)}`);
    else this.#print(line);
  }

  summary(summary: Summary & Measured): void {
    if (this.#json) {
      this.#print(JSON.stringify(summary));
      return;
    }
    const { submitted, delivered, lost, duplicated, divergent, latencyMs, frontRun, stateHashes } = summary;
    this.#print('');
    this.#print(`orders        ${submitted} submitted, ${delivered} delivered, ${lost} lost, ${duplicated} twice`);
    this.#print(`replicas      ${stateHashes.map(hash => hash.slice(0, 16)).join(', ')}; ${divergent} divergent logs`);
    this.#print(`latency       p50 ${latencyMs.p50} ms, p99 ${latencyMs.p99} ms from client to opened order`);
    const { reroutes, rerouteMs, offenders, cpuSecondsPer10s } = summary;
    this.#print(
      `reroutes      ${reroutes.length}, p50 ${rerouteMs.p50} ms, p95 ${rerouteMs.p95} ms (--json lists them)`,
    );
    for (const offender of offenders) this.#print(`              ${foundOut(offender)}`);
    this.#print(`processor     ${cpuSecondsPer10s} s in 10 s`);
    const share = ({ won, tried }: FrontRunTally) =>
      `${won} of ${tried}${tried > 0 ? `, ${Math.round((100 * won) / tried)} %` : ''}`;
    this.#print(
      `front-runner  won ${share(frontRun.plain)}, in open mode; ${share(frontRun.sealed)}, sealed, where it tosses a coin`,
    );
    this.#print(`verdict       ${summary.verdict}`);
  }

  problem(reason: string): void {
    this.#toStderr(`The run cannot go on: ${reason}`);
  }

  #print(line: string): void {
    process.stdout.write(`${this.#live ? '\r\x1b[2K' : ''}${line}\n`);
  }

  #toStderr(line: string): void {
    process.stderr.write(`${this.#live ? '\r\x1b[2K' : ''}${line}\n`);
  }
}

const seconds = (ms: number): string => (ms < 1_000 ? `${ms.toFixed(0)} ms` : `${(ms / 1_000).toFixed(1)} s`);

function foundOut({
  relay,
  deed,
  flows,
  left,
  firstLeftMs,
  lastLeftMs,
  namedBy,
  firstNamedMs,
}: OffenderReport): string {
  const went =
    firstLeftMs === undefined || lastLeftMs === undefined
      ? 'none has left'
      : `${left} left, the first after ${seconds(firstLeftMs)}, the last after ${seconds(lastLeftMs)}`;
  const named =
    firstNamedMs === undefined ? '' : `; named after ${seconds(firstNamedMs)}, by ${namedBy.length} nodes now`;
  return `${relay} ${DEEDS[deed].label}: of ${flows} flows of bots ${went}${named}`;
}
