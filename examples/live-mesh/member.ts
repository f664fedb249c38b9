/** A committee member: a validator of both committees, with its logs on disk. */
import { join as joinPath } from 'node:path';
import { joinBroadcast, type Orders } from '../../lib/broadcast/index.js';
import type { PeerId } from '../../lib/identity/index.js';
import { openFileLog } from '../../lib/storage/index.js';
import { treacherous } from './league.js';
import type { ModeName } from './messages.js';
import { decodedCommittee, VICTIM } from './network.js';
import type { RolePlay, Stagehand } from './node.js';
import { LogDigest } from './tally.js';

const REPORT_INTERVAL_MS = 200;

export async function playMember(hand: Stagehand): Promise<RolePlay> {
  const { config, node, identity, crypto, env, report } = hand;
  const victim = config.parties.find(party => party.name === VICTIM)?.peer as PeerId;
  const [friend] = hand.peersOf('front-runner');
  const hostile = config.league && friend !== undefined ? treacherous(node, env, victim, friend) : undefined;
  const join = async (mode: ModeName): Promise<Orders> => {
    const folder = joinPath(config.dataFolder, mode);
    const committee = decodedCommittee(config.committees[mode]);
    const log = await openFileLog({ dataDir: folder, epoch: committee.epoch, rng: env.rng });
    return joinBroadcast(hostile ?? node, { role: 'member', committee, identity, crypto, env, log });
  };
  const logs = { sealed: await join('sealed'), plain: await join('plain') };
  let height = 0;
  logs.sealed.on('notice', notice => {
    if (notice.kind === 'opened') height = notice.height;
    if (notice.kind === 'view') report({ ...notice, height });
  });
  for (const mode of ['sealed', 'plain'] as const) {
    logs[mode].on('failed', error => report({ kind: 'fatal', reason: error.message }));
  }
  const stop = new AbortController();
  const digest = new LogDigest();
  const timer = setInterval(
    () => report({ kind: 'log', count: digest.count, digest: digest.digest }),
    REPORT_INTERVAL_MS,
  );
  const following = (async () => {
    for await (const entry of logs.sealed.entries({ signal: stop.signal })) digest.append(entry.id);
  })().catch(error => {
    if (!stop.signal.aborted) report({ kind: 'fatal', reason: String(error) });
  });
  return {
    async close() {
      clearInterval(timer);
      stop.abort();
      await following;
      hostile?.leave();
      await Promise.all([logs.sealed.close(), logs.plain.close()]);
    },
  };
}
