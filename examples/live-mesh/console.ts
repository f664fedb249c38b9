/** What the main job prints: a live line and events for people, or one JSON object a line. */
import type { Picture } from './page.js';
import type { FrontRunTally, Summary } from './tally.js';

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

  progress(picture: Picture): void {
    const { counts, committee, elapsedSeconds, frontRun } = picture;
    if (!this.#live && performance.now() - this.#lastLineAt < LINE_INTERVAL_MS) return;
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

  summary(summary: Summary): void {
    if (this.#json) {
      this.#print(JSON.stringify(summary));
      return;
    }
    const { submitted, delivered, lost, duplicated, divergent, latencyMs, frontRun, stateHashes } = summary;
    this.#print('');
    this.#print(`orders        ${submitted} submitted, ${delivered} delivered, ${lost} lost, ${duplicated} twice`);
    this.#print(`replicas      ${stateHashes.map(hash => hash.slice(0, 16)).join(', ')}; ${divergent} divergent logs`);
    this.#print(`latency       p50 ${latencyMs.p50} ms, p99 ${latencyMs.p99} ms from client to opened order`);
    this.#print(`reroutes      ${summary.reroutes.length}`);
    for (const { flow, from, to, trigger, ms } of summary.reroutes.slice(0, 8)) {
      this.#print(`              ${flow}: ${from} to ${to}, ${trigger}, ${ms.toFixed(0)} ms`);
    }
    if (summary.reroutes.length > 8)
      this.#print(`              and ${summary.reroutes.length - 8} more (--json lists them all)`);
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
