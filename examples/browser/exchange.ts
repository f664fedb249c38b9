/** The exchange of the example: it publishes the top of a book that moves, and accepts every order. */
import { decodePayload, encodePayload, type Node, type PeerId } from 'hopfair';

const PUBLISH_INTERVAL_MS = 100;
const SPREAD = 5;

export interface Exchange {
  /** Answers the orders of a peer from now on. */
  serve(peer: PeerId): void;
  close(): void;
}

export function openExchange(node: Node): Exchange {
  const served = new Set<PeerId>();
  let bid = 60_000;
  let orders = 0;
  const timer = setInterval(() => {
    bid += Math.round(Math.random() * 10 - 5);
    node.publish('book.BTC-PERP', encodePayload({ bid, ask: bid + SPREAD }));
  }, PUBLISH_INTERVAL_MS);

  async function answer(peer: PeerId): Promise<void> {
    const session = await node.session(peer);
    for await (const bytes of session.messages()) {
      const order = decodePayload(bytes);
      orders++;
      await session.send(encodePayload({ accepted: orders, order }), { class: 'critical' });
    }
  }

  return {
    serve: peer => {
      if (served.has(peer)) return;
      served.add(peer);
      answer(peer).catch((error: unknown) => {
        served.delete(peer);
        console.error(`${peer}: ${String(error)}`);
      });
    },
    close: () => clearInterval(timer),
  };
}
