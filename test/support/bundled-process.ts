/** Processes of a measured run, bundled as the product is, and how they are asked. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

let started = 0;

/**
 * Bundled first, as the product is: what runs a source as it is wraps its functions, and a good part of what is measured
 * would be that.
 */
export function startBundled(entry: URL, args: readonly string[] = []): ChildProcess {
  const name = `${entry.pathname.split('/').at(-1)?.replace('.ts', '')}-${process.pid}-${started++}`;
  const outfile = fileURLToPath(new URL(`../../dist/measured/${name}.mjs`, import.meta.url));
  const entryPoints = [fileURLToPath(entry)];
  buildSync({ entryPoints, outfile, bundle: true, platform: 'node', format: 'esm', packages: 'external' });
  const child = fork(outfile, [...args], { execArgv: ['--expose-gc'], serialization: 'advanced' });
  child.once('exit', () => rmSync(outfile));
  return child;
}

/** The next message of the process. Rejects when it ends before. */
export async function answerOf<T>(child: ChildProcess): Promise<T> {
  const died = new AbortController();
  const onExit = (code: number | null): void => died.abort(new Error(`a process of the run ended with ${code}`));
  child.once('exit', onExit);
  try {
    const [answer] = await once(child, 'message', { signal: died.signal });
    return answer as T;
  } catch (error) {
    throw died.signal.reason ?? error;
  } finally {
    child.off('exit', onExit);
  }
}
