// Installs the packages of package-lock.json when they are missing or not the ones that the lock file names.
// Plain JavaScript without imports of packages: it runs before there are any.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
const stamp = `${root}node_modules/.hopfair-installed`;

/** Exits with an explanation when Node is too old or npm fails; output goes to stderr, so that --json stays clean. */
export function installWhatIsMissing() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    console.error(`hopfair needs Node.js 20.19 or newer, this is ${process.versions.node}: install one and try again.`);
    process.exit(2);
  }
  const wanted = createHash('sha256')
    .update(readFileSync(`${root}package-lock.json`))
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  console.error('Installing packages (once)…');
  const npm = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  });
  if (npm.status !== 0) {
    console.error('npm ci failed: its message stands above. It needs the npm registry; then run the command again.');
    process.exit(2);
  }
  writeFileSync(stamp, wanted);
}

/** Compiles to dist/, incrementally; exits with the compiler's messages when the types do not fit. */
export function build() {
  const compiler = [`${root}node_modules/typescript/bin/tsc`, '-p', root];
  const tsc = spawnSync(process.execPath, compiler, { cwd: root, stdio: ['ignore', 2, 2] });
  if (tsc.status !== 0) {
    console.error('The build failed: the messages stand above.');
    process.exit(2);
  }
}
