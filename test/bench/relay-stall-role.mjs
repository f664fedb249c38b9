/**
 * The processes of the bench of a peer that stops reading, over the built package. `sink` takes whatever comes; `relay` is
 * a whole node that tells what it holds; `ends` send orders to themselves over the relay, and bulk to the sink, at a rate.
 */
import adapter, { startNode } from './hopfair-relay.mjs';

const ORDER_BYTES = 256;
const BULK_BYTES = 8_192;
const TICK_MS = 2;

async function sink() {
  const server = await adapter.startServer({
    onConn: conn => {
      conn.onMessage = () => undefined;
    },
  });
  process.send({ t: 'ready', addr: server.addr });
}

async function relay({ targets, stalled }) {
  const node = await startNode(targets);
  let heldBytes = 0;
  setInterval(() => {
    heldBytes = Math.max(heldBytes, node.diagnostics().neighbours.get(stalled)?.queuedBytes ?? 0);
  }, 20);
  process.on('message', async ({ t }) => {
    if (t !== 'held') return;
    // What is garbage is not held; buffers outside of the heap are freed some time after the collection.
    for (let i = 0; i < 3; i++) {
      globalThis.gc();
      await new Promise(resolve => setTimeout(resolve, 30));
    }
    const { heapUsed, external } = process.memoryUsage();
    process.send({
      t: 'held',
      heldBytes,
      memoryBytes: heapUsed + external,
      dropped: node.diagnostics().switch.dropped,
    });
    heldBytes = 0;
  });
  process.send({ t: 'ready', addr: { address: node.addresses[0], relay: node.peerId } });
}

/** Open loop: each order is due at its time, whatever became of those before. Latencies are one way, on one clock. */
async function ends() {
  let latencies = [];
  const server = await adapter.startServer({
    onConn: conn => {
      conn.onMessage = message => latencies.push(performance.now() - message.readDoubleLE(0));
    },
  });
  process.send({ t: 'ready', addr: server.addr });
  process.on('message', async message => {
    if (message.t === 'begin') {
      const { addr, sink: sinkPeer, ordersPerSecond, bulkPerSecond } = message;
      const orders = await adapter.connect({ ...addr, peer: server.addr.peer });
      const bulk = await adapter.connect({ ...addr, peer: sinkPeer });
      const startedAt = performance.now();
      let [sent, flooded] = [0, 0];
      let takesBulk = true;
      bulk.onDrain = () => {
        takesBulk = true;
      };
      setInterval(() => {
        const now = performance.now();
        for (; sent < ((now - startedAt) * ordersPerSecond) / 1_000; sent++) {
          const order = Buffer.alloc(ORDER_BYTES);
          order.writeDoubleLE(performance.now(), 0);
          orders.send(order);
        }
        for (; flooded < ((now - startedAt) * bulkPerSecond) / 1_000 / BULK_BYTES; flooded++) {
          if (takesBulk) takesBulk = bulk.send(Buffer.alloc(BULK_BYTES));
        }
      }, TICK_MS);
      process.send({ t: 'begun' });
    }
    if (message.t === 'latencies') {
      const sorted = Float64Array.from(latencies).sort();
      latencies = [];
      const at = share => sorted[Math.floor(share * sorted.length)];
      process.send({ t: 'latencies', count: sorted.length, p50: at(0.5), p99: at(0.99) });
    }
  });
}

const roles = { sink, relay, ends };
process.on('disconnect', () => process.exit());
process.once('message', ({ role, ...options }) => roles[role](options));
process.send({ t: 'up' });
