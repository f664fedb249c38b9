import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import type { HopfairError } from '../../lib/errors.js';
import type { Connection, Transport } from '../../lib/transport.js';
import { TrustedProxies } from '../../transports/forwarded.js';
import { tcpTransport } from '../../transports/tcp.js';
import { webSocketTransport } from '../../transports/websocket.js';

const MAX_BYTES = 65_600;
/** What a channel allows a stranger. */
const LOW_BYTES = 4_096;

/** What a listener made of the one raw socket that connected to it. */
interface Victim {
  readonly socket: Socket;
  readonly connection: Connection;
  readonly messages: number[];
  readonly closed: Promise<HopfairError | undefined>;
}

/** A raw socket against a real listener that allows `maxBytes`. */
async function victim(t: Test, transport: Transport, scheme: string, maxBytes: number): Promise<Victim> {
  const messages: number[] = [];
  let onConnection: (connection: Connection) => void = () => undefined;
  const accepted = new Promise<Connection>(resolve => {
    onConnection = resolve;
  });
  const listener = await transport.listen?.(`${scheme}://127.0.0.1:0`, { maxMessageBytes: MAX_BYTES }, connection =>
    onConnection(connection),
  );
  const socket = connect(Number(new URL(listener?.address ?? '').port), '127.0.0.1');
  socket.on('error', () => undefined); // the victim resets it, which is the point
  socket.resume();
  t.teardown(async () => {
    socket.destroy();
    await listener?.close();
  });
  const connection = await accepted;
  connection.limitMessages(maxBytes);
  const closed = new Promise<HopfairError | undefined>(onClose => {
    connection.attach({ onMessage: message => messages.push(message.length), onDrain: () => undefined, onClose });
  });
  return { socket, connection, messages, closed };
}

const UPGRADE = [
  'GET / HTTP/1.1',
  'Host: x',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
];

async function upgraded(t: Test, maxBytes: number, headers: readonly string[] = []): Promise<Victim> {
  const one = await victim(t, webSocketTransport(), 'ws', maxBytes);
  const answer = once(one.socket, 'data');
  one.socket.write(`${[...UPGRADE, ...headers].join('\r\n')}\r\n\r\n`);
  t.match(String(await answer), '101 Switching Protocols');
  return one;
}

const BINARY = 0x02;
const CONTINUATION = 0x00;
const PING = 0x09;
const FIN = 0x80;

/** A frame of a client, masked with zero. */
function frame(flags: number, payload: Uint8Array): Buffer {
  const { length } = payload;
  const header = length < 126 ? [flags, 0x80 | length] : [flags, 0xfe, length >> 8, length & 0xff];
  return Buffer.concat([Uint8Array.from([...header, 0, 0, 0, 0]), payload]);
}

/** Writes until the other end closes, and says how much it took. */
async function writeUntilClosed(one: Victim, chunk: Uint8Array, most: number): Promise<number> {
  let written = 0;
  let isClosed = false;
  void one.closed.then(() => {
    isClosed = true;
  });
  while (!isClosed && written < most) {
    written += chunk.length;
    await new Promise<void>(resolve => {
      one.socket.write(chunk, () => resolve());
    });
    await new Promise(resolve => setImmediate(resolve));
  }
  return written;
}

t.test('tcp: a length above the limit of the moment is refused when it is announced', async t => {
  for (const claimed of [LOW_BYTES + 1, 0xffff_ffff]) {
    const one = await victim(t, tcpTransport(), 'tcp', LOW_BYTES);
    const header = Buffer.alloc(4);
    header.writeUInt32BE(claimed);
    one.socket.write(header);
    t.equal((await one.closed)?.code, 'LIMIT_EXCEEDED');
  }
});

t.test('websocket: a socket is handed over before it has said anything, and can be dropped then', async t => {
  const one = await victim(t, webSocketTransport(), 'ws', LOW_BYTES);
  const ended = once(one.socket, 'close');
  one.socket.write('GET / HTTP/1.1\r\nHost: x\r\n');
  one.connection.close();
  t.equal(await one.closed, undefined);
  await ended;
});

t.test('websocket: while the limit is low, close does not wait for the close frame of the other end', async t => {
  const one = await upgraded(t, LOW_BYTES);
  let answer = Buffer.alloc(0);
  one.socket.on('data', chunk => {
    answer = Buffer.concat([answer, chunk]);
  });
  one.socket.allowHalfOpen = true;
  let isClosed = false;
  void one.closed.then(() => {
    isClosed = true;
  });
  const ended = once(one.socket, 'end');
  one.connection.send([Uint8Array.of(0)]);
  one.connection.close();
  await ended;
  for (let turn = 0; turn < 50; turn++) await new Promise(resolve => setImmediate(resolve));
  t.equal(isClosed, false, 'the stream ended before anybody lost patience');
  one.socket.end();
  t.same([...answer], [FIN | BINARY, 1, 0, 0x88, 2, 3, 0xe8], 'what was sent came, and the close frame');
  t.equal(await one.closed, undefined);
});

t.test('websocket: what is sent before the upgrade leaves after it', async t => {
  const one = await victim(t, webSocketTransport(), 'ws', LOW_BYTES);
  one.connection.send([Uint8Array.of(7), Uint8Array.of(8)]);
  let answer = Buffer.alloc(0);
  one.socket.on('data', chunk => {
    answer = Buffer.concat([answer, chunk]);
  });
  one.socket.write(`${UPGRADE.join('\r\n')}\r\n\r\n`);
  while (!answer.includes('\r\n\r\n') || answer.at(-1) !== 8) await once(one.socket, 'data');
  t.same([...answer.subarray(-4)], [FIN | BINARY, 2, 7, 8]);
});

