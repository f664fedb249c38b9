/** A real channel whose peer is driven by hand, section by section: what somebody may send who passed the handshake. */
import { concat, EMPTY, fromUtf8 } from '../../lib/bytes.js';
import {
  type Channel,
  type ChannelOptions,
  HandshakeDriver,
  type HandshakeOptions,
  type HandshakePolicy,
  type HandshakeResult,
  openChannel,
} from '../../lib/channel/index.js';
import { defaultCrypto, systemRandomBytes } from '../../lib/crypto/index.js';
import type { CryptoProvider } from '../../lib/crypto/interface.js';
import type { HopfairError } from '../../lib/errors.js';
import { Identity } from '../../lib/identity/index.js';
import { LIMITS } from '../../lib/limits.js';
import type { Connection } from '../../lib/transport.js';
import { MemoryHub } from '../../transports/memory.js';
import { type ManualEnv, manualEnv } from './manual-env.js';

const crypto: CryptoProvider = defaultCrypto();
const common = { crypto, networkId: 'test', postQuantum: 'off' } as const;

export interface VictimOptions {
  /** What the real end does otherwise; classical handshakes by default. */
  readonly victim?: Partial<ChannelOptions>;
  readonly peer?: Partial<HandshakePolicy>;
  /** Whose PeerId is the lower one. Default: as it comes. */
  readonly lower?: 'victim' | 'peer';
}

export interface Victim {
  readonly env: ManualEnv;
  readonly received: Uint8Array[];
  readonly closes: (HopfairError | undefined)[];
  readonly channel: Channel;
  /** Seals whatever a peer that passed the handshake likes to send. */
  readonly attack: (plaintext: Uint8Array) => void;
  /** What the victim answered, opened; empty where it did not open. */
  readonly answers: Uint8Array[];
  /** Follows a rekey of the victim. */
  readonly followRekey: () => void;
  /** Who the peer is. */
  readonly identity: Identity;
  /** What the peer has of the handshake. */
  readonly result: HandshakeResult;
  /** From here on the peer seals and opens with these. */
  readonly useKeys: (keys: { readonly tx?: CipherState; readonly rx?: CipherState }) => void;
  /** A handshake of the peer as a refresh needs it, but for what is given. */
  readonly refreshDriver: (overrides?: Partial<HandshakeOptions>) => HandshakeDriver;
}

type CipherState = HandshakeResult['tx'];

export function identityAt(env: ManualEnv): Identity {
  const seeds = { identity: systemRandomBytes(32), static: systemRandomBytes(32) };
  return new Identity({ crypto, seeds, networkId: 'test', now: env.clock.unix() });
}

function pairOf(env: ManualEnv, lower: 'victim' | 'peer' | undefined): [Identity, Identity] {
  const [a, b] = [identityAt(env), identityAt(env)];
  if (lower === undefined) return [a, b];
  return a.peer < b.peer === (lower === 'victim') ? [a, b] : [b, a];
}

/** A real channel whose peer is driven by hand, record by record. */
export function victim(overrides: VictimOptions = {}): Victim {
  const env = manualEnv();
  const hub = new MemoryHub(env.clock);
  const [victimIdentity, identity] = pairOf(env, overrides.lower);
  const received: Uint8Array[] = [];
  const closes: (HopfairError | undefined)[] = [];
  const answers: Uint8Array[] = [];
  let channel: Channel | undefined;
  hub.bind('memory://victim', {
    limits: LIMITS,
    onConnection: connection => {
      openChannel(
        connection,
        { ...common, env, role: 'responder', identity: victimIdentity, ...overrides.victim },
        {
          onChannel: opened => {
            channel = opened;
            opened.attach({
              onMessage: message => received.push(message),
              onDrain: () => undefined,
              onClose: cause => closes.push(cause),
            });
          },
          onFailed: error => closes.push(error),
        },
      );
    },
  });
  const connection = hub.connect('memory://victim', LIMITS) as Connection;
  const driverOf = (more: Partial<HandshakeOptions>): HandshakeDriver =>
    new HandshakeDriver({
      ...common,
      role: 'initiator',
      context: 'channel',
      random: systemRandomBytes,
      now: env.clock.unix(),
      identity,
      ...overrides.peer,
      ...more,
    });
  const driver = driverOf({});
  let keys: { tx: CipherState; rx: CipherState } | undefined;
  let result: HandshakeResult | undefined;
  connection.attach({
    onMessage: message => {
      if (keys !== undefined) {
        answers.push(keys.rx.decryptWithAd(EMPTY, message) ?? EMPTY);
        return;
      }
      const step = driver.receive(message);
      if (step.reply !== undefined) connection.send([step.reply]);
      if (step.kind !== 'done') return;
      result = step.result;
      keys = { tx: step.result.tx, rx: step.result.rx };
    },
    onDrain: () => undefined,
    onClose: () => undefined,
  });
  connection.send([driver.start()]);
  env.settle();
  if (channel === undefined || result === undefined) throw new Error('the handshake failed');
  const opened = { channel, result };
  const useKeys = (next: { readonly tx?: CipherState; readonly rx?: CipherState }): void => {
    keys = { ...opened.result, ...keys, ...next };
  };
  const attack = (plaintext: Uint8Array): void => {
    connection.send((keys ?? opened.result).tx.encryptPartsWithAd(EMPTY, [plaintext]));
    env.settle();
  };
  const refreshDriver = (more: Partial<HandshakeOptions> = {}): HandshakeDriver =>
    driverOf({
      binding: opened.result.exportSecret(`hopfair/1 refresh ${opened.channel.stats.keyRefreshes}`, 32),
      suiteId: opened.result.suiteId,
      ...more,
    });
  const followRekey = (): void => (keys ?? opened.result).rx.rekey();
  return { env, identity, received, closes, ...opened, attack, answers, followRekey, useKeys, refreshDriver };
}

export const NORMAL = 1;
export const ACK = 8;
export const ASK = 9;
export const REKEY = 10;
export const END = 11;
export const REFRESH = 12;
export const SWITCH = 13;
export const PADDING = 14;

export function section(kind: number, ...body: readonly Uint8Array[]): Uint8Array {
  const bytes = concat(...body);
  return concat(Uint8Array.of(kind, bytes.length >>> 16, bytes.length >>> 8, bytes.length), bytes);
}

export function u32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

export const message = (text: string): Uint8Array => concat(u32(text.length), fromUtf8(text));
export const ackOf = (received: number, credit: number): Uint8Array =>
  section(ACK, u32(0), u32(received), u32(0), u32(credit));
