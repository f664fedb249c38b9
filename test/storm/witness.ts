/** A session with the backend that was there before and stays: steady small messages, and how long each echo takes. */
import { AllowList } from '../../lib/identity/index.js';
import { createIdentity, createNode, type Node } from '../../lib/mesh/index.js';
import { tcpTransport } from '../../transports/tcp.js';
import { webSocketTransport } from '../../transports/websocket.js';
import { ECHO, NETWORK_ID, type Place } from './protocol.js';

const SEND_EVERY_MS = 5;
const MESSAGE_BYTES = 64;

export class Witness {
  readonly #node: Node;
  readonly #timer: NodeJS.Timeout;
  #samples: number[] = [];

  private constructor(node: Node, { peer }: Place) {
    this.#node = node;
    node.serve(ECHO, (_, bytes) => {
      this.#samples.push(performance.now() - new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0));
    });
    this.#timer = setInterval(() => {
      const message = new Uint8Array(MESSAGE_BYTES);
      new DataView(message.buffer).setFloat64(0, performance.now());
      node.send(peer, ECHO, message, { class: 'critical' });
    }, SEND_EVERY_MS);
  }

  static async start(place: Place): Promise<Witness> {
    const node = await createNode({
      identity: createIdentity({ networkId: NETWORK_ID }),
      networkId: NETWORK_ID,
      transports: [tcpTransport(), webSocketTransport()],
      membership: new AllowList([{ peer: place.peer, mayRelay: true }]),
      peers: [place],
    });
    await node.session(place.peer);
    return new Witness(node, place);
  }

  /** Round trips since the last call, in ms. */
  take(): { readonly count: number; readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number } {
    const sorted = this.#samples.sort((a, b) => a - b);
    this.#samples = [];
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
    return { count: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
  }

  stop(): Promise<void> {
    clearInterval(this.#timer);
    return this.#node.close();
  }
}
