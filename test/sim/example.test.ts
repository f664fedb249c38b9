import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import t from 'tap';
import type { PlaySummary } from '../../lib/sim/index.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Runs the example of the guide as it is printed there, on the sources instead of the package. */
async function runExample(edit: (source: string) => string): Promise<PlaySummary> {
  const guide = await readFile(join(ROOT, 'docs/simulation.md'), 'utf8');
  const source = /```ts example\n([\s\S]*?)```/.exec(guide)?.[1];
  if (source === undefined) throw new Error('the guide has no example');
  const folder = await mkdtemp(join(ROOT, 'test/sim/.example-'));
  try {
    const file = join(folder, 'example.ts');
    const onSources = edit(source)
      .replace(
        "import { type Messaging, type PeerId } from 'hopfair';",
        `import type { Messaging } from '${ROOT}lib/mesh/messaging.js';\nimport type { PeerId } from '${ROOT}lib/identity/peer-id.js';`,
      )
      .replace("'hopfair/sim'", `'${ROOT}lib/sim/index.js'`);
    await writeFile(file, onSources);
    return (await import(pathToFileURL(file).href)).summary;
  } finally {
    await rm(folder, { recursive: true });
  }
}

t.test('the example of the guide passes on every seed, and its faults happen', async t => {
  const summary = await runExample(source => source);
  t.strictSame(summary.failures, []);
  t.strictSame(summary.idleFaults, []);
  t.equal(summary.seeds, 100);
});

t.test('the example finds the bug that the guide says it finds', async t => {
  const summary = await runExample(source => source.replace('store.append(', 'tell();\n        store.append('));
  t.ok(summary.failures.length > 0);
  t.match(summary.failures[0]?.failure?.message, /^durability: told \d+, found \d+$/);
});
