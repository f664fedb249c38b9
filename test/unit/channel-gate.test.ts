import t from 'tap';
import { concat, fromUtf8 } from '../../lib/bytes.js';
import { HandshakeGate, type HandshakeTicket } from '../../lib/channel/index.js';
import { LIMITS } from '../../lib/limits.js';
import { fast } from '../support/channel-ends.js';
import { type ManualEnv, manualEnv } from '../support/manual-env.js';

const nobody = (): void => undefined;

t.test('rate of an address, half-open bound with eviction, room for those who were admitted', async t => {
  const env = manualEnv();
  const gate = new HandshakeGate(env.clock, { maxHalfOpen: 8, isExempt: () => false });
  const evicted: string[] = [];
  const enter = (address: string) => gate.enter(address, () => evicted.push(address));
  for (let i = 0; i < 5; i++) enter('10.0.0.1:1')?.leave();
  t.equal(enter('10.0.0.1:2'), undefined, 'the burst is used up, whatever the port');
  env.advance(50);
  t.ok(enter('10.0.0.1:3'), 'twenty a second');
  for (let i = 0; i < 5; i++) enter(`[2001:db8:0:1::${i}]:9`)?.leave();
  t.equal(enter('[2001:db8:0:1:ffff::1]:9'), undefined, 'a /64 counts as one');
  t.ok(enter('[2001:db8:0:2::1]:9'), 'another /64 does not');

  const admitted = enter('10.0.1.1:1');
  admitted?.leave();
  admitted?.onAdmitted();
  enter('10.0.1.2:1')?.leave();
  enter('10.0.2.1:1')?.onFirstMessage(nobody);
  t.ok(enter('10.0.2.2:1'));
  t.same(evicted, []);
  t.ok(enter('10.0.2.3:1'), 'strangers share half of the slots');
  t.same(evicted, ['10.0.0.1:3'], 'the oldest who has said nothing makes room');
  t.ok(enter('10.0.2.4:1'));
  t.ok(enter('10.0.2.5:1'));
  t.same(evicted.slice(1), ['[2001:db8:0:2::1]:9', '10.0.2.2:1'], 'who has spoken keeps its place');
  t.equal(gate.stats.halfOpen, 4);
  t.ok(enter('10.0.1.1:2'), 'the other half is for the known');
  t.ok(enter('10.0.1.2:2'), 'who was not admitted is not known');
  t.equal(evicted.length, 4);
  env.advance(LIMITS.trustedAddressMs);
  enter('10.0.1.1:3');
  t.equal(evicted.length, 5, 'nor is who was admitted long ago');
});

t.test('who failed holds its place until it is closed, unless another needs it; a ticket leaves once', async t => {
  const env = manualEnv();
  const gate = new HandshakeGate(env.clock, { maxHalfOpen: 4 });
  const evicted: number[] = [];
  const tickets = [0, 1].map(i => gate.enter(`10.0.0.${i}:1`, () => evicted.push(i)) as HandshakeTicket);
  for (const ticket of tickets) ticket.onFirstMessage(nobody);
  t.equal(gate.enter('10.0.0.9:1', nobody), undefined, 'both have spoken');
  tickets[1]?.onFailed();
  t.equal(gate.stats.halfOpen, 2);
  t.ok(gate.enter('10.0.0.9:1', nobody));
  t.same(evicted, [1]);
  tickets[1]?.onFailed();
  tickets[1]?.leave();
  t.equal(gate.stats.halfOpen, 2);
  tickets[0]?.leave();
  tickets[0]?.leave();
  t.equal(gate.stats.halfOpen, 1);
});

t.test('time inside handshakes is counted and paced, time that the process stood still is not', async t => {
  const env = manualEnv();
  const gate = new HandshakeGate(env.clock, { cpuShare: 0.2, cpuBurstMs: 500, maxWaitMs: 10_000 });
  const known = gate.enter('1.1.1.9:1', nobody);
  known?.onAdmitted();
  known?.leave();
  const first = gate.enter('1.1.1.1:1', nobody);
  const waiting = gate.enter('1.1.1.2:1', nobody);
  env.advance(60_000);
  t.equal(gate.stats.spentMs, 0, 'waiting costs nothing');
  first?.run(() => env.advance(300_000));
  t.ok(gate.stats.spentMs <= 50, 'five minutes within one call were a pause');
  for (let i = 0; i < 10; i++) first?.run(() => env.advance(40));
  t.equal(first?.mayGoOn(), true, 'what has begun may go on');
  const begun: string[] = [];
  waiting?.onFirstMessage(mayBegin => begun.push(`a stranger ${mayBegin}`));
  gate.enter('1.1.1.9:1', nobody)?.onFirstMessage(mayBegin => begun.push(`the known ${mayBegin}`));
  t.same(begun, ['the known true'], 'no stranger begins, the known do');
  for (let i = 0; i < 8; i++) first?.run(() => env.pass(40));
  t.equal(first?.mayGoOn(), false);
  gate.enter('1.1.1.9:1', nobody)?.onFirstMessage(mayBegin => begun.push(`the known again ${mayBegin}`));
  t.equal(begun.length, 1, 'until nothing is left');
  env.advance(2_000);
  t.same(begun.slice(1), ['the known again true'], 'a fifth of the time comes back, for the known first');
  env.advance(4_000);
  t.same(begun.slice(2), ['a stranger true'], 'then for strangers');
  t.throws(() => first?.run(throwing), 'and what a call throws is thrown');
});

function throwing(): never {
  throw new Error('inside');
}