t.test('websocket: a socket that is not upgraded gets an HTTP answer and is closed', async t => {
  const one = await victim(t, webSocketTransport(), 'ws', LOW_BYTES);
  const answer = once(one.socket, 'data');
  one.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  t.match(String(await answer), '426 Upgrade Required');
  await one.closed;
});

t.test('websocket: lengths of 2^63 and of one byte above the limit are refused', async t => {
  const one = await upgraded(t, LOW_BYTES);
  one.socket.write(Uint8Array.from([FIN | BINARY, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
  t.equal((await one.closed)?.code, 'LIMIT_EXCEEDED');
  const two = await upgraded(t, LOW_BYTES);
  two.socket.write(frame(FIN | BINARY, new Uint8Array(LOW_BYTES)));
  two.socket.write(frame(FIN | BINARY, new Uint8Array(LOW_BYTES + 1)));
  t.equal((await two.closed)?.code, 'LIMIT_EXCEEDED');
  t.same(two.messages, [LOW_BYTES]);
});

for (const [name, first, chunk] of [
  ['a frame of 64 KiB that comes piece by piece', Uint8Array.from([0x82, 0xfe, 0xff, 0xff]), new Uint8Array(512)],
  ['endless small fragments', frame(BINARY, new Uint8Array(1)), frame(CONTINUATION, new Uint8Array(100))],
  ['endless empty fragments', frame(BINARY, new Uint8Array(0)), frame(CONTINUATION, new Uint8Array(0))],
  ['a flood of pings', frame(FIN | PING, new Uint8Array(0)), frame(FIN | PING, new Uint8Array(100))],
] as const) {
  t.test(`websocket: ${name} ends once it is more than a first message may be`, async t => {
    const one = await upgraded(t, LOW_BYTES);
    one.socket.write(first);
    const written = await writeUntilClosed(one, chunk, 1_000_000);
    t.equal((await one.closed)?.code, 'LIMIT_EXCEEDED');
    t.ok(written < 65_536, `${written} bytes were taken`);
    t.same(one.messages, []);
  });
}

t.test(
  'websocket: with the full limit, fragments of one message and chunks of one frame are still bounded',
  async t => {
    const one = await upgraded(t, MAX_BYTES);
    one.socket.write(frame(BINARY, new Uint8Array(1)));
    await writeUntilClosed(one, frame(CONTINUATION, new Uint8Array(0)), 1_000_000);
    t.equal((await one.closed)?.code, 'LIMIT_EXCEEDED');
    const two = await upgraded(t, MAX_BYTES);
    two.socket.setNoDelay(true);
    two.socket.write(Uint8Array.from([0x82, 0xfe, 0xff, 0xff, 0, 0, 0, 0]));
    const written = await writeUntilClosed(two, Uint8Array.of(1), 60_000);
    t.equal((await two.closed)?.code, 'LIMIT_EXCEEDED');
    t.ok(written < 60_000, `${written} chunks of one byte were kept`);
  },
);

t.test('forwarded addresses: the last one that no listed proxy has, and none from anybody else', async t => {
  const proxies = new TrustedProxies(['127.0.0.1', '10.0.0.0/8', 'fd00::/8']);
  t.equal(proxies.has('127.0.0.1'), true);
  t.equal(proxies.has('::ffff:10.1.2.3'), true);
  t.equal(proxies.has('fd12::1'), true);
  t.equal(proxies.has('127.0.0.2'), false);
  t.equal(proxies.has(undefined), false);
  t.equal(proxies.client('198.51.100.1, 203.0.113.7'), '203.0.113.7');
  t.equal(proxies.client('203.0.113.7, 10.0.0.1, fd00::9'), '203.0.113.7');
  t.equal(proxies.client(['1.2.3.4', '2001:db8::1']), '[2001:db8::1]');
  t.equal(proxies.client('203.0.113.7, nonsense'), undefined);
  t.equal(proxies.client('10.0.0.1'), undefined);
  t.equal(proxies.client(undefined), undefined);
  for (const bad of ['nonsense', '10.0.0.0/33', '10.0.0.0/', '1.2.3.4/x', 'fd00::/129']) {
    t.throws(() => new TrustedProxies([bad]), { code: 'ADDRESS_INVALID' }, bad);
  }
});

for (const [listed, expected] of [
  [['127.0.0.0/8'], '203.0.113.7'],
  [[], '127.0.0.1'],
] as const) {
  t.test(`websocket: behind ${listed[0] ?? 'no listed proxy'} the address is ${expected}`, async t => {
    const transport = webSocketTransport({ proxies: listed });
    let told: (address: string) => void = () => undefined;
    const address = new Promise<string>(resolve => {
      told = resolve;
    });
    const listener = await transport.listen?.('ws://127.0.0.1:0', { maxMessageBytes: MAX_BYTES }, connection =>
      told(connection.remoteAddress),
    );
    const socket = connect(Number(new URL(listener?.address ?? '').port), '127.0.0.1');
    t.teardown(async () => {
      socket.destroy();
      await listener?.close();
    });
    socket.write(`${[...UPGRADE, 'X-Forwarded-For: 127.0.0.1, 203.0.113.7'].join('\r\n')}\r\n\r\n`);
    t.equal((await address).split(':')[0], expected);
  });
}
