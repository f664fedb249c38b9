/** A routing daemon of another project in a namespace. Ended with whoever started it. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { atExit } from '../reroute/at-exit.js';

export class Daemon {
  readonly #process: ChildProcess;
  readonly #gone: Promise<void>;
  readonly #logFile: string;
  #ended: string | undefined;

  constructor(space: string, command: readonly string[], logFile: string) {
    this.#logFile = logFile;
    const log = openSync(logFile, 'a');
    this.#process = spawn('ip', ['netns', 'exec', space, ...command], { stdio: ['ignore', log, log] });
    closeSync(log);
    const forget = atExit(() => this.#process.kill('SIGKILL'));
    this.#gone = new Promise(resolve => {
      const onEnd = (why: string): void => {
        forget();
        this.#ended = why;
        resolve();
      };
      this.#process.once('error', error => onEnd(error.message));
      this.#process.once('exit', (code, signal) => onEnd(signal ?? `code ${code}`));
    });
  }

  /** Throws with the end of its log when it has ended by itself. */
  check(): void {
    if (this.#ended === undefined) return;
    throw new Error(`${this.#process.spawnargs.slice(4).join(' ')} ended with ${this.#ended}: ${this.#tail()}`);
  }

  async end(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#gone;
  }

  #tail(): string {
    return readFileSync(this.#logFile, 'utf8').slice(-500);
  }
}

/** Where a program of Debian is, also for those whose PATH lacks sbin; undefined when it is not installed. */
export function programPath(name: string): string | undefined {
  try {
    const path = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;
    return execFileSync('sh', ['-c', 'command -v "$0"', name], {
      encoding: 'utf8',
      env: { ...process.env, PATH: path },
    }).trim();
  } catch {
    return undefined; // `command -v` says by its exit code that there is none
  }
}
