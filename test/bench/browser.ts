/**
 * A page or worker in Chromium against this process: `npm run bench -- browser [--place worker] [--messages 100000]
 * [--bytes 256] [--json]`. Figures for people; nothing is judged.
 */
import { parseArgs } from 'node:util';
import { openChannel } from '../../lib/channel/index.js';
import { defaultCrypto, systemRandomBytes } from '../../lib/crypto/index.js';
import { systemEnv } from '../../lib/env-system.js';
import { createIdentitySeeds, Identity } from '../../lib/identity/index.js';
import { LIMITS } from '../../lib/limits.js';
import type { Connection } from '../../lib/transport.js';
import { webSocketTransport } from '../../transports/websocket.js';
import { DO, type MeasureConfig, type MeasureReport } from '../browser/client/config.js';
import { openPlaces, type Place } from '../browser/places.js';

const { values: options } = parseArgs({
  options: {
    place: { type: 'string', default: 'worker' },
    messages: { type: 'string', default: '100000' },
    bytes: { type: 'string', default: '256' },
    json: { type: 'boolean', default: false },
  },
});
const NETWORK = 'browser-bench';
const [messages, bytes] = [Number(options.messages), Number(options.bytes)];
const env = systemEnv();
const crypto = defaultCrypto();
const now = env.clock.unix();
const identity = new Identity({ crypto, seeds: createIdentitySeeds(systemRandomBytes), networkId: NETWORK, now });

/** Does what the first byte of each message says. `send` answers false when it wants no more before `onRoom`. */
class Service {
  readonly #send: (message: Uint8Array) => boolean;
  /** Whether a refused message was taken all the same, as connections do. */
  readonly #takesRefused: boolean;
  readonly #pushed = new Uint8Array(bytes);
  #left = 0;

  constructor(send: (message: Uint8Array) => boolean, takesRefused: boolean) {
    this.#send = send;
    this.#takesRefused = takesRefused;
  }

  onMessage(message: Uint8Array): void {
    const [wanted] = message;
    if (wanted === DO.answer) this.#send(Uint8Array.of(DO.answer));
    else if (wanted === DO.echo) this.#send(message.slice());
    else if (wanted === DO.push) {
      this.#left = messages;
      this.onRoom();
    }
  }

  onRoom(): void {
    while (this.#left > 0) {
      const taken = this.#send(this.#pushed);
      if (taken || this.#takesRefused) this.#left--;
      if (!taken) return;
    }
  }
}

function serveChannel(connection: Connection): void {
  openChannel(
    connection,
    { env, crypto, identity, networkId: NETWORK, role: 'responder' },
    {
      onChannel: channel => {
        const service = new Service(message => channel.send(message), false);
        channel.attach({
          onMessage: message => service.onMessage(message),
          onDrain: () => service.onRoom(),
          onClose: () => undefined,
        });
      },
      onFailed: error => console.error(`no channel: ${error.message}`),
    },
  );
}

function servePlain(connection: Connection): void {
  const service = new Service(message => connection.send([message]), true);
  connection.attach({
    onMessage: message => service.onMessage(message),
    onDrain: () => service.onRoom(),
    onClose: () => undefined,
  });
}

async function listen(onConnection: (connection: Connection) => void): Promise<string> {
  const limits = { maxMessageBytes: LIMITS.maxMessageBytes };
  const listener = await webSocketTransport().listen?.('ws://127.0.0.1:0', limits, onConnection);
  if (listener === undefined) throw new Error('this transport does not listen');
  return listener.address;
}

const percentile = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] as number;

const seeds = createIdentitySeeds(systemRandomBytes);
const config: MeasureConfig = {
  networkId: NETWORK,
  seeds: { identity: [...seeds.identity], static: [...seeds.static] },
  peer: identity.peer,
  address: await listen(serveChannel),
  plainAddress: await listen(servePlain),
  handshakes: 20,
  messages,
  bytes,
  roundTrips: 500,
};
const places = await openPlaces();
const report = await places.run<MeasureReport>(options.place as Place, 'measure', config);
await places.close();

const round = (value: number, digits = 0): number => Number(value.toFixed(digits));
const figuresOf = ({ upPerSecond, downPerSecond, rttsMs }: MeasureReport['channel']) => ({
  upPerSecond: round(upPerSecond),
  downPerSecond: round(downPerSecond),
  rttP50Ms: round(percentile(rttsMs, 0.5), 2),
  rttP99Ms: round(percentile(rttsMs, 0.99), 2),
});
const figures = {
  place: options.place,
  bytes,
  messages,
  handshakeFirstMs: round(report.handshakesMs[0] as number, 1),
  handshakeP50Ms: round(percentile(report.handshakesMs, 0.5), 1),
  channel: figuresOf(report.channel),
  plain: figuresOf(report.plain),
};
console.log(options.json ? JSON.stringify(figures) : figures);
process.exit(0);
