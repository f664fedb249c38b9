/**
 * Channels beside what a user would pick instead, in one process and one run: `npx tsx test/bench/channel.ts [--json]`.
 * Both ends share one core, so a rate is the reciprocal of the processor time of both together; only ratios count.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { WebSocket, WebSocketServer } from 'ws';
import { type Channel, openChannel } from '../../lib/channel/index.js';
import { defaultCrypto, systemRandomBytes } from '../../lib/crypto/index.js';
import { nodeEnv } from '../../lib/env-node.js';
import { Identity } from '../../lib/identity/index.js';
import { LIMITS } from '../../lib/limits.js';
import type { Transport } from '../../lib/transport.js';
import { tcpTransport } from '../../transports/tcp.js';
import { webSocketTransport } from '../../transports/websocket.js';

/** One direction: `send` says whether to go on, `drained` resolves when one may again. */
interface Pipe {
  send(message: Uint8Array): boolean;
  drained(): Promise<void>;
}

interface Pair {
  readonly near: Pipe;
  readonly far: Pipe;
  onNear: (bytes: number) => void;
  onFar: (bytes: number) => void;
  close(): void;
}

interface Contender {
  readonly name: string;
  open(): Promise<Pair>;
}

const MEASURE_MS = 1_000;
const BURST = 256;
const QUEUE_BYTES = 262_144;

const env = nodeEnv();
const crypto = defaultCrypto();
const ignore = (): void => undefined;

function contender(name: string, transport: Transport, address: string, postQuantum: 'required' | 'off'): Contender {
  const networkId = 'bench';
  const options = () => {
    const seeds = { identity: systemRandomBytes(32), static: systemRandomBytes(32) };
    const identity = new Identity({ crypto, seeds, networkId, now: env.clock.unix() });
    return { env, crypto, networkId, identity, postQuantum };
  };
  return {
    name,
    async open() {
      const ends: Channel[] = [];
      const opened = await new Promise<readonly Channel[]>((resolve, reject) => {
        const events = {
          onChannel: (channel: Channel) => {
            ends.push(channel);
            if (ends.length === 2) resolve(ends);
          },
          onFailed: reject,
        };
        const accept = transport.listen?.(address, LIMITS, connection => {
          openChannel(connection, { ...options(), role: 'responder' }, events);
        });
        accept?.then(listener => {
          transport.dial(listener.address, LIMITS, {
            onConnection: connection => {
              openChannel(connection, { ...options(), role: 'initiator' }, events);
              void listener.close();
            },
            onError: reject,
          });
        }, reject);
      });
      const [near, far] = [opened.find(c => c.role === 'initiator'), opened.find(c => c.role === 'responder')];
      if (near === undefined || far === undefined) throw new Error('a channel has two ends');
      const pair: Pair = {
        near: channelPipe(near, bytes => pair.onNear(bytes)),
        far: channelPipe(far, bytes => pair.onFar(bytes)),
        onNear: ignore,
        onFar: ignore,
        close: () => near.close(),
      };
      return pair;
    },
  };
}

function channelPipe(channel: Channel, onBytes: (bytes: number) => void): Pipe {
  let resume = ignore;
  channel.attach({ onMessage: message => onBytes(message.length), onDrain: () => resume(), onClose: ignore });
  return {
    send: message => channel.send(message),
    drained: () =>
      new Promise(resolve => {
        resume = resolve;
      }),
  };
}

const rawWebSocket: Contender = {
  name: 'ws',
  async open() {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
    await new Promise(resolve => server.once('listening', resolve));
    const accepted = new Promise<WebSocket>(resolve => server.once('connection', resolve));
    const near = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, {
      perMessageDeflate: false,
    });
    await new Promise(resolve => near.once('open', resolve));
    const far = await accepted;
    const pipe = (socket: WebSocket): Pipe => ({
      send: message => {
        socket.send(message);
        return socket.bufferedAmount < QUEUE_BYTES;
      },
      drained: () => new Promise(resolve => setImmediate(resolve)),
    });
    const pair: Pair = { near: pipe(near), far: pipe(far), onNear: ignore, onFar: ignore, close: () => server.close() };
    near.on('message', (data: Buffer) => pair.onNear(data.length));
    far.on('message', (data: Buffer) => pair.onFar(data.length));
    const { close } = pair;
    pair.close = () => {
      near.terminate();
      far.terminate();
      close();
    };
    return pair;
  },
};

