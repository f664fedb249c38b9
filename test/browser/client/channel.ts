/** A channel to a Node peer, from a page or worker, over the package as it is installed. */
import { type CryptoProvider, createIdentity, defaultCrypto, type Env, type PeerId, systemEnv } from 'hopfair';
import { type Channel, type ChannelOptions, openChannel, type Priority } from 'hopfair/channel';
import { webSocketTransport } from 'hopfair/transports/websocket';
import type { ChannelConfig, ChannelReport } from './config.js';
import { isPatterned, PRIORITIES, patterned, SIZES } from './messages.js';

const MAX_MESSAGE_BYTES = 65_600;
/** Past the age at which a key is replaced. */
const JUMP_MS = 180_000;
const PER_CLASS = SIZES.length;

/** The real surroundings, with a clock that can be put forward. */
class JumpingEnv implements Env {
  readonly #real = systemEnv();
  #aheadMs = 0;
  readonly rng = this.#real.rng;
  readonly log = this.#real.log;
  readonly clock: Env['clock'] = {
    now: () => (this.#real.clock.now() + this.#aheadMs) as ReturnType<Env['clock']['now']>,
    unix: () => this.#real.clock.unix(),
    schedule: (delayMs, fn) => this.#real.clock.schedule(delayMs, fn),
    defer: fn => this.#real.clock.defer(fn),
  };

  jump(ms: number): void {
    this.#aheadMs += ms;
  }
}

/** The platform's backend, which counts the cipher keys that it is given. */
function countingCrypto(): CryptoProvider & { readonly keys: () => number } {
  const real = defaultCrypto();
  let keys = 0;
  const aead: CryptoProvider['aead'] = name => ({
    name,
    key: bytes => {
      keys++;
      return real.aead(name).key(bytes);
    },
  });
  return { ...real, aead, keys: () => keys };
}

/** Rejects with the error that the dial or the handshake failed with. */
export function dial(config: ChannelConfig, options: Pick<ChannelOptions, 'env' | 'crypto'>): Promise<Channel> {
  const { networkId, seeds } = config;
  const identity = createIdentity({
    networkId,
    seeds: { identity: new Uint8Array(seeds.identity), static: new Uint8Array(seeds.static) },
  });
  return new Promise((resolve, reject) => {
    webSocketTransport().dial(
      config.address,
      { maxMessageBytes: MAX_MESSAGE_BYTES },
      {
        onConnection: connection =>
          openChannel(
            connection,
            {
              ...options,
              identity,
              networkId,
              role: 'initiator',
              expectedPeer: config.peer as PeerId,
              ...(config.throttledTimers !== undefined && { throttledTimers: config.throttledTimers }),
              // The clock jumps: silence is not what this is about.
              limits: { pingIntervalMs: 600_000, deadPeerTimeoutMs: 3_600_000 },
            },
            { onChannel: resolve, onFailed: reject },
          ),
        onError: reject,
      },
    );
  });
}

/**
 * Sends every size in every class, twice, with three minutes of the clock in between, and ends. The peer echoes each
 * message in its class, and sends one series of its own at first.
 */
export async function exchange(config: ChannelConfig): Promise<ChannelReport> {
  const env = new JumpingEnv();
  const crypto = countingCrypto();
  const channel = await dial(config, { env, crypto });
  const keysAtOpen = crypto.keys();
  const arrived: Record<Priority, number> = { urgent: 0, normal: 0, bulk: 0 };
  const tally = { echoed: 0, received: 0, wrong: 0 };
  let changed = (): void => undefined;
  const ended = new Promise<string | undefined>(resolve => {
    channel.attach({
      onMessage: (message, priority) => {
        const index = arrived[priority]++;
        const isEcho = index >= PER_CLASS;
        const isRight = isPatterned(message, SIZES[index % PER_CLASS] as number, index);
        if (!isRight) tally.wrong++;
        else if (isEcho) tally.echoed++;
        else tally.received++;
        changed();
      },
      onDrain: () => changed(),
      onClose: cause => {
        changed();
        resolve(cause?.code);
      },
    });
  });
  const until = async (condition: () => boolean): Promise<void> => {
    while (!channel.closed && !condition()) {
      await new Promise<void>(resolve => {
        changed = resolve;
      });
    }
  };
  const series = async (first: number): Promise<void> => {
    for (let index = 0; index < PER_CLASS; index++) {
      for (const priority of PRIORITIES) {
        const message = patterned(SIZES[index] as number, first + index);
        await until(() => channel.send(message, { priority }));
      }
    }
    await until(() => PRIORITIES.every(priority => arrived[priority] >= first + PER_CLASS));
  };
  await series(PER_CLASS);
  const keysBefore = crypto.keys() - keysAtOpen;
  env.jump(JUMP_MS);
  await series(2 * PER_CLASS);
  const keysAfter = crypto.keys() - keysAtOpen;
  const handshakeHash = channel.handshakeHash.join();
  channel.close();
  return { backend: crypto.name, handshakeHash, ...tally, keysBefore, keysAfter, endedWith: await ended };
}

/** How an attempt that must not succeed ends: at the dial, in the handshake, or by the end of the channel. */
export async function refusal(config: ChannelConfig): Promise<string> {
  let channel: Channel;
  try {
    channel = await dial(config, { env: systemEnv(), crypto: defaultCrypto() });
  } catch (error) {
    return (error as { readonly code: string }).code;
  }
  return new Promise(resolve =>
    channel.attach({
      onMessage: () => resolve('a message'),
      onDrain: () => undefined,
      onClose: cause => resolve(cause?.code ?? 'an authenticated end'),
    }),
  );
}
