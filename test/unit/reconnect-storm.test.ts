/** Many who come at once: the gate of the one side and the patience of the other, in virtual time. */
import t from 'tap';
import { HandshakeGate } from '../../lib/channel/index.js';
import { HopfairError } from '../../lib/errors.js';
import { MAX_RETRY_MS, Redial } from '../../lib/mesh/redial.js';
import { SeededRng } from '../../lib/sim/index.js';
import { manualEnv } from '../support/manual-env.js';

const LOST = new HopfairError('CONNECTION_LOST', 'the other end closed it');
const TURNED_AWAY = new HopfairError('HANDSHAKE_FAILED', 'the connection closed', { cause: LOST, retryable: true });
const ROUND_TRIP_MS = 20;

/** When each of the clients was back, in ms, and the processor time that the gate counted until then. */
function storm(
  clients: number,
  handshakeMs: number,
  seed: number,
): { readonly backMs: readonly number[]; readonly spentMs: number } {
  const env = manualEnv();
  const rng = new SeededRng(`storm ${seed}`);
  const gate = new HandshakeGate(env.clock);
  const backMs: number[] = [];
  const begin = env.clock.now();
  const come = (redial: Redial): void => {
    const turnedAway = (): void => {
      env.clock.schedule(redial.failed(TURNED_AWAY, env.clock.now()) * rng.float(), () => come(redial));
    };
    const ticket = gate.enter('127.0.0.1:1', turnedAway);
    if (ticket === undefined) {
      turnedAway();
      return;
    }
    const finish = (): void => {
      if (ticket.mayGoOn()) {
        ticket.run(() => env.pass(handshakeMs / 2));
        ticket.onAdmitted();
        backMs.push(env.clock.now() - begin);
      } else turnedAway();
      ticket.leave();
    };
    env.clock.schedule(ROUND_TRIP_MS, () =>
      ticket.onFirstMessage(mayBegin => {
        if (mayBegin) {
          ticket.run(() => env.pass(handshakeMs / 2));
          env.clock.schedule(ROUND_TRIP_MS, finish);
          return;
        }
        ticket.leave();
        turnedAway();
      }),
    );
  };
  for (let i = 0; i < clients; i++) come(new Redial());
  while (backMs.length < clients && env.clock.now() - begin < 10 * MAX_RETRY_MS) env.advance(5);
  return { backMs, spentMs: gate.stats.spentMs };
}

t.test(
  'a thousand who come at once are back within thirty seconds, at a fifth of a core for their handshakes',
  async t => {
    const { backMs, spentMs } = storm(1_000, 5, 1);
    t.equal(backMs.length, 1_000);
    const allBackMs = backMs.at(-1) ?? Number.POSITIVE_INFINITY;
    t.ok(allBackMs <= 30_000, `the last one after ${allBackMs} ms`);
    const share = spentMs / allBackMs;
    t.ok(share <= 0.2, `${share} of a core`);
    t.ok(share >= 0.18, `${share} of a core: what there is is used while anybody waits`);
  },
);

t.test('a few who come at once are served at once, one after the other', async t => {
  const { backMs } = storm(10, 5, 1);
  t.ok((backMs.at(-1) ?? Number.POSITIVE_INFINITY) <= 2 * ROUND_TRIP_MS + 10 * 5 + 300, `${backMs.at(-1)} ms`);
});

t.test('who never finds time is asked less and less often', async t => {
  const redial = new Redial();
  const spreads = Array.from({ length: 11 }, () => redial.failed(TURNED_AWAY, manualEnv().clock.now()));
  t.same(spreads, [...Array(7).fill(5_000), 10_000, 20_000, MAX_RETRY_MS, MAX_RETRY_MS]);
});
