/** The attacks of `npm run attack`, fewer of each, without their times: what is let in, kept and held. */
import t from 'tap';
import { attackRun } from './run.js';

const names = new Set<string>();
for await (const { name, transport, figure, bar, pass } of attackRun({ rounds: 1, windowMs: 300, share: 0.04 })) {
  names.add(name);
  t.test(`${name} over ${transport}`, async t => {
    t.comment(JSON.stringify(figure));
    if (figure['p99Ratio'] === undefined) {
      t.ok(pass);
      return;
    }
    t.equal(figure['channels'], 0, 'no stranger has a channel');
    t.equal(figure['establishedUp'], 1, 'the channel that was there lives on');
    t.equal(figure['newcomers'], 1, 'a newcomer from a known address came in meanwhile');
    t.ok((figure['halfOpen'] ?? Number.NaN) <= 513, 'strangers have half of the places');
    t.equal(figure['halfOpenAfter'], 0, 'and leave them');
    for (const key of ['heldBytes', 'keptBytes']) {
      t.ok((figure[key] ?? Number.NaN) < (bar[key] ?? Number.NaN), `${key}: ${figure[key]}`);
    }
  });
}
t.equal(names.size, 11, 'all attacks were run');