t.test('many addresses: the oldest rate and the oldest trust are forgotten, not more kept', async t => {
  const env = manualEnv();
  const options = { isExempt: () => false, handshakeBurst: 1, maxRatedAddresses: 2, maxTrustedAddresses: 1 };
  const gate = new HandshakeGate(env.clock, { ...options, maxHalfOpen: 2 });
  for (const host of ['10.0.0.1', '10.0.0.2', '10.0.0.3']) {
    const ticket = gate.enter(`${host}:1`, nobody);
    ticket?.onAdmitted();
    ticket?.leave();
  }
  t.equal(gate.enter('10.0.0.3:1', nobody), undefined);
  const forgotten = gate.enter('10.0.0.1:1', nobody);
  t.ok(forgotten, 'its rate is whole again');
  forgotten?.onFirstMessage(nobody);
  t.equal(gate.enter('10.0.0.2:1', nobody), undefined, 'the place for strangers is taken, and it is one again');
});

/** Lets handshakes come that take so long each, and keeps what becomes of them. */
function comers(gate: HandshakeGate, env: ManualEnv) {
  const turns: string[] = [];
  const come = (address: string, ms: number): HandshakeTicket | undefined => {
    const ticket = gate.enter(address, nobody);
    ticket?.onFirstMessage(mayBegin => {
      turns.push(`${address} ${mayBegin}`);
      if (mayBegin) ticket.run(() => env.pass(ms));
    });
    return ticket;
  };
  return { turns, come };
}

t.test('handshakes take turns, the known before strangers, and wait for time as long as others may', async t => {
  const env = manualEnv();
  const gate = new HandshakeGate(env.clock, { cpuShare: 0.004, cpuBurstMs: 100 });
  const known = gate.enter('1.1.1.9:1', nobody);
  known?.onAdmitted();
  known?.leave();
  const { turns, come } = comers(gate, env);
  come('1.1.1.1:1', 0.01);
  come('1.1.1.2:1', 0.01);
  t.equal(turns.length, 2, 'what costs next to nothing does not wait');
  come('1.1.1.3:1', 15);
  come('1.1.1.4:1', 49);
  come('1.1.1.5:1', 1);
  come('1.1.1.9:1', 10);
  t.equal(turns.length, 3);
  env.advance(1_000);
  t.same(turns.slice(3), ['1.1.1.9:1 true', '1.1.1.4:1 true'], 'one after the other, while there is time');
  env.advance(LIMITS.maxHandshakeWaitMs);
  t.same(turns.slice(5), ['1.1.1.5:1 false'], 'and nobody waits for ever');
  t.equal(gate.stats.refused, 1);
});

t.test('who cannot be served in time is turned away at once, and who left is not served', async t => {
  const env = manualEnv();
  const gate = new HandshakeGate(env.clock, { cpuShare: 0.2, cpuBurstMs: 100, maxWaitMs: 1_000, isExempt: () => true });
  const { turns, come } = comers(gate, env);
  for (let i = 0; i < 6; i++) {
    come(`1.1.1.${i}:1`, 20);
    env.advance(1);
  }
  t.equal(turns.length, 3, 'strangers have half of the burst');
  // 20 ms each at a tenth of a core: six in a second.
  const waiting = Array.from({ length: 3 }, (_, i) => come(`1.1.2.${i}:1`, 20));
  t.equal(come('1.1.3.1:1', 20), undefined);
  t.equal(gate.stats.refused, 1);
  waiting[0]?.leave();
  t.ok(come('1.1.3.2:1', 20), 'there is room for one more');
  env.advance(10_000);
  t.notOk(
    turns.some(turn => turn.startsWith('1.1.2.0:1')),
    'its connection is gone',
  );
});

/** What a stranger gets in answer to its first message; `onFirst` is called before that message leaves. */
function answersTo(first: Uint8Array, gate: HandshakeGate, onFirst = nobody): Uint8Array[] {
  const answers: Uint8Array[] = [];
  const { env, bob } = fast({}, { gate }, (message, from, index) => {
    if (from === 'far') answers.push(message);
    else if (index === 0) onFirst();
    if (from === 'far') return message;
    return index === 0 ? first : undefined;
  });
  env.advance(LIMITS.handshakeTimeoutMs);
  t.equal(bob.failures.length, 1);
  return answers;
}

t.test(
  'every failure of a first message looks the same in bytes; for want of time it is closed without a word',
  async t => {
    let valid: Uint8Array = new Uint8Array(0);
    fast({}, {}, (message, from, index) => {
      if (from === 'near' && index === 0) valid = message;
      return message;
    });
    const header = valid.subarray(0, valid.length - 32);
    for (const first of [
      fromUtf8('GET / HTTP/1.1'),
      new Uint8Array(0),
      concat(header, new Uint8Array(7)),
      concat(header, new Uint8Array(32)),
      concat(valid, new Uint8Array(1)),
    ]) {
      t.same(answersTo(first, new HandshakeGate(manualEnv().clock)), [Uint8Array.of(0)]);
    }
    const { clock, advance } = manualEnv();
    const gate = new HandshakeGate(clock, { cpuShare: 0 });
    const other = gate.enter('10.0.0.1:1', nobody);
    const spend = (): void => {
      for (let i = 0; i < 6; i++) other?.run(() => advance(50));
    };
    t.same(answersTo(valid, gate, spend), []);
    t.equal(gate.stats.spentMs, 300, 'the message was not even looked at');
    t.ok((answersTo(valid, new HandshakeGate(clock))[0]?.length ?? 0) > 100, 'and it was a good one');
  },
);
