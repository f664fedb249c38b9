/**
 * hopfair's channels for the side-by-side bench of peers: what `adapters/*.mjs` there export, over the built package.
 * The files beside this one name a transport and a suite: `node run.mjs --adapter /abs/test/bench/hopfair-tcp.mjs`.
 */
import { HandshakeGate, openChannel } from '../../dist/lib/channel/index.js';
import { defaultCrypto, systemRandomBytes } from '../../dist/lib/crypto/index.js';
import { nodeEnv } from '../../dist/lib/env-node.js';
import { Identity } from '../../dist/lib/identity/index.js';
import { LIMITS } from '../../dist/lib/limits.js';

/** Loopback, but for the bench that puts the two ends into network namespaces of their own. */
const host = process.env.HOPFAIR_BENCH_HOST ?? '127.0.0.1';
const crypto = defaultCrypto();
const networkId = 'bench';
const seeds = () => ({ identity: systemRandomBytes(32), static: systemRandomBytes(32) });

/**
 * One face per lane: orders on the connection itself, bulk on the one that `openBulk` returns. A channel refuses what its
 * queue cannot hold, while the bench expects a message to be taken even if it must wait afterwards: it waits here.
 */
function lane(channel, priority) {
  const options = priority === 'normal' ? undefined : { priority };
  const refused = [];
  const conn = {
    onMessage: null,
    onDrain: null,
    send(bytes) {
      if (refused.length === 0 && channel.send(bytes, options)) return true;
      refused.push(bytes);
      return false;
    },
    drain() {
      while (refused.length > 0) {
        if (!channel.send(refused[0], options)) return;
        refused.shift();
      }
      conn.onDrain?.();
    },
    close: () => channel.close(),
  };
  return conn;
}

function connectionOf(channel, onBulk) {
  let closed;
  const done = new Promise(resolve => {
    closed = resolve;
  });
  const main = lane(channel, 'normal');
  let bulk;
  const openBulk = () => {
    bulk ??= lane(channel, 'bulk');
    return bulk;
  };
  main.openBulk = openBulk;
  main.close = () => {
    channel.close();
    return done;
  };
  channel.attach({
    onMessage(message, priority) {
      if (priority !== 'bulk') {
        main.onMessage(message);
        return;
      }
      if (bulk === undefined) onBulk?.(openBulk());
      bulk.onMessage(message);
    },
    onDrain() {
      main.drain();
      bulk?.drain();
    },
    onClose: closed,
  });
  return main;
}

/**
 * `spin`: both ends poll instead of sleeping. `maxMessageBytes`: the queue holds two of them.
 * @param {{ name: string, label: string, transport: object, postQuantum: 'required' | 'off', spin?: boolean,
 *   maxMessageBytes?: number }} form
 */
export function makeAdapter({ name, label, transport, postQuantum, spin = false, maxMessageBytes = 131_072 }) {
  const env = nodeEnv({ spin });
  const limits = { maxChannelQueueBytes: 2 * maxMessageBytes, maxChannelMessageBytes: maxMessageBytes };
  const common = { env, crypto, networkId, postQuantum, limits };
  const listen = `${transport.schemes[0]}://${host}:0`;
  const identity = () => new Identity({ crypto, seeds: seeds(), networkId, now: env.clock.unix() });
  let dialler;
  return {
    name,
    letter: 'x',
    label,
    settings: `Noise XX ${postQuantum === 'off' ? '25519' : '25519+MLKEM768'}, certificates, credit, priorities, ${listen}${spin ? ', both ends spin' : ''}`,
    rttOnly: spin,
    async startServer({ onConn }) {
      const own = identity();
      const gate = new HandshakeGate(env.clock, { cpuShare: 1 });
      const listener = await transport.listen(listen, LIMITS, connection => {
        openChannel(
          connection,
          { ...common, role: 'responder', identity: own, gate },
          {
            onChannel: channel => onConn(connectionOf(channel, onConn)),
            onFailed: error => console.error(error),
          },
        );
      });
      return { addr: listener.address, close: () => listener.close() };
    },
    connect(address) {
      dialler ??= identity();
      return new Promise((resolve, reject) => {
        transport.dial(address, LIMITS, {
          onConnection(connection) {
            openChannel(
              connection,
              { ...common, role: 'initiator', identity: dialler },
              {
                onChannel: channel => resolve(connectionOf(channel)),
                onFailed: reject,
              },
            );
          },
          onError: reject,
        });
      });
    },
  };
}
