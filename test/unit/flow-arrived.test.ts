import t from 'tap';
import { type Instant, instant } from '../../lib/env.js';
import type { PeerId } from '../../lib/identity/index.js';
import { Flow, type FlowEffect } from '../../lib/route/index.js';

const relay = (name: string): PeerId => name as PeerId;
const at = (ms: number): Instant => instant(ms);

/** A flow with two paths of 10 ms that sent one critical payload, a copy over each. */
function flowWithCopies() {
  const flow = new Flow<string>({ destination: relay('D'), random: () => 0.99 });
  for (const id of [0, 1]) {
    const path = { id, route: [relay(`R${id}`)], operators: [''], rttHintMs: 10 };
    flow.handle({ kind: 'path-up', path }, at(0));
  }
  const effects = flow.handle({ kind: 'submit', payload: 'order', bytes: 300, class: 'critical' }, at(0));
  return { flow, sent: effects.filter(effect => effect.kind === 'transmit') };
}

const settled = (effects: readonly FlowEffect<string>[]): number =>
  effects.filter(effect => effect.kind === 'settled').length;

t.test('a receipt over another path settles the payload and teaches no RTT', async t => {
  const { flow, sent } = flowWithCopies();
  t.equal(sent.length, 2);
  const [first] = sent;
  const path = [...flow.paths].find(({ id }) => id === first?.path);
  const ranges = [{ first: 0, last: first?.packet ?? 0 }];
  const before = path?.rtt.smoothedMs;
  t.equal(settled(flow.handle({ kind: 'arrived', path: first?.path ?? 0, ranges }, at(20))), 1);
  t.equal(flow.unsettledCount, 0);
  t.equal(path?.rtt.smoothedMs, before, 'the other path may be slower than this one');
  const own = { kind: 'receipt', path: first?.path ?? 0, ranges, delayMs: 0 } as const;
  t.equal(settled(flow.handle(own, at(21))), 0, 'nothing is settled twice');
  t.not(path?.rtt.smoothedMs, before, 'its own receipt is still a sample');
});

t.test('what arrived as a receipt over another path says is not lost, though its own receipt never comes', async t => {
  const shares: number[] = [];
  for (const crossed of [true, false]) {
    const { flow } = flowWithCopies();
    const path = flow.active;
    if (path === undefined) throw new Error('no path');
    for (const id of [0, 1]) {
      flow.handle({ kind: 'receipt', path: id, ranges: [{ first: 0, last: 0 }], delayMs: 0 }, at(9));
    }
    for (let i = 0; i < 30; i++) {
      const now = at(10 + i);
      const effects = flow.handle({ kind: 'submit', payload: 'order', bytes: 300, class: 'critical' }, now);
      for (const effect of effects) {
        if (effect.kind !== 'transmit') continue;
        const ranges = [{ first: effect.packet, last: effect.packet }];
        if (effect.path !== path.id) flow.handle({ kind: 'receipt', path: effect.path, ranges, delayMs: 0 }, now);
        else if (crossed) flow.handle({ kind: 'arrived', path: effect.path, ranges }, now);
      }
    }
    for (let ms = 41; ms < 2_000; ms++) flow.handle({ kind: 'tick' }, at(ms));
    shares.push(path.lanes.urgent.loss.verdict()?.share ?? 0);
  }
  t.equal(shares[0], 0);
  t.ok((shares[1] ?? 0) > 0.9, 'the same without those receipts is a loss');
});

t.test('a receipt over another path for what was never sent is ignored', async t => {
  const { flow } = flowWithCopies();
  t.equal(settled(flow.handle({ kind: 'arrived', path: 0, ranges: [{ first: 0, last: 9 }] }, at(5))), 0);
  t.equal(settled(flow.handle({ kind: 'arrived', path: 7, ranges: [{ first: 0, last: 0 }] }, at(5))), 0);
  t.equal(flow.unsettledCount, 1);
});
