/** Everything that the linearizer knows between two cuts. `linearizer-snapshot.ts` writes and reads it. */
import type { SelectedOrder } from './arrangement.js';
import { ClosedOrders } from './closed-orders.js';
import { HoldCredit } from './hold-credit.js';
import { EMPTY_LOG, type LogFrontier } from './log-root.js';
import type { PendingOrder } from './pending-order.js';
import type { HashHex, OrderId, StreamPosition } from './types.js';

/** The last order taken from a stream. */
export interface Watermark {
  readonly sequence: number;
  readonly id: OrderId;
}

/** A selected batch that waits for its verdicts. */
export interface WaitingBatch {
  readonly height: number;
  readonly cutHash: HashHex;
  /** Ascending by id. */
  readonly orders: readonly SelectedOrder[];
}

export interface LinearizerState {
  height: number;
  /** Cut time of the last cut. */
  time: number;
  /** By validator: entries so far, and the last time, below which none is taken. */
  readonly lanes: { length: number; time: number }[];
  /** Listed in at most f lanes, in the order of their first listing. */
  readonly unsupported: Map<OrderId, PendingOrder>;
  /** Listed in more, neither selected nor gone: L. */
  readonly pending: Map<OrderId, PendingOrder>;
  readonly closed: ClosedOrders;
  readonly watermarks: Map<string, Watermark>;
  credit: HoldCredit;
  readonly waiting: WaitingBatch[];
  log: LogFrontier;
  /** Auction profile: the last window that is closed. */
  closedWindow: number;
}

export const emptyState = (n: number): LinearizerState => ({
  height: 0,
  time: 0,
  lanes: Array.from({ length: n }, () => ({ length: 0, time: 0 })),
  unsupported: new Map(),
  pending: new Map(),
  closed: new ClosedOrders(),
  watermarks: new Map(),
  credit: new HoldCredit(),
  waiting: [],
  log: EMPTY_LOG,
  closedWindow: -1,
});

/** A stream as a map key: peer ids contain no line end. */
export const streamName = ({ sender, stream }: Pick<StreamPosition, 'sender' | 'stream'>): string =>
  `${sender}\n${stream}`;
