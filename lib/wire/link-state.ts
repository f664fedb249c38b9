/** The list of its edges that a node signs (overlay.md point 2). */
import { Reader, Writer } from '../bytes.js';
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import { readPeer, writePeer } from './peer.js';

export interface Edge {
  readonly peer: PeerId;
  /** Claimed cost in ms; travels in units of 10 µs. */
  readonly costMs: number;
}

export interface LinkState {
  readonly origin: PeerId;
  /** Of the present run of the origin, from its wall clock: a restarted node outbids its own old one. */
  readonly epoch: number;
  /** From 1 within an epoch. */
  readonly sequence: number;
  /** Whether it forwards for others. */
  readonly relay: boolean;
  readonly edges: readonly Edge[];
}

const COST_UNITS_PER_MS = 100;
const MAX_COST_MS = 600_000;

export function encodeLinkState(state: LinkState): Uint8Array {
  const writer = new Writer(64 + 36 * state.edges.length);
  writePeer(writer, state.origin)
    .u64(state.epoch)
    .u64(state.sequence)
    .u8(state.relay ? 1 : 0);
  writer.u16(state.edges.length);
  for (const edge of state.edges) {
    writePeer(writer, edge.peer).u32(Math.round(Math.min(edge.costMs, MAX_COST_MS) * COST_UNITS_PER_MS));
  }
  return writer.finish();
}

export function decodeLinkState(body: Uint8Array): LinkState {
  const reader = new Reader(body);
  const origin = readPeer(reader);
  const epoch = reader.u64();
  const sequence = reader.u64();
  const relay = reader.u8();
  const count = reader.count16(LIMITS.maxEdgesPerNode);
  const edges: Edge[] = [];
  const seen = new Set<PeerId>([origin]);
  for (let i = 0; i < count; i++) {
    const peer = readPeer(reader);
    const costMs = reader.u32() / COST_UNITS_PER_MS;
    if (seen.has(peer)) throw new HopfairError('DECODE_FAILED', 'a link state that names a peer twice');
    seen.add(peer);
    edges.push({ peer, costMs });
  }
  reader.end();
  if (relay > 1) throw new HopfairError('DECODE_FAILED', 'relay flag out of range');
  return { origin, epoch, sequence, relay: relay === 1, edges };
}
