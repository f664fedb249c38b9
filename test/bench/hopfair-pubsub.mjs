/**
 * hopfair's publish/subscribe for the broadcast of the side-by-side bench of peers (`bcast/run.mjs`): what the adapters
 * there export. A publisher and its subscribers over direct TCP channels; every flush is sealed and signed.
 */
import { createIdentity, createNode, openMembership } from '../../dist/lib/index.js';
import { tcpTransport } from '../../dist/transports/tcp.js';

const networkId = 'bench';
const TOPIC = 'bench';
const common = () => ({
  identity: createIdentity({ networkId }),
  networkId,
  transports: [tcpTransport()],
  membership: openMembership({ mayRelay: false }),
});

export default {
  name: 'hopfair-pubsub',
  letter: 'x',
  label: 'hopfair publish/subscribe over tcp',
  settings: 'sealed with a topic key, signed per flush, a session for each subscriber',
  async startServer({ onConn }) {
    let isFirst = true;
    const node = await createNode({
      ...common(),
      listen: ['tcp://127.0.0.1:0'],
      admitSubscriber: () => {
        // The bench sends each message to every connection: the first of them publishes it for all.
        const send = isFirst ? bytes => node.publish(TOPIC, bytes) : () => true;
        isFirst = false;
        const conn = { onMessage: undefined, send };
        onConn(conn);
        conn.onMessage(); // it counts those who are there by their first message
        return true;
      },
    });
    node.openTopic(TOPIC);
    return { addr: { address: node.addresses[0], peer: node.peerId }, close: () => node.close() };
  },
  async connect({ address, peer }) {
    const node = await createNode({ ...common(), peers: [{ address, peer }] });
    const conn = { onMessage: undefined, send: () => true, close: () => node.close() };
    const read = async () => {
      for await (const event of node.subscribe(`${peer}/${TOPIC}`)) {
        if (event.kind === 'message') conn.onMessage(event.bytes);
      }
    };
    read().catch(error => {
      process.nextTick(() => {
        throw error; // the bench reports what nobody catches
      });
    });
    return conn;
  },
};
