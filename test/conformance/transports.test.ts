import t from 'tap';
import { WebSocket } from 'ws';
import { nodeEnv } from '../../lib/env-node.js';
import { MemoryHub, memoryTransport } from '../../transports/memory.js';
import { tcpTransport } from '../../transports/tcp.js';
import { webSocketTransport as browserTransport, type PlatformWebSocket } from '../../transports/websocket.browser.js';
import { webSocketTransport } from '../../transports/websocket.js';
import { type TransportUnderTest, transportConformance } from './transport.js';

const under: Record<string, TransportUnderTest> = {
  memory: {
    makeTransport: () => memoryTransport(new MemoryHub(nodeEnv().clock)),
    listenAddress: 'memory://here',
    deadAddress: 'memory://nobody',
  },
  tcp: {
    makeTransport: () => tcpTransport(),
    listenAddress: 'tcp://127.0.0.1:0',
    deadAddress: 'tcp://127.0.0.1:1',
  },
  websocket: {
    makeTransport: () => webSocketTransport(),
    listenAddress: 'ws://127.0.0.1:0',
    deadAddress: 'ws://127.0.0.1:1',
  },
  // The browser's file over a WebSocket class of the same face; what it dials is the listener of Node.
  'websocket of browsers': {
    makeTransport: () => ({
      ...webSocketTransport(),
      ...browserTransport({ WebSocket: WebSocket as unknown as new (address: string) => PlatformWebSocket }),
    }),
    listenAddress: 'ws://127.0.0.1:0',
    deadAddress: 'ws://127.0.0.1:1',
  },
};

for (const [transport, options] of Object.entries(under)) {
  t.test(transport, async t => {
    for (const { name, run } of transportConformance(options)) {
      await t.test(name, async t => {
        await run();
        t.pass(name);
      });
    }
  });
}
