/** The process under attack: listeners over TCP and WebSocket with one gate, whose channels echo what they get. */
import { HandshakeGate, type HandshakeGateStats, openChannel } from '../../lib/channel/index.js';
import { defaultCrypto, systemRandomBytes } from '../../lib/crypto/index.js';
import { nodeEnv } from '../../lib/env-node.js';
import { Identity } from '../../lib/identity/index.js';
import { LIMITS } from '../../lib/limits.js';
import type { Connection, Transport } from '../../lib/transport.js';
import { tcpTransport } from '../../transports/tcp.js';
import { webSocketTransport } from '../../transports/websocket.js';
import { NETWORK_ID } from './honest.js';
import type { TransportName } from './wire.js';

export type VictimOrder = { readonly kind: 'state' } | { readonly kind: 'dial'; readonly address: string };

export interface VictimReady {
  readonly ports: Readonly<Record<TransportName, number>>;
  readonly peer: string;
  readonly staticKey: Uint8Array;
}

export interface VictimState {
  /** What is reachable after a collection of garbage: objects, and buffers outside of the heap. */
  readonly usedBytes: number;
  readonly rssBytes: number;
  readonly gate: HandshakeGateStats;
  /** Channels that were opened so far, and those that ended with this code. */
  readonly opened: number;
  readonly ended: Readonly<Record<string, number>>;
}

const env = nodeEnv();
const crypto = defaultCrypto();
const seeds = { identity: systemRandomBytes(32), static: systemRandomBytes(32) };
const identity = new Identity({ crypto, seeds, networkId: NETWORK_ID, now: env.clock.unix() });
// Strangers come from loopback here, which is exempt from rates otherwise.
const gate = new HandshakeGate(env.clock, { isExempt: () => false });
const transports: Readonly<Record<TransportName, Transport>> = { tcp: tcpTransport(), ws: webSocketTransport() };
let opened = 0;
const ended: Record<string, number> = {};

function serve(connection: Connection, role: 'initiator' | 'responder', onEnd: (code: string) => void): void {
  openChannel(
    connection,
    { env, crypto, identity, networkId: NETWORK_ID, role, ...(role === 'responder' && { gate }) },
    {
      onChannel: channel => {
        opened++;
        channel.attach({
          onMessage: message => channel.send(message.slice(), { priority: 'urgent' }),
          onDrain: () => undefined,
          onClose: cause => onEnd(cause?.code ?? 'closed'),
        });
      },
      onFailed: error => onEnd(error.code),
    },
  );
}

function count(code: string): void {
  ended[code] = (ended[code] ?? 0) + 1;
}

async function listen(name: TransportName): Promise<number> {
  const listener = await transports[name].listen?.(`${name}://127.0.0.1:0`, LIMITS, connection =>
    serve(connection, 'responder', count),
  );
  return Number(new URL(listener?.address ?? '').port);
}

async function state(): Promise<VictimState> {
  // What one collection lets go of (sockets, buffers outside of the heap) is freed by the turns after it.
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.();
    await new Promise(resolve => setImmediate(resolve));
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  return { usedBytes: heapUsed + external, rssBytes: rss, gate: gate.stats, opened, ended };
}

/** Dials; answers with what became of it. */
function dial(address: string): Promise<string> {
  const transport = transports[address.startsWith('ws') ? 'ws' : 'tcp'];
  return new Promise(resolve => {
    transport.dial(address, LIMITS, {
      onConnection: connection => serve(connection, 'initiator', resolve),
      onError: error => resolve(error.code),
    });
  });
}

process.on('disconnect', () => process.exit(0));
process.on('message', (order: VictimOrder) => {
  if (order.kind === 'state') void state().then(answer => process.send?.(answer));
  else void dial(order.address).then(code => process.send?.(code));
});
const ports = { tcp: await listen('tcp'), ws: await listen('ws') };
process.send?.({ ports, peer: identity.peer, staticKey: identity.staticKey.publicKey } satisfies VictimReady);
