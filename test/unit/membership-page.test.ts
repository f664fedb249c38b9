import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import t from 'tap';
import { run } from '../../lib/cli/index.js';
import { defaultCrypto } from '../../lib/crypto/index.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(join(root, 'docs/membership.md'), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'hopfair-membership-'));
t.teardown(() => rmSync(folder, { recursive: true }));

const places: Record<string, string> = {
  hopfair: 'lib/index.ts',
  'hopfair/storage': 'lib/storage/index.ts',
  'hopfair/transports/tcp': 'transports/tcp.ts',
};

async function command(line: string): Promise<{ code: number; out: string[]; err: string[] }> {
  const [out, err] = [[] as string[], [] as string[]];
  const output = { out: (text: string) => out.push(text), err: (text: string) => err.push(text) };
  const code = await run(line.split(' ').slice(1), defaultCrypto(), output);
  return { code, out, err };
}

async function idOf(name: string): Promise<string> {
  const { out } = await command(`hopfair identity show ${name}.json --json`);
  return (JSON.parse(out[0] ?? '{}') as { peer: string }).peer;
}

t.test(
  'the page on membership: every command runs, every file is taken, and the program follows the roster',
  async t => {
    const back = process.cwd();
    process.chdir(folder);
    t.teardown(() => process.chdir(back));
    const programs: string[] = [];
    let commands = 0;
    for (const [, language, file, text = ''] of page.matchAll(/```(sh|json|ts) ?([\w.-]*)\n([\s\S]*?)```/g)) {
      if (language === 'ts') programs.push(text);
      if (language === 'json') {
        const names = new Set([...text.matchAll(/hf1…(\w+)/g)].map(([, name]) => name as string));
        let content = text;
        for (const name of names) content = content.replaceAll(`hf1…${name}`, await idOf(name));
        writeFileSync(file ?? '', content);
      }
      if (language !== 'sh') continue;
      for (const line of text.trim().split('\n')) {
        const { code, err } = await command(line);
        t.equal(code, 0, `${line}: ${err.join()}`);
        commands += 1;
      }
    }
    t.ok(commands > 15);
    t.equal(programs.length, 2);
    const source = `${programs.join('\n')}\nawait node.close();\nawait store.close();\n`.replace(
      /from '(hopfair[^']*)'/g,
      (_, name: string) => `from '${pathToFileURL(join(root, places[name] ?? '')).href}'`,
    );
    writeFileSync('program.mts', source);
    const tsx = join(root, 'node_modules/.bin/tsx');
    const first = spawnSync(tsx, ['program.mts'], { encoding: 'utf8', timeout: 60_000 });
    t.match(first.stdout, new RegExp(`^2 \\[\\] \\[ '${await idOf('desk')}' \\] given here`), first.stderr);
    writeFileSync(
      'restart.mts',
      source
        .replaceAll(/membership\.update\(.*/g, '')
        .replace('await node.close', 'console.log(membership.roster?.version);\nawait node.close'),
    );
    const second = spawnSync(tsx, ['restart.mts'], { encoding: 'utf8', timeout: 60_000 });
    t.match(second.stdout, /^2\n/, `the store kept it: ${second.stderr}`);
  },
);

t.test('commands on rosters refuse what no node would take, and say what is wrong', async t => {
  const back = process.cwd();
  process.chdir(folder);
  t.teardown(() => process.chdir(back));
  const refused = async (line: string, code: number, message: RegExp) => {
    const result = await command(line);
    t.equal(result.code, code, line);
    t.match([...result.err, ...result.out].join('\n'), message);
  };
  await refused('hopfair roster create roster-1.json --out roster-1.draft', 2, /Nothing is overwritten/);
  await refused(
    'hopfair roster assemble roster-1.draft roster-1.anna --trust trust.json --out x',
    2,
    /1 of 2 root keys signed/,
  );
  await refused(
    'hopfair roster assemble roster-1.draft roster-1.anna roster-2.ben --trust trust.json --out x',
    2,
    /another draft/,
  );
  await refused('hopfair roster sign roster-1.draft --key desk.json --out roster-1.desk', 0, /signed by/);
  await refused(
    'hopfair roster assemble roster-1.draft roster-1.anna roster-1.desk --trust trust.json --out x',
    2,
    /no root key/,
  );
  await refused('hopfair roster verify roster-1.hfr --trust next-trust.json', 1, /INVALID/);
  await refused('hopfair roster verify roster-3.hfr --trust trust.json', 0, /version 3/);
  await refused('hopfair roster show trust.json', 2, /no draft/);
  await refused('hopfair roster rotate next-trust.json --from-version 0 --out x', 2, /from 1 on/);
  const draft = readFileSync('roster-2.draft', 'utf8');
  writeFileSync('changed.draft', draft.replace(/"body": "02/, '"body": "03'));
  await refused('hopfair roster sign changed.draft --key anna.json --out x', 2, /unknown format/);
  writeFileSync('changed.draft', draft.replace(/"hash": "../, '"hash": "zz'));
  await refused('hopfair roster sign changed.draft --key anna.json --out x', 2, /changed since it was made/);
  const roster = JSON.parse(readFileSync('roster-1.json', 'utf8')) as Record<string, unknown>;
  const mistakes: readonly [Record<string, unknown>, RegExp][] = [
    [{ expiry: 'soon' }, /"expiry" must be a time/],
    [{ version: 0 }, /"version"/],
    [{ colour: 'red' }, /"colour" is nothing that a roster has/],
    [{ members: [{ peer: 'hf1x' }] }, /"members" 0/],
    [{ members: [{ peer: await idOf('desk'), mayrelay: true }] }, /"mayrelay"/],
    [{ aliases: { prices: 'book' } }, /"aliases" prices/],
    [{ edges: [{ between: [await idOf('desk')], floorMs: 1 }] }, /"edges" 0/],
    [{ rotations: ['nowhere.hfr'] }, /nowhere/],
  ];
  for (const [change, message] of mistakes) {
    writeFileSync('mistake.json', JSON.stringify({ ...roster, ...change }));
    await refused('hopfair roster create mistake.json --out x', 2, message);
  }
});
