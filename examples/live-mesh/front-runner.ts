/**
 * The front-runner: told by a committee member what the victim submits, it tries to be ahead of the victim with
 * an order on the victim's side. What it can read it acts on; what is sealed leaves it the toss of a coin. Otherwise it is
 * an ordinary client, and as fast as it can be.
 */
import { HopfairError } from '../../lib/errors.js';
import { decodeClientMessage } from '../../lib/order/client-messages.js';
import type { Envelope } from '../../lib/order/envelope.js';
import { decodeSubmission } from '../../lib/order/submission.js';
import { decodeOrder } from '../exchange/order.js';
import { Desk, joinBoth } from './bot.js';
import { LEAGUE } from './league.js';
import type { ModeName } from './messages.js';
import type { RolePlay, Stagehand } from './node.js';

const REPORT_INTERVAL_MS = 100;
/** Per log: enough for a rate, too few to be the traffic. */
const MIN_MS_BETWEEN_ATTACKS = 50;

export async function playFrontRunner(hand: Stagehand): Promise<RolePlay> {
  const orders = joinBoth(hand);
  const desks = { sealed: new Desk(hand, orders.sealed, 'sealed'), plain: new Desk(hand, orders.plain, 'plain') };
  const lastAttackAt: Record<ModeName, number> = { sealed: Number.NEGATIVE_INFINITY, plain: Number.NEGATIVE_INFINITY };
  let reference = 0;

  const attack = (victim: Envelope): void => {
    const mode = victim.mode === 'open' ? 'plain' : 'sealed';
    if (performance.now() - lastAttackAt[mode] < MIN_MS_BETWEEN_ATTACKS) return;
    lastAttackAt[mode] = performance.now();
    const read = decodeOrder(victim.ciphertext);
    const side = read?.side ?? (Math.random() < 0.5 ? 'buy' : 'sell');
    const own = reference++;
    hand.report({ kind: 'attack', mode, victim: victim.id, order: `${hand.config.name}/${own}`, side });
    desks[mode].submit({ reference: own, side, price: read?.price ?? 6_000_000, quantity: 1 });
  };

  hand.node.serve(LEAGUE, (_from, bytes) => {
    for (const victim of victimsIn(hand, bytes)) attack(victim);
  });
  const timer = setInterval(() => {
    desks.sealed.flush();
    desks.plain.flush();
  }, REPORT_INTERVAL_MS);
  return {
    async command(command) {
      if (command.kind !== 'drain') return;
      await Promise.all([desks.sealed.settle(), desks.plain.settle()]);
      hand.report({ kind: 'drained' });
    },
    async close() {
      clearInterval(timer);
      await orders.leave();
    },
  };
}

/** The orders in what the league passed on; nothing when it holds none. */
function victimsIn({ crypto }: Stagehand, bytes: Uint8Array): readonly Envelope[] {
  try {
    const message = decodeClientMessage(bytes);
    return message.kind === 'submit' ? decodeSubmission(crypto, message.batch).envelopes : [];
  } catch (error) {
    if (error instanceof HopfairError && error.code === 'DECODE_FAILED') return []; // not an order: nothing to run ahead of
    throw error;
  }
}
