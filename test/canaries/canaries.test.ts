import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { CANARIES } from './canaries.js';
import { edited, runPlanted } from './plant.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

t.test('the text of every canary stands exactly once in its file', async t => {
  for (const [name, canary] of Object.entries(CANARIES)) {
    const source = await readFile(`${ROOT}${canary.file}`, 'utf8');
    t.not(edited(source, name, canary), source, name);
  }
  const canary = { bug: '', file: 'lib/x.ts', search: 'a', replace: 'b', scenario: 'order', tests: [] } as const;
  t.throws(() => edited('a a', 'twice', canary), /stands 2 times/);
  t.throws(() => edited('b', 'gone', canary), /stands 0 times/);
});

for (const name of ['pre-needs-fewer-lanes', 'finalize-after-nullify']) {
  t.test(`a simulation of sources with the planted bug ${name} fails`, async t => {
    t.equal(await runPlanted(name, ['--scenario', 'order', '--seeds', '100', '--fail-fast'], 'ignore'), 1);
  });
}
