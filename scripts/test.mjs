// `npm test`: installs what is missing and runs everything that a submission needs, one stage after the other, with
// progress. Ends with a line of its own, `N passed, N failed, N skipped`, summed from the runners' own counts.
// Under CI (CI set) a skipped test is a failure.
import { spawn } from 'node:child_process';
import { installWhatIsMissing, root } from './install.mjs';

installWhatIsMissing();
const { Parser } = await import('tap-parser');
const bin = name => `${root}node_modules/.bin/${name}`;
const counts = { passed: 0, failed: 0, skipped: 0 };
const failures = [];

/** Runs a command; resolves with its exit code. Its output goes to `onOutput` or straight through. */
function run(command, args, onOutput) {
  return new Promise(resolve => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', onOutput ? 'pipe' : 'inherit', 'inherit'] });
    if (onOutput) child.stdout.on('data', onOutput);
    child.on('error', error => {
      console.error(`${command}: ${error.message}`);
      resolve(127);
    });
    child.on('close', code => resolve(code ?? 1));
  });
}

/** A stage that passes or fails as one. */
async function check(name, command, ...args) {
  const started = performance.now();
  const code = await run(command, args);
  if (code === 0) counts.passed++;
  else {
    counts.failed++;
    failures.push(name);
  }
  console.log(`${code === 0 ? '✔' : '✖'} ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
}

/** All tap tests; each named test of a file counts once, by what the runner says of it. */
async function tap(jobs) {
  const parser = new Parser();
  parser.on('child', file => {
    const { name } = file;
    let bad = 0;
    file.on('assert', test => {
      if (test.skip || test.todo) counts.skipped++;
      else if (test.ok) counts.passed++;
      else {
        bad++;
        counts.failed++;
        failures.push(`${name}: ${test.name}`);
      }
      if (test.skip) console.log(`  skipped: ${test.name} (${test.skip})`);
    });
    file.on('complete', result => {
      if (result.ok || bad > 0) return;
      counts.failed++;
      failures.push(`${name}: the file itself`);
    });
  });
  parser.on('assert', file =>
    console.log(`${file.ok ? '✔' : '✖'} ${file.name} (${((file.time ?? 0) / 1000).toFixed(1)} s)`),
  );
  const raw = [];
  const code = await run(
    bin('tap'),
    ['run', '--disable-coverage', `--jobs=${jobs}`, '--reporter=tap', '--timeout=240'],
    data => {
      raw.push(data);
      parser.write(data);
    },
  );
  parser.end();
  if (code === 0) return;
  process.stderr.write(
    Buffer.concat(raw)
      .toString()
      .split('\n')
      .filter(line => !/^\s*ok /.test(line))
      .join('\n'),
  );
  if (counts.failed === 0) {
    counts.failed++;
    failures.push('the test runner itself');
  }
}

await check('formatting and lint', bin('biome'), 'check', '--error-on-warnings', '.');
await check('types', bin('tsc'), '-p', '.');
await check('types of the pure rooms', bin('tsc'), '-p', 'tsconfig.pure.json');
await check('generated pages of docs/', bin('tsx'), 'scripts/docs.ts', '--check');
await check('unused code and dependencies', bin('knip'));
await check('package', bin('publint'), '--strict', '--pack=false');
await tap(2);
await check('200 simulated seeds', bin('tsx'), 'scripts/sim.ts', '--seeds', '200');

for (const failure of failures) console.log(`failed: ${failure}`);
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exit(counts.failed > 0 || (process.env.CI && counts.skipped > 0) ? 1 : 0);
