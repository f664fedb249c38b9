import t from 'tap';
import { diamond, numbers, renewals, upTo } from '../support/renewing-mesh.js';

for (let seed = 1; seed <= 4; seed++) {
  t.test(`with loss and jitter nothing is lost, repeated or reordered, seed ${seed}`, async t => {
    const link = { delayMs: 2 + seed, jitterMs: 8, loss: 0.02 };
    const { mesh, a, b } = await diamond({ seed, link });
    const there = numbers(mesh, a, b);
    const back = numbers(mesh, b, a);
    for (let i = 0; i < 400; i++) {
      there.send(4_000, i % 5 === 0);
      back.send(100, false);
      await mesh.run(28);
    }
    await mesh.run(3_000);
    t.same(there.got, upTo(400));
    t.same(back.got, upTo(400));
    t.ok(renewals(a) >= 2 && renewals(b) >= 2, `${renewals(a)} and ${renewals(b)} renewals`);
  });
}
