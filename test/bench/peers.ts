/**
 * The side-by-side bench of what a user would pick instead (`shared/bench-peers`, beside the checkout or where
 * HOPFAIR_BENCH_PEERS says): a private copy of it in the folder for temporary files, with its packages, ready to run.
 * Only its pairs of pinned processes are used; which cases run, and what they are compared with, is decided here.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** What one case reports: numbers by name, `w` the workload, `ok` whether every message was there and intact. */
export interface PeerRecord {
  readonly w: string;
  readonly ok?: boolean;
  readonly error?: string;
  readonly [field: string]: number | string | boolean | undefined;
}

/** Where the processes of a case run, and whether a relay stands between the two. */
export interface Placement {
  readonly relay?: boolean;
  /** The destination is told of the relay, instead of the relay of the destination. */
  readonly relayFirst?: boolean;
  readonly cores?: { readonly client: number; readonly server: number; readonly relay: number };
}

export interface Peers {
  readonly folder: string;
  /** The file of one of the contenders, or of one of ours, by its name. */
  adapterFile(name: string): string;
  /** Runs one case with a client on core 0 and a server on core 1, or as the placement says. */
  runPair(adapterFile: string, job: object, placement?: Placement): Promise<readonly PeerRecord[]>;
}

const here = fileURLToPath(new URL('.', import.meta.url));

/** Throws an Error with what to do when the bench is absent or its packages cannot be installed. */
export async function preparePeers(): Promise<Peers> {
  if (process.platform !== 'linux') throw new Error('The bench pins its processes with taskset: it needs Linux.');
  const source =
    process.env['HOPFAIR_BENCH_PEERS'] ?? fileURLToPath(new URL('../../../shared/bench-peers', import.meta.url));
  if (!existsSync(join(source, 'run.mjs'))) {
    throw new Error(`There is no bench of peers in ${source}: set HOPFAIR_BENCH_PEERS to its folder.`);
  }
  const folder = installedCopy(source);
  const { certs } = (await import(pathToFileURL(join(folder, 'lib/certs.mjs')).href)) as { certs(): unknown };
  certs(); // once, before the processes that read them
  const pair = (await import(pathToFileURL(join(folder, 'lib/pair.mjs')).href)) as Pick<Peers, 'runPair'>;
  return {
    folder,
    adapterFile: name =>
      name.startsWith('hopfair-') ? join(here, `${name}.mjs`) : join(folder, 'adapters', `${name}.mjs`),
    runPair: pair.runPair,
  };
}

/** Two benches may prepare at once: each installs in a folder of its own, and one of the two gets the common name. */
function installedCopy(source: string): string {
  const lock = readFileSync(join(source, 'package-lock.json'));
  const version = createHash('sha256').update(lock).digest('hex').slice(0, 12);
  const folder = join(tmpdir(), `hopfair-bench-peers-${version}`);
  if (existsSync(folder)) {
    if (statSync(folder).uid !== process.getuid?.()) throw new Error(`${folder} belongs to somebody else: remove it.`);
    return folder;
  }
  const fresh = mkdtempSync(`${folder}-`);
  try {
    cpSync(source, fresh, { recursive: true, filter: path => !path.includes('node_modules') });
    execFileSync('chmod', ['-R', 'u+w', fresh]);
    console.error('Installing the packages of bench-peers (once)…');
    // Its lock file leaves out optional packages of other platforms, which `npm ci` refuses; versions are those of the lock.
    const install = ['install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'];
    execFileSync('npm', install, { cwd: fresh, stdio: ['ignore', 2, 2] });
    renameSync(fresh, folder);
  } catch (cause) {
    rmSync(fresh, { recursive: true, force: true });
    if (!existsSync(folder)) throw new Error('bench-peers could not be installed: see above.', { cause });
  }
  return folder;
}
