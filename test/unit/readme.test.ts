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
  'hopfair/channel': 'lib/channel/index.ts',
  'hopfair/storage': 'lib/storage/index.ts',
  'hopfair/transports/tcp': 'transports/tcp.ts',
  'hopfair/transports/websocket': 'transports/websocket.ts',
};

const examples = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, source]) => source as string);

t.test('the examples of the README run as they stand, to their ends', async t => {
  t.equal(examples.length, 2);
  const directory = mkdtempSync(join(tmpdir(), 'hopfair-readme-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  for (const [index, example] of examples.entries()) {
    const file = join(directory, `example-${index}.mts`);
    const source = example.replace(/from '(hopfair[^']*)'/g, (_, name: string) => {
      t.ok(places[name], `${name} is a place of the package`);
      return `from '${pathToFileURL(join(root, places[name] ?? '')).href}'`;
    });
    writeFileSync(file, `${source}\nconsole.log('the end');\nprocess.exit(0);\n`);
    const tsx = join(root, 'node_modules/.bin/tsx');
    const run = spawnSync(tsx, [file], { encoding: 'utf8', timeout: 60_000, cwd: root });
    t.match(run.stdout, /the end/, run.stderr);
  }
});

t.test('every folder, page and command that the README names exists', async t => {
  const links = [...readme.matchAll(/\]\(([^)#]+)\)/g)].map(([, target]) => target as string);
  for (const link of links.filter(link => !link.startsWith('http'))) t.ok(existsSync(join(root, link)), link);
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const named = [...readme.matchAll(/npm (?:run )?([a-z:]+)/g)].map(([, name]) => name as string);
  for (const name of new Set(named)) t.ok(scripts[name], `npm run ${name}`);
});
