/** Numbered messages over UDP, for what routes packets and has no messages of its own: one process sends, one receives. */
import { createSocket, type Socket } from 'node:dgram';
import { monotonicMs } from '../reroute/clock.js';
import { Ledger, numbered } from '../reroute/numbered.js';
import { answerRequests } from '../reroute/request.js';

export type ProbeRequest =
  | { readonly kind: 'receive'; readonly port: number; readonly ipv6: boolean }
  | {
      readonly kind: 'send';
      readonly to: string;
      readonly port: number;
      /** The address that the packets come from. */
      readonly from: string;
      readonly ratePerSecond: number;
      readonly bytes: number;
    }
  | { readonly kind: 'sent' }
  | { readonly kind: 'arrivals' };

const ledger = new Ledger();
const sentAtMs: number[] = [];
let socket: Socket | undefined;

function bind(made: Socket, port: number, address?: string): Promise<void> {
  return new Promise((resolve, reject) => {
    made.once('error', reject);
    made.bind(port, address, resolve);
  });
}

answerRequests<ProbeRequest>(async request => {
  switch (request.kind) {
    case 'receive':
      socket = createSocket(request.ipv6 ? 'udp6' : 'udp4');
      socket.on('message', message => ledger.take(message, monotonicMs()));
      return bind(socket, request.port);
    case 'send': {
      const { to, port, from, ratePerSecond, bytes } = request;
      const sender = createSocket(to.includes(':') ? 'udp6' : 'udp4');
      await bind(sender, 0, from);
      const begunMs = monotonicMs();
      const turn = (): void => {
        const due = Math.floor(((monotonicMs() - begunMs) * ratePerSecond) / 1_000) + 1;
        while (sentAtMs.length < due) {
          const message = numbered(sentAtMs.length, bytes);
          sentAtMs.push(monotonicMs());
          // Without a route at this moment the kernel refuses: the message is lost, and counts as that where none arrives.
          sender.send(message, port, to, () => undefined);
        }
        setTimeout(turn, Math.max(0, begunMs + (due * 1_000) / ratePerSecond - monotonicMs()));
      };
      turn();
      return null;
    }
    case 'sent':
      return { atMs: sentAtMs };
    case 'arrivals':
      return ledger.arrivals;
  }
});
