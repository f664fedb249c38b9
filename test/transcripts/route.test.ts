import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { replay } from './route.js';

const folder = new URL('../../test/transcripts/route/', import.meta.url);

for (const file of readdirSync(folder)) {
  const path = new URL(file, folder);
  const expected = readFileSync(path, 'utf8');
  const title = /^# (.*)/.exec(expected)?.[1] ?? file;
  t.test(title, async t => {
    const actual = replay(expected);
    if (process.env['UPDATE_TRANSCRIPTS'] === '1') writeFileSync(path, actual);
    else t.equal(actual, expected);
  });
}
