import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { ambientUses } from './ambient.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const PURE_ROOMS = ['noise', 'identity', 'attestation', 'wire', 'route', 'order', 'pace'];
const rules = createRequire(import.meta.url)(join(root, '.dependency-cruiser.cjs')) as {
  forbidden: { name: string }[];
};

function cruise(directory: string, ...places: string[]): { status: number | null; output: string } {
  const command = join(root, 'node_modules/.bin/depcruise');
  const run = spawnSync(
    command,
    ['--config', join(root, '.dependency-cruiser.cjs'), '--output-type', 'err', ...places],
    {
      cwd: directory,
      encoding: 'utf8',
    },
  );
  return { status: run.status, output: run.stdout + run.stderr };
}

t.test('every import in lib, transports and examples follows the rules of the rooms', async t => {
  const { status, output } = cruise(
    root,
    ...['lib', 'transports', 'examples'].filter(place => existsSync(join(root, place))),
  );
  t.equal(status, 0, output);
});

t.test('pure rooms use no time, no randomness, no waiting and no process', async t => {
  for (const room of PURE_ROOMS.filter(room => existsSync(join(root, 'lib', room)))) {
    for (const file of readdirSync(join(root, 'lib', room), { recursive: true, encoding: 'utf8' })) {
      const place = join('lib', room, file);
      if (file.endsWith('.ts')) t.strictSame(ambientUses(place, readFileSync(join(root, place), 'utf8')), [], place);
    }
  }
});

t.test('each ambient use is found when it is planted, and a comment or a member of that name is none', async t => {
  const planted = {
    await: 'const x = async () => { await 1; }',
    async: 'async function f() {}',
    Date: 'const now = new Date()',
    Promise: 'Promise.resolve()',
    process: 'process.nextTick(f)',
    setTimeout: 'setTimeout(f, 1)',
    'Math.random': 'const r = Math.random()',
    crypto: 'const f = (provider: P) => crypto.getRandomValues(provider)',
  };
  for (const [what, source] of Object.entries(planted)) t.match(ambientUses('x.ts', source).join(), what);
  t.strictSame(ambientUses('x.ts', '// Date\nconst a = { process: 1 }; a.process; "setTimeout"'), []);
  const handedIn =
    'function f(crypto: P) { return { crypto }; }\nfunction g(o: O) { const { crypto } = o; crypto.hash(); }';
  t.strictSame(ambientUses('x.ts', handedIn), [], 'what is handed in under the name of a global is not the global');
});

t.test('each layering rule fails when it is broken', async t => {
  // One import that breaks each rule: the folder it is in, and what it imports.
  const broken: Record<string, [string, string]> = {
    'crypto-stands-alone': ['lib/crypto', '../noise/y.js'],
    'noise-knows-crypto-interface': ['lib/noise', '../crypto/node.js'],
    'identity-knows-crypto-interface': ['lib/identity', '../wire/y.js'],
    'wire-knows-identity': ['lib/wire', '../route/y.js'],
    'route-never-order': ['lib/route', '../order/y.js'],
    'order-never-route': ['lib/order', '../route/y.js'],
    'channel-below-mesh': ['lib/channel', '../mesh/y.js'],
    'storage-knows-nobody': ['lib/storage', '../order/y.js'],
    'mesh-never-broadcast': ['lib/mesh', '../broadcast/y.js'],
    'broadcast-over-mesh-and-order': ['lib/broadcast', '../relay/y.js'],
    'view-shows-the-mesh': ['lib/view', '../order/y.js'],
    'lib-never-transports': ['lib/relay', '../../transports/y.js'],
    'transports-know-the-interface-only': ['transports', '../lib/channel/y.js'],
    'pure-rooms-no-builtins': ['lib/noise', 'node:fs'],
    'pure-rooms-few-packages': ['lib/noise', 'ws'],
    'shipped-code-no-dev-packages': ['lib/relay', 'tap'],
    'no-unresolved': ['lib/relay', './nothing-of-that-name.js'],
    'no-cycles': ['lib/relay', './no-cycles-back.js'],
  };
  t.strictSame(
    Object.keys(broken).sort(),
    rules.forbidden.map(rule => rule.name).sort(),
    'every rule has a broken example',
  );

  const directory = mkdtempSync(join(tmpdir(), 'hopfair-layering-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const write = (file: string, source: string) => {
    mkdirSync(join(directory, dirname(file)), { recursive: true });
    writeFileSync(join(directory, file), source);
  };
  for (const file of ['package.json', 'tsconfig.json']) write(file, readFileSync(join(root, file), 'utf8'));
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
  for (const [name, [folder, target]] of Object.entries(broken)) {
    write(join(folder, `${name}.ts`), `import * as it from '${target}';\nexport const x = it;\n`);
    if (!target.startsWith('.') || name === 'no-unresolved') continue;
    const source =
      name === 'no-cycles' ? `import * as it from './no-cycles.js';\nexport const y = it;\n` : 'export const y = 1;\n';
    write(join(folder, target.replace(/\.js$/, '.ts')), source);
  }
  const { status, output } = cruise(directory, 'lib', 'transports');
  t.not(status, 0);
  for (const [name, [folder]] of Object.entries(broken)) {
    const line = output.split('\n').find(line => line.includes(` ${name}: `) && line.includes(join(folder, name)));
    t.ok(line, `${name} is noticed in its own broken file`);
  }
});
