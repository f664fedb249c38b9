/**
 * How long one order of 256 bytes takes over the whole path on loopback WebSockets: session, one relay, a committee of
 * four with logs on disk, until it is opened at the client. Lone orders, one after the other. Everything runs in one
 * process, so it is an upper bound. `npm run bench -- path [--orders N] [--json]`
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { nodeEnv } from '../../lib/env-node.js';
import {
  AllowList,
  createIdentity,
  createNode,
  defaultParameters,
  type Identity,
  joinBroadcast,
} from '../../lib/index.js';
import { openFileLog } from '../../lib/storage/index.js';
import { webSocketTransport } from '../../transports/websocket.js';

const { values } = parseArgs({
  options: { orders: { type: 'string', default: '300' }, json: { type: 'boolean', default: false } },
});
const orders = Number(values.orders);
const WARM_UP = 50;
const networkId = 'bench';
const folder = mkdtempSync(join(tmpdir(), 'hopfair-bench-path-'));

const [relayIdentity, client, ...members] = Array.from({ length: 6 }, () => createIdentity({ networkId })) as [
  Identity,
  Identity,
  ...Identity[],
];
const membership = new AllowList(
  [relayIdentity, client, ...members].map(({ peer }) => ({ peer, mayRelay: peer === relayIdentity.peer })),
);
const shared = { networkId, membership, transports: [webSocketTransport()] };
const relay = await createNode({ ...shared, identity: relayIdentity, relay: true, listen: ['ws://127.0.0.1:0'] });
const peers = relay.addresses.map(address => ({ address }));
const nodeOf = (identity: Identity) => createNode({ ...shared, identity, peers });

const committee = {
  networkId,
  epoch: 1,
  members: members.map(({ peer }) => ({ peer })),
  parameters: defaultParameters(25),
};
for (const [i, identity] of members.entries()) {
  const log = await openFileLog({ dataDir: join(folder, String(i)), epoch: 1, rng: nodeEnv().rng });
  joinBroadcast(await nodeOf(identity), { role: 'member', committee, identity, log });
}
const node = await nodeOf(client);
const [first] = members;
await node.session((first as Identity).peer);
const log = joinBroadcast(node, { committee, identity: client });

const quantiles = (samples: number[]) => {
  const sorted = Float64Array.from(samples).sort();
  const at = (share: number) => Math.round((sorted[Math.floor(share * sorted.length)] ?? 0) * 100) / 100;
  return { p50: at(0.5), p99: at(0.99) };
};

const stages: Record<'promised' | 'ordered' | 'opened', number[]> = { promised: [], ordered: [], opened: [] };
const payload = new Uint8Array(256);
for (let i = 0; i < WARM_UP + orders; i++) {
  const startedAt = performance.now();
  const receipt = await log.submit(payload, { key: 'bench' });
  for await (const { stage } of receipt) if (i >= WARM_UP) stages[stage].push(performance.now() - startedAt);
}
const summary = {
  type: 'summary',
  bench: 'path',
  orders: stages.opened.length,
  bytes: payload.length,
  latencyMs: {
    promised: quantiles(stages.promised),
    ordered: quantiles(stages.ordered),
    opened: quantiles(stages.opened),
  },
};
if (values.json) console.log(JSON.stringify(summary));
else console.table(summary.latencyMs);
rmSync(folder, { recursive: true });
process.exit(0);
