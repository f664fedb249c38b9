/** Two ends of a channel over a memory connection in manual time, and what each of them saw. */
import { concat, toUtf8 } from '../../lib/bytes.js';
import { type Channel, type ChannelOptions, openChannel, type Priority } from '../../lib/channel/index.js';
import { defaultCrypto, systemRandomBytes } from '../../lib/crypto/index.js';
import type { CryptoProvider } from '../../lib/crypto/interface.js';
import type { Env } from '../../lib/env.js';
import type { HopfairError } from '../../lib/errors.js';
import { Identity } from '../../lib/identity/index.js';
import { LIMITS } from '../../lib/limits.js';
import type { Connection, ConnectionHandler } from '../../lib/transport.js';
import { MemoryHub } from '../../transports/memory.js';
import { type ManualEnv, manualEnv } from './manual-env.js';

export const crypto: CryptoProvider = defaultCrypto();
export const networkId = 'test';

export function identityAt(env: Env, network: string = networkId): Identity {
  const seeds = { identity: systemRandomBytes(32), static: systemRandomBytes(32) };
  return new Identity({ crypto, seeds, networkId: network, now: env.clock.unix() });
}

/** What one end of a channel saw. */
export class Application {
  channel: Channel | undefined;
  readonly messages: Uint8Array[] = [];
  readonly priorities: Priority[] = [];
  readonly closes: (HopfairError | undefined)[] = [];
  readonly failures: HopfairError[] = [];
  drains = 0;
  endings = 0;
  onMessage: (message: Uint8Array) => void = () => undefined;
  changed: () => void = () => undefined;

  readonly events = {
    onChannel: (channel: Channel): void => {
      this.channel = channel;
      channel.attach({
        onMessage: (message, priority) => {
          this.messages.push(message);
          this.priorities.push(priority);
          this.onMessage(message);
          this.changed();
        },
        onDrain: () => {
          this.drains++;
          this.changed();
        },
        onEnding: () => {
          this.endings++;
        },
        onClose: cause => {
          this.closes.push(cause);
          this.changed();
        },
      });
      this.changed();
    },
    onFailed: (error: HopfairError): void => {
      this.failures.push(error);
      this.changed();
    },
  };

  get open(): Channel {
    if (this.channel === undefined) throw new Error(`no channel: ${this.failures[0]?.message}`);
    return this.channel;
  }

  get texts(): string[] {
    return this.messages.map(toUtf8);
  }

  async until(condition: () => boolean): Promise<void> {
    await new Promise<void>(resolve => {
      this.changed = () => {
        if (condition()) resolve();
      };
      this.changed();
    });
  }
}

/** Lets a test change what passes between two connections. `undefined` drops a message. */
export type Tap = (message: Uint8Array, from: 'near' | 'far', index: number) => Uint8Array | undefined;

/** `deliver` decides when a message arrives, and must keep their order. */
function tapped(
  connection: Connection,
  from: 'near' | 'far',
  tap: Tap,
  deliver: (send: () => void) => void,
): Connection {
  let index = 0;
  return {
    remoteAddress: connection.remoteAddress,
    get bufferedBytes() {
      return connection.bufferedBytes;
    },
    attach: (handler: ConnectionHandler) => connection.attach(handler),
    send: parts => {
      const changed = tap(concat(...parts), from, index++);
      if (changed !== undefined) deliver(() => connection.send([changed]));
      return true;
    },
    limitMessages: maxBytes => connection.limitMessages(maxBytes),
    pause: () => connection.pause(),
    resume: () => connection.resume(),
    close: () => deliver(() => connection.close()),
    destroy: () => connection.destroy(),
  };
}

export interface Ends {
  readonly env: ManualEnv;
  readonly alice: Application;
  readonly bob: Application;
  readonly near: Connection;
  readonly far: Connection;
}

export const passOn: Tap = message => message;

/** Two peers over a memory connection in manual time. */
export function ends(
  a: Partial<ChannelOptions> = {},
  b: Partial<ChannelOptions> = {},
  tap: Tap = passOn,
  delayMs = 0,
): Ends {
  const env = manualEnv();
  const deliver = (send: () => void): void => {
    if (delayMs === 0) send();
    else env.clock.schedule(delayMs, send);
  };
  const hub = new MemoryHub(env.clock);
  const [alice, bob] = [new Application(), new Application()];
  let far: Connection | undefined;
  hub.bind('memory://bob', {
    limits: LIMITS,
    onConnection: connection => {
      far = tapped(connection, 'far', tap, deliver);
      openChannel(far, { env, crypto, networkId, role: 'responder', identity: identityAt(env), ...b }, bob.events);
    },
  });
  const dialled = hub.connect('memory://bob', LIMITS);
  if (dialled === undefined || far === undefined) throw new Error('nobody listens');
  const near = tapped(dialled, 'near', tap, deliver);
  openChannel(near, { env, crypto, networkId, role: 'initiator', identity: identityAt(env), ...a }, alice.events);
  env.settle();
  if (delayMs > 0) env.advance(10 * delayMs);
  return { env, alice, bob, near, far };
}

const classical = { postQuantum: 'off' } as const;
/** Most cases are about records: they save the time of the KEM. */
export const fast = (a: Partial<ChannelOptions> = {}, b: Partial<ChannelOptions> = {}, tap: Tap = passOn): Ends =>
  ends({ ...classical, ...a }, { ...classical, ...b }, tap);
