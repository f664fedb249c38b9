import t from 'tap';
import { type Channel, openChannel } from '../../lib/channel/index.js';
import { defaultCrypto, systemRandomBytes } from '../../lib/crypto/index.js';
import { nodeEnv } from '../../lib/env-node.js';
import type { HopfairError } from '../../lib/errors.js';
import { Identity } from '../../lib/identity/index.js';
import { LIMITS } from '../../lib/limits.js';
import type { Connection } from '../../lib/transport.js';
import { MemoryHub, memoryTransport } from '../../transports/memory.js';

/** Whether the loop, at its next turn, has a reason not to sleep: an immediate is pending. */
const isPolling = async (): Promise<boolean> => {
  await new Promise(resolve => setTimeout(resolve, 1));
  return process.getActiveResourcesInfo().includes('Immediate');
};

t.test('surroundings spin only when they are told to', async t => {
  t.equal(nodeEnv().attend, undefined);
  t.equal(nodeEnv({ spin: false }).attend, undefined);
});

t.test('the loop polls from the first that attends to the last that leaves', async t => {
  const { attend } = nodeEnv({ spin: true });
  if (attend === undefined) throw new Error('it does not spin');
  t.notOk(await isPolling(), 'nobody is there yet');
  const [first, second] = [attend(), attend()];
  t.ok(await isPolling());
  first();
  first();
  t.ok(await isPolling(), 'leaving twice counts once');
  second();
  t.notOk(await isPolling());
  const third = attend();
  t.ok(await isPolling(), 'it starts again');
  third();
  t.notOk(await isPolling());
});

t.test('a channel attends while it is open', async t => {
  const crypto = defaultCrypto();
  const networkId = 'test';
  let attending = 0;
  const attend = () => {
    attending++;
    return () => {
      attending--;
    };
  };
  const env = { ...nodeEnv(), attend };
  const options = () => {
    const seeds = { identity: systemRandomBytes(32), static: systemRandomBytes(32) };
    const identity = new Identity({ crypto, seeds, networkId, now: env.clock.unix() });
    return { env, crypto, networkId, identity, postQuantum: 'off' } as const;
  };
  const transport = memoryTransport(new MemoryHub(env.clock));
  const channels: Channel[] = [];
  const closes: (HopfairError | undefined)[] = [];
  const closed = new Promise<void>((resolve, reject) => {
    const events = {
      onChannel: (channel: Channel): void => {
        channels.push(channel);
        const onClose = (cause: HopfairError | undefined): void => {
          if (closes.push(cause) === 2) resolve();
        };
        channel.attach({ onMessage: () => undefined, onDrain: () => undefined, onClose });
        if (channels.length < 2) return;
        t.equal(attending, 2, 'one for each end');
        channel.close();
      },
      onFailed: reject,
    };
    const open = (connection: Connection, role: 'initiator' | 'responder'): void => {
      openChannel(connection, { ...options(), role }, events);
    };
    void transport
      .listen?.('memory://spin', LIMITS, connection => open(connection, 'responder'))
      .then(() => {
        transport.dial('memory://spin', LIMITS, {
          onConnection: connection => open(connection, 'initiator'),
          onError: reject,
        });
      }, reject);
  });
  await closed;
  t.same(closes, [undefined, undefined]);
  t.equal(attending, 0);
});
