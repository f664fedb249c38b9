/**
 * What a healthy mesh costs beside the messages (overlay.md, R6): the shipping nodes over two disjoint paths in virtual
 * time, so that the figures are the same on every machine.
 */
import type { DeliveryClass } from '../../lib/mesh/index.js';
import { MeshWorld } from '../support/mesh-world.js';

export interface Overhead {
  readonly class: DeliveryClass;
  readonly messagesPerSecond: number;
  /** Copies, hedges and retransmissions, as a share of the packets that went first. */
  readonly copies: number;
  /** What the destination sends for them, in bytes per second of frames and of receipts that travel with others. */
  readonly receiptBytesPerSecond: number;
}

const WARM_UP_MS = 3_000;
const BYTES = 256;

/** Source and destination know each other only through two relays, over links of so many ms. */
async function diamond(delayMs: number) {
  const mesh = new MeshWorld({ seed: 6, link: { delayMs } });
  mesh.add('r1', [], { relay: true });
  mesh.add('r2', ['r1'], { relay: true });
  const source = mesh.add('source', ['r1', 'r2']);
  const destination = mesh.add('destination', ['r1', 'r2']);
  destination.node.serve('bench', () => undefined);
  await mesh.run(1_000);
  source.node.send(destination.peer, 'bench', new Uint8Array(BYTES));
  await mesh.run(WARM_UP_MS);
  return { mesh, source, destination };
}

export async function overheadOf(
  trafficClass: DeliveryClass,
  messagesPerSecond: number,
  seconds: number,
  delayMs = 3,
): Promise<Overhead> {
  const { mesh, source, destination } = await diamond(delayMs);
  const sentBy = () => structuredClone(source.node.diagnostics().sessions.get(destination.peer));
  const receipts = () => destination.node.diagnostics().sessions.get(source.peer)?.receipts.bytes ?? 0;
  const [before, receiptsBefore] = [sentBy(), receipts()];
  for (let i = 0; i < seconds * messagesPerSecond; i++) {
    source.node.send(destination.peer, 'bench', new Uint8Array(BYTES), { class: trafficClass });
    await mesh.run(1_000 / messagesPerSecond);
  }
  const after = sentBy();
  if (before === undefined || after === undefined) throw new Error('no session');
  const packets = (kind: 'first' | 'duplicate' | 'hedge' | 'retransmission'): number =>
    after[kind].packets - before[kind].packets;
  const copies = packets('duplicate') + packets('hedge') + packets('retransmission');
  return {
    class: trafficClass,
    messagesPerSecond,
    copies: copies / packets('first'),
    receiptBytesPerSecond: (receipts() - receiptsBefore) / seconds,
  };
}

/** Bytes per second that an idle session sends, both ends together. */
export async function idleBytesPerSecond(seconds: number): Promise<number> {
  const { mesh, source, destination } = await diamond(3);
  const total = (): number =>
    [source.node.diagnostics().sessions.get(destination.peer), destination.node.diagnostics().sessions.get(source.peer)]
      .map(traffic => traffic?.received.bytes ?? 0)
      .reduce((sum, bytes) => sum + bytes, 0);
  const before = total();
  await mesh.run(seconds * 1_000);
  return (total() - before) / seconds;
}
