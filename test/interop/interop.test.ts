import t from 'tap';
import { CASES } from './cases.js';
import { MESSAGES, messageAt } from './messages.js';
import { type CaseResult, runInterop } from './run.js';

t.test('with other implementations, as either role: the handshake and a thousand messages each way', async t => {
  const results: CaseResult[] = [];
  await runInterop(result => results.push(result));
  t.equal(results.length, CASES.length);
  for (const { party, protocolName, role, ok, received, receivedByOther, error } of results) {
    const name = `${party} ${protocolName} as ${role}`;
    t.strictSame(
      { ok, error, received, receivedByOther },
      {
        ok: true,
        error: undefined,
        received: MESSAGES,
        receivedByOther: MESSAGES,
      },
      name,
    );
  }
});

t.test('the cases are the patterns, ciphers and hashes of both implementations, in both roles', async t => {
  const of = (party: string) => CASES.filter(it => it.party === party);
  t.equal(of('libp2p-noise').length, 2);
  t.equal(of('noise-c').length, 16);
  for (const part of ['_XX_', '_IK_', '_ChaChaPoly_', '_AESGCM_', '_SHA256', '_BLAKE2s']) {
    t.equal(of('noise-c').filter(it => it.protocolName.includes(part)).length, 8, part);
  }
});

t.test(
  'a case in which the ends disagree is a failure with a reason, and the next one is not held up by it',
  async t => {
    const results: CaseResult[] = [];
    const good = CASES.find(it => it.party === 'noise-c') ?? t.fail('no case');
    const bad = { party: 'noise-c', role: 'initiator', protocolName: 'Noise_XX_448_ChaChaPoly_SHA256' } as const;
    if (typeof good === 'boolean') return;
    await runInterop(result => results.push(result), [bad, good]);
    t.equal(results[0]?.ok, false);
    t.match(results[0]?.error, /here: .*448/);
    t.equal(results[1]?.ok, true);
  },
);

t.test('messages differ between directions and have all sizes up to the largest of Noise', async t => {
  const sizes = new Set(Array.from({ length: MESSAGES }, (_, i) => messageAt('initiator', i).length));
  t.ok(sizes.size > 600);
  t.ok(sizes.has(1) && sizes.has(65_519));
  t.notSame(messageAt('initiator', 3), messageAt('responder', 3));
});
