/** The package as `npm install` would lay it down in an application, and what a bundler makes of code over it. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

export const root: string = fileURLToPath(new URL('../..', import.meta.url));

function run(command: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stdout + stderr}`);
  return stdout;
}

export interface InstalledPackage {
  /** The folder of the application. */
  readonly folder: string;
  remove(): void;
}

/** Compiles to dist/, where the names of the package lead in this repository. */
export function buildPackage(): void {
  run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', root], root);
}

/** Builds, packs and unpacks hopfair into the node_modules of an empty application, next to its dependencies. */
export function installPackage(): InstalledPackage {
  buildPackage();
  const folder = mkdtempSync(join(tmpdir(), 'hopfair-application-'));
  const modules = join(folder, 'node_modules');
  mkdirSync(modules);
  const tarball = run('npm', ['pack', '--silent', '--pack-destination', folder], root).trim();
  run('tar', ['-xzf', tarball], folder);
  renameSync(join(folder, 'package'), join(modules, 'hopfair'));
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  for (const name of Object.keys(dependencies)) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), join(modules, name), 'junction');
  }
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Bundles a file or folder of the repository, copied into the application, with the settings that a user would have. */
export async function bundle(
  { folder }: InstalledPackage,
  source: string,
  entry: string,
  options: { readonly minify?: boolean } = {},
): Promise<string> {
  cpSync(join(root, source), join(folder, source), { recursive: true });
  const { outputFiles } = await build({
    entryPoints: [join(folder, source, entry)],
    bundle: true,
    platform: 'browser',
    format: 'esm',
    write: false,
    logLevel: 'silent',
    ...options,
  });
  return (outputFiles[0] as { readonly text: string }).text;
}
