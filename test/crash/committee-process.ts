/**
 * The victim of crash tests of whole committees: four members on the logs below the folder in argv[2], and a client that
 * submits to the stream named in argv[3] without end and prints `opened INDEX ID` for each order that is opened. With
 * `check` in place of a name nothing is submitted, and each member prints its log as `entry MEMBER INDEX ID`.
 */
import { join } from 'node:path';
import { joinBroadcast } from '../../lib/broadcast/index.js';
import { fromUtf8 } from '../../lib/bytes.js';
import { defaultCrypto } from '../../lib/crypto/index.js';
import { nodeEnv } from '../../lib/env-node.js';
import { Identity } from '../../lib/identity/index.js';
import { defaultParameters } from '../../lib/order/index.js';
import { openFileLog } from '../../lib/storage/index.js';
import { MemoryMessagingNetwork } from '../fixtures/memory-messaging.js';

const [, , folder = '', stream = ''] = process.argv;
const crypto = defaultCrypto();
const env = nodeEnv();
const network = new MemoryMessagingNetwork();
const print = (line: string): void => void process.stdout.write(`${line}\n`);

function identityOf(fill: number): Identity {
  const seeds = { identity: new Uint8Array(32).fill(fill), static: new Uint8Array(32).fill(fill + 100) };
  return new Identity({ crypto, seeds, networkId: 'crash', now: env.clock.unix() });
}

const identities = [1, 2, 3, 4].map(identityOf);
const committee = {
  networkId: 'crash',
  epoch: 1,
  members: identities.map(({ peer }) => ({ peer })),
  parameters: defaultParameters(20),
};
for (const { peer } of identities) network.join(peer);

for (const [index, identity] of identities.entries()) {
  const log = await openFileLog({ dataDir: join(folder, `member-${index}`), epoch: 1, rng: env.rng });
  const messaging = network.join(identity.peer);
  const member = joinBroadcast(messaging, { role: 'member', committee, identity, crypto, env, log });
  member.on('notice', ({ kind }) => {
    if (kind === 'abstaining' || kind === 'unsafe') print(`${kind} ${index}`);
  });
  if (stream === 'check') {
    void (async () => {
      for await (const entry of member.entries()) print(`entry ${index} ${entry.index} ${entry.id}`);
    })();
  }
}

if (stream !== 'check') {
  const identity = identityOf(9);
  const client = joinBroadcast(network.join(identity.peer), { committee, identity, crypto, env });
  for (let number = 1; ; number++) {
    const receipt = await client.submit(fromUtf8(`${stream} ${number}`), { key: stream, ttlMs: 10_000 });
    void receipt.opened.then(({ entry }) => print(`opened ${entry.index} ${entry.id}`));
    await new Promise(setImmediate);
  }
}
setInterval(() => undefined, 1_000);
