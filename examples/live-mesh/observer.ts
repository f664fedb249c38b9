/** An observer: follows both logs without a vote, runs a replica of the exchange on the sealed one, and reports. */
import { joinBroadcast } from '../../lib/broadcast/index.js';
import type { Entry } from '../../lib/order/types.js';
import { MatchingEngine } from '../exchange/engine.js';
import { decodeOrder, type LimitOrder } from '../exchange/order.js';
import type { EntryReport, ModeName } from './messages.js';
import { decodedCommittee } from './network.js';
import type { RolePlay, Stagehand } from './node.js';

const REPORT_INTERVAL_MS = 100;
/** The state hash covers the whole book, so it is taken less often. */
const STATE_INTERVAL_MS = 1_000;

const orderIn = ({ opening }: Entry): LimitOrder | undefined =>
  opening.kind === 'opened' ? decodeOrder(opening.payload) : undefined;

export async function playObserver(hand: Stagehand): Promise<RolePlay> {
  const { config, node, identity, crypto, env, report } = hand;
  const engine = new MatchingEngine();
  const join = (mode: ModeName) => {
    const committee = decodedCommittee(config.committees[mode]);
    return joinBroadcast(node, { role: 'observer', committee, identity, crypto, env });
  };
  const logs = { sealed: join('sealed'), plain: join('plain') };
  const stop = new AbortController();

  let reported = -1;
  const reportState = () => {
    const { applied, fills, lastPrice } = engine;
    if (applied === reported) return;
    reported = applied;
    report({ kind: 'state', applied, stateHash: engine.stateHash(), fills, lastPrice });
  };
  const stateTimer = setInterval(reportState, STATE_INTERVAL_MS);

  const follow = async (mode: ModeName): Promise<void> => {
    let firstIndex = 0;
    let entries: EntryReport[] = [];
    const flush = () => {
      if (entries.length === 0) return;
      report({ kind: 'entries', mode, firstIndex, entries });
      firstIndex += entries.length;
      entries = [];
    };
    const timer = setInterval(flush, REPORT_INTERVAL_MS);
    try {
      for await (const entry of logs[mode].entries({ signal: stop.signal })) {
        const order = orderIn(entry);
        entries.push({
          id: entry.id,
          order: order ? `${order.account}/${order.reference}` : '',
          side: order?.side ?? '',
        });
        if (mode !== 'sealed') continue;
        if (order) engine.apply(order);
        else engine.skip(entry.id);
      }
    } finally {
      clearInterval(timer);
      flush();
    }
  };
  const following = Promise.all([follow('sealed'), follow('plain')]).catch(error => {
    if (!stop.signal.aborted) report({ kind: 'fatal', reason: String(error) });
  });
  return {
    async close() {
      clearInterval(stateTimer);
      stop.abort();
      await following;
      await Promise.all([logs.sealed.close(), logs.plain.close()]);
    },
  };
}
