/** Consensus on cuts: readable transcripts, compared line by line. UPDATE_TRANSCRIPTS=1 writes what the machine does. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { SimplexTranscript } from '../fixtures/simplex-transcript.js';

const folder = new URL('../transcripts/order-simplex/', import.meta.url);

for (const name of readdirSync(folder).sort()) {
  t.test(`${name} happens as it is written`, t => {
    const file = new URL(name, folder);
    const expected = readFileSync(file, 'utf8');
    const actual = new SimplexTranscript().run(expected);
    if (process.env.UPDATE_TRANSCRIPTS === '1') writeFileSync(file, actual);
    t.equal(actual, process.env.UPDATE_TRANSCRIPTS === '1' ? actual : expected);
    t.end();
  });
}
