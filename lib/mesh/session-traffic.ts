/** What a session sends and receives, counted: the share of copies and of receipts can be read from it (bar R6). */
import type { FlowEffect } from '../route/index.js';

export type CopyKind = Extract<FlowEffect<unknown>, { kind: 'transmit' }>['copy'];

/** Whole data frames, from the first byte of the header to the tag. */
export interface TrafficCount {
  packets: number;
  bytes: number;
}

/** By kind of packet; joins and ends of sessions are not counted. */
export interface SessionTraffic extends Record<CopyKind, TrafficCount> {
  /** Packets that carry nothing else; in `bytes` also receipts that travelled with messages. */
  receipts: TrafficCount;
  received: TrafficCount;
}

const none = (): TrafficCount => ({ packets: 0, bytes: 0 });

export const noTraffic = (): SessionTraffic => ({
  first: none(),
  duplicate: none(),
  hedge: none(),
  retransmission: none(),
  receipts: none(),
  received: none(),
});

export function count(counted: TrafficCount, bytes: number): void {
  counted.packets += 1;
  counted.bytes += bytes;
}
