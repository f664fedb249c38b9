import t from 'tap';
import type { Connection } from '../../lib/transport.js';
import { type PlatformWebSocket, webSocketTransport } from '../../transports/websocket.browser.js';

/** A platform whose buffer the test fills and empties. */
class FakeWebSocket implements PlatformWebSocket {
  static last: FakeWebSocket | undefined;
  binaryType = '';
  bufferedAmount = 0;
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onerror: (() => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  constructor() {
    FakeWebSocket.last = this;
  }

  send(data: Uint8Array): void {
    this.bufferedAmount += data.length;
  }

  close(): void {
    this.readyState = 3;
    this.onclose?.({ code: 1000 });
  }
}

interface Opened {
  readonly connection: Connection;
  readonly platform: FakeWebSocket;
  readonly events: string[];
}

async function open(): Promise<Opened> {
  const events: string[] = [];
  const connection = await new Promise<Connection>((resolve, reject) => {
    const transport = webSocketTransport({ WebSocket: FakeWebSocket });
    transport.dial('ws://here', { maxMessageBytes: 1_000 }, { onConnection: resolve, onError: reject });
    const platform = FakeWebSocket.last as FakeWebSocket;
    platform.readyState = 1;
    platform.onopen?.();
  });
  connection.attach({
    onMessage: message => events.push(`message of ${message.length}`),
    onDrain: () => events.push('drain'),
    onClose: cause => events.push(`close ${cause?.code}`),
  });
  await Promise.resolve(); // what `attach` causes comes a microtask later
  return { connection, platform: FakeWebSocket.last as FakeWebSocket, events };
}

const arrive = (platform: FakeWebSocket, length: number): void =>
  platform.onmessage?.({ data: new ArrayBuffer(length) });

t.test('a buffer that has emptied is noticed when a message arrives, once, without waiting for a timer', async t => {
  const { connection, platform, events } = await open();
  t.equal(connection.send([new Uint8Array(300_000)]), false);
  arrive(platform, 1);
  t.strictSame(events.splice(0), ['message of 1'], 'not while it is full');
  platform.bufferedAmount = 0;
  arrive(platform, 2);
  arrive(platform, 3);
  t.strictSame(events.splice(0), ['message of 2', 'drain', 'message of 3']);
  connection.close();
});

t.test('a buffer that has emptied is noticed without any message too', async t => {
  const { connection, platform, events } = await open();
  connection.send([new Uint8Array(300_000)]);
  platform.bufferedAmount = 0;
  while (events.length === 0) await new Promise(resolve => setTimeout(resolve, 1));
  t.strictSame(events, ['drain']);
  connection.close();
});

t.test('what was held is delivered before the end that a message over the limit brings', async t => {
  const { connection, platform, events } = await open();
  connection.pause();
  arrive(platform, 1);
  arrive(platform, 1_001);
  arrive(platform, 2);
  connection.resume();
  await Promise.resolve();
  t.strictSame(events, ['message of 1', 'close LIMIT_EXCEEDED']);
});
