/** Who has a channel with the victim and wants to keep it: steady traffic with its round trips, and newcomers. */
import { concat } from '../../lib/bytes.js';
import { type Channel, openChannel } from '../../lib/channel/index.js';
import { defaultCrypto, systemRandomBytes } from '../../lib/crypto/index.js';
import { nodeEnv } from '../../lib/env-node.js';
import { Identity } from '../../lib/identity/index.js';
import { LIMITS } from '../../lib/limits.js';
import type { Connection } from '../../lib/transport.js';
import { tcpTransport } from '../../transports/tcp.js';
import { webSocketTransport } from '../../transports/websocket.js';
import type { TransportName } from './wire.js';

export const NETWORK_ID = 'attack';
const MESSAGE_BYTES = 64;
const SEND_EVERY_MS = 2;

const env = nodeEnv();
const crypto = defaultCrypto();

function fresh(): Identity {
  const seeds = { identity: systemRandomBytes(32), static: systemRandomBytes(32) };
  return new Identity({ crypto, seeds, networkId: NETWORK_ID, now: env.clock.unix() });
}

/** The connection, and a copy of all that is sent on it. */
function recorded(connection: Connection, into: Uint8Array[]): Connection {
  return {
    remoteAddress: connection.remoteAddress,
    get bufferedBytes() {
      return connection.bufferedBytes;
    },
    limitMessages: maxBytes => connection.limitMessages(maxBytes),
    attach: handler => connection.attach(handler),
    send: parts => {
      into.push(concat(...parts));
      return connection.send(parts);
    },
    pause: () => connection.pause(),
    resume: () => connection.resume(),
    close: () => connection.close(),
    destroy: () => connection.destroy(),
  };
}

/**
 * Opens a channel from 127.0.0.1 as a peer of its own. Rejects with what the handshake failed with. `remoteStatic` makes
 * it IK; what is sent is copied into `recording`.
 */
export function openHonestly(
  transport: TransportName,
  port: number,
  remoteStatic?: Uint8Array,
  recording: Uint8Array[] = [],
): Promise<Channel> {
  const dialler = transport === 'ws' ? webSocketTransport() : tcpTransport();
  return new Promise((resolve, reject) => {
    dialler.dial(`${transport}://127.0.0.1:${port}`, LIMITS, {
      onConnection: connection => {
        openChannel(
          recorded(connection, recording),
          {
            env,
            crypto,
            identity: fresh(),
            networkId: NETWORK_ID,
            role: 'initiator',
            ...(remoteStatic !== undefined && { remoteStatic }),
          },
          { onChannel: resolve, onFailed: reject },
        );
      },
      onError: reject,
    });
  });
}

/** Sends a small urgent message every 2 ms, whatever came back, and keeps the time that each echo took. */
export class SteadyTraffic {
  /** In ms; emptied by whoever reads them. */
  samples: number[] = [];
  /** Whether the channel has ended. */
  isDown = false;
  readonly #channel: Channel;
  readonly #sentAt = new Map<number, number>();
  #next = 0;
  readonly #timer: NodeJS.Timeout;

  constructor(channel: Channel) {
    this.#channel = channel;
    channel.attach({
      onMessage: message => {
        const number = new DataView(message.buffer, message.byteOffset).getUint32(0);
        this.samples.push(performance.now() - (this.#sentAt.get(number) ?? Number.NaN));
        this.#sentAt.delete(number);
      },
      onDrain: () => undefined,
      onClose: () => {
        this.isDown = true;
      },
    });
    this.#timer = setInterval(() => this.#send(), SEND_EVERY_MS);
  }

  /** Messages without an echo yet. */
  get missing(): number {
    return this.#sentAt.size;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#channel.destroy();
  }

  #send(): void {
    const message = new Uint8Array(MESSAGE_BYTES);
    new DataView(message.buffer).setUint32(0, this.#next);
    this.#sentAt.set(this.#next++, performance.now());
    this.#channel.send(message, { priority: 'urgent' });
  }
}
