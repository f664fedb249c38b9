import t from 'tap';
import { fromUtf8 } from '../../lib/bytes.js';
import { HandshakeGate } from '../../lib/channel/index.js';
import { browserEnv } from '../../lib/env-browser.js';
import { nodeEnv } from '../../lib/env-node.js';
import { type Ends, fast } from '../support/channel-ends.js';
import { manualEnv } from '../support/manual-env.js';

const never = (): Promise<boolean> => new Promise(() => undefined);

t.test('verdicts under way are bounded; one that comes, or is too late, makes room for the next', async t => {
  const env = manualEnv();
  const gate = new HandshakeGate(env.clock, { maxAdmissions: 2 });
  const arrive = (admit: () => Promise<boolean>): Ends => fast({}, { gate, admit });
  const first = arrive(never);
  let decide: (admitted: boolean) => void = () => undefined;
  const verdict = new Promise<boolean>(resolve => {
    decide = resolve;
  });
  const second = arrive(() => verdict);
  t.equal(gate.admissions.taken, 2);
  let asked = 0;
  const third = arrive(() => {
    asked++;
    return never();
  });
  third.env.advance(10);
  t.equal(asked, 0, 'the application is not even asked');
  t.equal(third.bob.failures[0]?.code, 'ADMISSION_UNDECIDED');
  t.equal(third.alice.closes[0]?.code, 'ADMISSION_UNDECIDED');
  t.ok(third.alice.closes[0]?.retryable);

  decide(true);
  await verdict;
  await Promise.resolve();
  t.ok(second.bob.channel);
  t.equal(gate.admissions.taken, 1);
  first.env.advance(5_000);
  t.equal(first.bob.failures[0]?.code, 'ADMISSION_UNDECIDED');
  t.equal(gate.admissions.taken, 0);
  t.ok(fast({}, { gate, admit: () => true }).bob.channel, 'a verdict that is there at once needs no waiting');
  t.equal(gate.admissions.taken, 0);
});

t.test('a revoked peer is told so in an authenticated end, at once, and nothing that was queued leaves', async t => {
  const { env, alice, bob } = fast();
  bob.open.pause();
  alice.open.send(fromUtf8('never delivered'));
  env.settle();
  bob.open.send(fromUtf8('never sent'));
  bob.open.revoke();
  t.ok(bob.open.closed);
  env.settle();
  t.equal(alice.closes[0]?.code, 'NOT_ADMITTED');
  t.equal(bob.closes[0]?.code, 'NOT_ADMITTED');
  t.same([alice.texts, bob.texts], [[], []]);

  const ending = fast();
  ending.bob.open.close();
  ending.bob.open.revoke();
  ending.bob.open.revoke();
  ending.env.settle();
  t.equal(ending.bob.closes.length, 1);
  t.equal(ending.bob.closes[0]?.code, 'NOT_ADMITTED');
  t.equal(ending.alice.closes[0]?.code, 'NOT_ADMITTED');
});

t.test('a peer that declares throttled timers may be silent for 90 s, any other for 15', async t => {
  for (const [throttledTimers, aliveMs, deadMs] of [
    [false, 14_000, 20_001],
    [true, 89_000, 95_001],
  ] as const) {
    let isCut = false;
    const { env, bob } = fast({ throttledTimers }, {}, (message, from) =>
      isCut && from === 'near' ? undefined : message,
    );
    isCut = true;
    env.advance(aliveMs);
    t.same(bob.closes, []);
    env.advance(deadMs - aliveMs);
    t.equal(bob.closes[0]?.code, 'TIMEOUT');
  }
});

t.test('what the platform says is declared, unless the caller says otherwise', async t => {
  t.equal(nodeEnv().throttledTimers, false);
  const scope = globalThis as { document?: unknown; MessageChannel: unknown };
  const { MessageChannel } = scope;
  class Quiet {
    readonly port1 = { onmessage: null };
    readonly port2 = { postMessage: (): void => undefined };
  }
  scope.MessageChannel = Quiet;
  t.equal(browserEnv().throttledTimers, false, 'a worker');
  scope.document = {};
  t.equal(browserEnv().throttledTimers, true, 'a document');
  delete scope.document;
  scope.MessageChannel = MessageChannel;
});
