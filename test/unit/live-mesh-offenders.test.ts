import t from 'tap';
import { castTheMesh } from '../../examples/live-mesh/cast.js';
import { Offenders } from '../../examples/live-mesh/offenders.js';
import { DEEDS, relaysToSpare } from '../../examples/live-mesh/trouble.js';

t.test('a flow counts as gone when its route no longer leads over the relay, and only once', async t => {
  const offenders = new Offenders();
  offenders.begin('relay-1', 'drop', 4, 1_000, ['bot-1 > member-1', 'bot-1 > member-2']);
  offenders.left('bot-1 > member-1', 'relay-1 > relay-3', 'relay-2 > relay-1', 1_050);
  offenders.left('bot-9 > member-1', 'relay-1', 'relay-2', 1_060);
  t.match(offenders.reports([])[0], { left: 0, flows: 2, firstLeftMs: undefined });
  offenders.left('bot-1 > member-1', 'relay-1', 'relay-2', 1_100);
  offenders.left('bot-1 > member-1', 'relay-1', 'relay-2', 1_900);
  offenders.left('bot-1 > member-2', 'relay-1', 'direct', 1_300);
  const routes = ['relay-2', 'relay-11 > relay-1', 'relay-11'];
  t.match(offenders.reports(routes)[0], { left: 2, firstLeftMs: 100, lastLeftMs: 300, crossing: 1 });
});

t.test('whoever names the relay or a link of it is counted until it takes that back', async t => {
  const offenders = new Offenders();
  offenders.begin('relay-1', 'on-off', 0, 0, []);
  offenders.named('bot-1', ['relay-2', 'relay-3'], false, 500);
  t.same(offenders.reports([])[0]?.namedBy, []);
  offenders.named('bot-1', ['relay-1', 'relay-3'], false, 700);
  offenders.named('bot-2', ['relay-1'], false, 900);
  t.match(offenders.reports([])[0], { namedBy: ['bot-1', 'bot-2'], firstNamedMs: 700 });
  offenders.named('bot-1', ['relay-1', 'relay-3'], true, 1_200);
  t.match(offenders.reports([])[0], { namedBy: ['bot-2'], firstNamedMs: 700 });
});

t.test('with every relay that may turn hostile gone, each node still dials two', async t => {
  let named = 0;
  const cast = castTheMesh(() => `peer-${named++}`);
  const spared = relaysToSpare(cast, 4);
  t.equal(spared.length, 4);
  for (const { name, role, dials } of cast) {
    if (role !== 'relay') t.ok(dials.filter(relay => spared.includes(relay)).length >= 2, name);
  }
});

t.test('a relay that is on and off drops in the first second and forwards in the next', async t => {
  t.same(
    [0, 999, 1_000, 1_999, 2_000].map(ms => DEEDS['on-off'].verdict(ms)),
    ['drop', 'drop', 'forward', 'forward', 'drop'],
  );
});
