/** Plants one canary in a copy of the sources, and runs commands there. The working tree is never touched. */
import { spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CANARIES, type Canary } from './canaries.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const COPIED = ['lib', 'transports', 'examples', 'scripts', 'test', 'package.json', 'tsconfig.json'];

/** The sources with the bug in them; throws when its text is not there exactly once. */
export function edited(source: string, name: string, { file, search, replace }: Canary): string {
  const parts = source.split(search);
  if (parts.length !== 2) {
    throw new Error(`canary ${name}: its text stands ${parts.length - 1} times in ${file}, once is right`);
  }
  return parts.join(replace);
}

/** Calls `use` with the folder of a copy of the sources, and removes it afterwards. */
export async function withCopy<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'hopfair-canary-'));
  try {
    for (const entry of COPIED) await cp(join(ROOT, entry), join(folder, entry), { recursive: true });
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** As `withCopy`, with a canary planted in the copy. */
export function withPlanted<T>(name: string, use: (folder: string) => Promise<T>): Promise<T> {
  const canary = CANARIES[name];
  if (canary === undefined) throw new Error(`no canary ${name}`);
  return withCopy(async folder => {
    const file = join(folder, canary.file);
    await writeFile(file, edited(await readFile(file, 'utf8'), name, canary));
    return use(folder);
  });
}

export interface RunOptions {
  readonly folder: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** `inherit` shows what the command prints. */
  readonly stdio?: 'inherit' | 'ignore';
}

/** Runs a TypeScript file with these arguments; resolves with the exit code, a signal counts as 1. */
export function run({ folder, args, env = {}, stdio = 'ignore' }: RunOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    const options = { cwd: folder, stdio, env: { ...process.env, ...env } };
    const child = spawn(process.execPath, ['--import', 'tsx', ...args], options);
    child.on('error', reject);
    child.on('exit', code => resolve(code ?? 1));
  });
}

/** Runs scripts/sim.ts with these arguments on planted sources. */
export function runPlanted(
  name: string,
  args: readonly string[],
  stdio: 'inherit' | 'ignore' = 'inherit',
): Promise<number> {
  return withPlanted(name, folder =>
    run({ folder, args: ['scripts/sim.ts', ...args], env: { HOPFAIR_PLANTED: name }, stdio }),
  );
}
