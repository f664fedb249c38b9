import t from 'tap';
import { SimTransportNetwork, SimWorld } from '../../lib/sim/index.js';
import type { Transport } from '../../lib/transport.js';
import { transportConformance } from './transport.js';

/** One machine that talks to itself over a link that loses packets; virtual time runs along with the test. */
function makeTransport(): Transport {
  const world = new SimWorld({ seed: 'conformance', link: { delayMs: 0.1, jitterMs: 0.1, loss: 0.01 } });
  const network = new SimTransportNetwork(world);
  let transport: Transport | undefined;
  world.addMachine('m').start(process => {
    transport = network.transport(process);
  });
  const run = (): void => world.scheduler.runFor(20);
  t.teardown(() => clearInterval(timer));
  const timer = setInterval(run, 1);
  return transport as unknown as Transport;
}

for (const { name, run } of transportConformance({
  makeTransport,
  listenAddress: 'sim://m:0',
  deadAddress: 'sim://m:1',
})) {
  t.test(name, async t => {
    await run();
    t.pass(name);
  });
}
