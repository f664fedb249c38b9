/**
 * `npm run canaries [-- --only NAME] [--json]`: plants each known bug in a copy of the sources and runs the layers of
 * tests there until one fails. Exit 1 when a canary lives.
 */
import { parseArgs } from 'node:util';
import { CANARIES, type Canary } from '../test/canaries/canaries.js';
import { run, withCopy, withPlanted } from '../test/canaries/plant.js';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
    seeds: { type: 'string', default: '60' },
  },
});

type Layer = 'simulation' | 'tests';

/** The layers in the order of their cost; each answers whether it saw the bug. */
const LAYERS: readonly (readonly [Layer, (folder: string, canary: Canary) => Promise<boolean>])[] = [
  [
    'simulation',
    async (folder, { scenario }) => {
      const args = ['scripts/sim.ts', '--fail-fast', '--seeds', values.seeds, '--scenario', scenario];
      return (await run({ folder, args })) !== 0;
    },
  ],
  [
    'tests',
    async (folder, { tests }) => {
      for (const test of tests) {
        if ((await run({ folder, args: [test] })) !== 0) return true;
      }
      return false;
    },
  ],
];

/** Sources without a bug must pass every layer: one that fails anyway kills nothing. */
const failing = await withCopy(async folder => {
  const tests = [...new Set(Object.values(CANARIES).flatMap(canary => canary.tests))];
  const failed: string[] = [];
  for (const test of tests) if ((await run({ folder, args: [test] })) !== 0) failed.push(test);
  const args = ['scripts/sim.ts', '--fail-fast', '--seeds', values.seeds];
  if ((await run({ folder, args })) !== 0) failed.push('the simulation');
  return failed;
});
if (failing.length > 0) {
  process.stderr.write(`without any planted bug these fail already: ${failing.join(', ')}\n`);
  process.exit(1);
}

const names = values.only === undefined ? Object.keys(CANARIES) : [values.only];
let alive = 0;
for (const name of names) {
  const canary = CANARIES[name];
  if (canary === undefined) {
    process.stderr.write(`no canary ${name}; there are ${Object.keys(CANARIES).join(', ')}\n`);
    process.exit(2);
  }
  const killedBy = await withPlanted(name, async folder => {
    const killers: Layer[] = [];
    for (const [layer, sees] of LAYERS) if (await sees(folder, canary)) killers.push(layer);
    return killers;
  });
  if (killedBy.length === 0) alive += 1;
  const line = { type: 'canary', name, bug: canary.bug, file: canary.file, killedBy };
  const text = `${killedBy.length === 0 ? 'ALIVE ' : 'killed'} ${name} by ${killedBy.join(', ') || 'nothing'}: ${canary.bug}`;
  process.stdout.write(`${values.json ? JSON.stringify(line) : text}\n`);
}
const summary = {
  type: 'summary',
  canaries: names.length,
  killed: names.length - alive,
  verdict: alive === 0 ? 'pass' : 'fail',
};
process.stdout.write(
  `${values.json ? JSON.stringify(summary) : `${summary.verdict}: ${summary.killed} of ${names.length} killed`}\n`,
);
process.exitCode = alive === 0 ? 0 : 1;
