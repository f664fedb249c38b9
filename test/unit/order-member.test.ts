/** Committees of real members in virtual time: one log everywhere, whatever is lost, late or restarted. */
import t from 'tap';
import { Harness } from '../fixtures/committee-harness.js';
import { committeeOf } from '../fixtures/order.js';

for (const n of [1, 4, 7]) {
  t.test(`${n} members deliver every order once and in one order`, t => {
    const h = new Harness(committeeOf(n, { delayBoundMs: 20 }).descriptor, { seed: n });
    h.startAll();
    const clients = ['alice', 'bob', 'carol'];
    for (const client of clients) h.join(client);
    const submitted: string[] = [];
    for (let i = 0; i < 10; i++) {
      for (const client of clients) {
        h.at(100 + i * 7, () => {
          submitted.push(`${client} ${i}`);
          h.submit(client, [h.seal(client, 'main', `${client} ${i}`)]);
        });
      }
    }
    const all = () => h.nodes.every((_, index) => h.entries(index).length >= 30);
    t.ok(h.run(20_000, all), 'every order is delivered');
    h.run(500);
    const [first] = h.nodes.keys();
    for (const index of h.nodes.keys()) t.same(h.entries(index), h.entries(first as number));
    t.same([...h.log(0)].sort(), [...submitted].sort());
    t.end();
  });
}