/** A message behind four bytes of length, as everybody does it over a byte stream. */
function framed(socket: Socket, onBytes: (bytes: number) => void): Pipe {
  let held: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    let at = 0;
    while (held.length - at >= 4) {
      const end = at + 4 + held.readUInt32BE(at);
      if (end > held.length) break;
      onBytes(end - at - 4);
      at = end;
    }
    held = held.subarray(at);
  });
  return {
    send: message => {
      const header = Buffer.allocUnsafe(4);
      header.writeUInt32BE(message.length);
      socket.cork();
      socket.write(header);
      socket.write(message);
      process.nextTick(() => socket.uncork());
      return socket.writableLength < QUEUE_BYTES;
    },
    drained: () => new Promise(resolve => setImmediate(resolve)),
  };
}

function stream(name: string, tls: boolean): Contender {
  return {
    name,
    async open() {
      const identity = tls ? certificate() : undefined;
      const server = identity === undefined ? createTcpServer({ noDelay: true }) : createTlsServer(identity);
      const accepted = new Promise<Socket>(resolve => server.once(tls ? 'secureConnection' : 'connection', resolve));
      await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as AddressInfo;
      const { connect } = await import('node:net');
      const near = tls
        ? connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
        : connect({ port, host: '127.0.0.1', noDelay: true });
      const far = await accepted;
      near.setNoDelay(true);
      far.setNoDelay(true);
      const pair: Pair = {
        near: framed(near, bytes => pair.onNear(bytes)),
        far: framed(far, bytes => pair.onFar(bytes)),
        onNear: ignore,
        onFar: ignore,
        close: () => {
          near.destroy();
          far.destroy();
          server.close();
        },
      };
      return pair;
    },
  };
}

function certificate(): { key: Buffer; cert: Buffer } {
  const folder = mkdtempSync(join(tmpdir(), 'hopfair-bench-'));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const subject = ['-subj', '/CN=localhost', '-days', '1', '-nodes'];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  execFileSync('openssl', ['req', '-x509', ...curve, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' });
  return { key: readFileSync(key), cert: readFileSync(cert) };
}

/** Messages per second over both ends' time, in bursts of one turn. */
async function oneWay(pair: Pair, length: number): Promise<number> {
  const message = systemRandomBytes(length);
  let received = 0;
  pair.onFar = () => {
    received++;
  };
  const burst = Math.max(1, Math.min(BURST, Math.floor(QUEUE_BYTES / length)));
  let [begun, base] = [0, 0];
  const start = performance.now();
  for (let now = start; now < start + MEASURE_MS * 1.3; now = performance.now()) {
    if (begun === 0 && now > start + MEASURE_MS * 0.3) [begun, base] = [now, received];
    for (let i = 0; i < burst; i++) {
      if (pair.near.send(message)) continue;
      await pair.near.drained();
    }
    await new Promise(resolve => setImmediate(resolve));
  }
  return ((received - base) / (performance.now() - begun)) * 1_000;
}

/** Round trips of one lone message, in microseconds. */
async function roundTrip(pair: Pair, length: number): Promise<{ p50: number; p99: number }> {
  const message = systemRandomBytes(length);
  const samples: number[] = [];
  pair.onFar = () => {
    pair.far.send(message);
  };
  const start = performance.now();
  while (performance.now() < start + MEASURE_MS) {
    const sent = performance.now();
    await new Promise<void>(resolve => {
      pair.onNear = () => resolve();
      pair.near.send(message);
    });
    samples.push((performance.now() - sent) * 1_000);
  }
  samples.sort((a, b) => a - b);
  const quantile = (q: number): number => Math.round(samples[Math.floor(samples.length * q)] ?? Number.NaN);
  return { p50: quantile(0.5), p99: quantile(0.99) };
}

const contenders: readonly Contender[] = [
  rawWebSocket,
  stream('tcp', false),
  stream('tls', true),
  contender('channel-tcp', tcpTransport(), 'tcp://127.0.0.1:0', 'off'),
  contender('channel-ws', webSocketTransport(), 'ws://127.0.0.1:0', 'required'),
];

const json = process.argv.includes('--json');
const rows: Record<string, Record<string, number>> = {};
const only = process.argv[process.argv.indexOf('--only') + 1];
for (const { name, open } of contenders) {
  if (process.argv.includes('--only') && only !== name) continue;
  const pair = await open();
  const row: Record<string, number> = {};
  for (const length of [64, 256, 65_536]) row[`perSecond${length}`] = Math.round(await oneWay(pair, length));
  await new Promise(resolve => setTimeout(resolve, 100));
  const { p50, p99 } = await roundTrip(pair, 64);
  rows[name] = { ...row, rttP50Us: p50, rttP99Us: p99 };
  pair.close();
  if (json) console.log(JSON.stringify({ type: 'row', name, ...rows[name] }));
}
if (!json) console.table(rows);
process.exit(0);
