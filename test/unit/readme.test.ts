import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../..', import.meta.url));
const readme = readFileSync(join(root, 'README.md'), 'utf8');

/** Where the package's own names lead in a checkout. */
const places: Record<string, string> = {
  hopfair: 'lib/index.ts',
  'hopfair/storage': 'lib/storage/index.ts',
  'hopfair/transports/websocket': 'transports/websocket.ts',
};

t.test('the embedding example of the README runs as it stands, to its end', async t => {
  const [, example] = /```ts\n([\s\S]*?)```/.exec(readme) ?? [];
  t.ok(example, 'the README has an example');
  const directory = mkdtempSync(join(tmpdir(), 'hopfair-readme-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'example.mts');
  const source = (example ?? '').replace(/from '(hopfair[^']*)'/g, (_, name: string) => {
    t.ok(places[name], `${name} is a place of the package`);
    return `from '${pathToFileURL(join(root, places[name] ?? '')).href}'`;
  });
  writeFileSync(file, `${source}\nconsole.log('the end');\nprocess.exit(0);\n`);
  const tsx = join(root, 'node_modules/.bin/tsx');
  const run = spawnSync(tsx, [file], { encoding: 'utf8', timeout: 60_000, cwd: root });
  t.match(run.stdout, /the end/, run.stderr);
});

t.test('every folder, page and command that the README names exists', async t => {
  const links = [...readme.matchAll(/\]\(([^)#]+)\)/g)].map(([, target]) => target as string);
  for (const link of links.filter(link => !link.startsWith('http'))) t.ok(existsSync(join(root, link)), link);
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  t.ok(scripts['start'] && scripts['test']);
});
