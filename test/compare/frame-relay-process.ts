/**
 * The hostile side of a Yggdrasil relay: its neighbours' TCP connections pass through here, on its own host, and frames
 * that are large enough to be data can be spoiled, so that the destination throws them away. Were they taken out in front
 * of the relay, the answers that keep a peering alive would go missing too. The protocol over `tcp://` is a greeting and
 * then frames behind their length.
 */
import { connect, createServer, type Socket } from 'node:net';
import { answerRequests } from '../reroute/request.js';

export type FrameRelayRequest =
  | { readonly kind: 'listen'; readonly host: string; readonly port: number; readonly relayPort: number }
  /** Share of the frames with more than this many bytes that is spoiled on their way to the relay. */
  | { readonly kind: 'spoil'; readonly share: number; readonly largerThan: number };

const GREETING_BYTES = 38;
let share = 0;
let largerThan = Number.POSITIVE_INFINITY;

function join(near: Socket, relayPort: number): void {
  const relay = connect({ host: '127.0.0.1', port: relayPort, noDelay: true });
  relay.pipe(near);
  for (const [one, other] of [
    [near, relay],
    [relay, near],
  ] as const) {
    one.on('error', () => other.destroy());
    one.on('close', () => other.destroy());
  }
  let pending: Buffer = Buffer.alloc(0);
  let greeted = false;
  near.on('data', chunk => {
    pending = Buffer.concat([pending, chunk]);
    if (!greeted) {
      if (pending.length < GREETING_BYTES) return;
      relay.write(pending.subarray(0, GREETING_BYTES));
      pending = pending.subarray(GREETING_BYTES);
      greeted = true;
    }
    while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
      const bytes = 2 + pending.readUInt16BE(0);
      const frame = Buffer.from(pending.subarray(0, bytes));
      // Its end is ciphertext between source and destination.
      if (bytes > largerThan && Math.random() < share) frame.writeUInt8(frame.readUInt8(bytes - 1) ^ 1, bytes - 1);
      relay.write(frame);
      pending = pending.subarray(bytes);
    }
  });
}

answerRequests<FrameRelayRequest>(request => {
  if (request.kind === 'spoil') {
    ({ share, largerThan } = request);
    return null;
  }
  const { host, port, relayPort } = request;
  return new Promise<null>((resolve, reject) => {
    const server = createServer({ noDelay: true }, near => join(near, relayPort));
    server.once('error', reject);
    server.listen(port, host, () => resolve(null));
  });
});
