import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../..', import.meta.url));

t.test(
  'the first mesh goes on when a relay drops: everything arrives in order, and it says why it switched',
  async t => {
    const example = join(root, 'examples/first-mesh/main.ts');
    const { stdout, stderr, status } = spawnSync(join(root, 'node_modules/.bin/tsx'), [example], {
      encoding: 'utf8',
      timeout: 25_000,
      cwd: root,
    });
    t.equal(status, 0, stderr);
    t.match(stdout, /(left|right) begins to drop.*switch \1 -> (left|right) because of/s);
    t.match(stdout, /200 of 200 arrived, in order, each once/);
  },
);
