/** What is compared: how each contender is started in the diamond, sends numbered messages, and is made to drop them. */
import type { RelayName } from '../reroute/diamond.js';
import type { Delivery } from './outage.js';
import type { Spaces } from './spaces.js';

export interface System {
  readonly name: string;
  /** Programs that must be installed. */
  readonly programs: readonly string[];
  /** Once it delivers, it gets this long to learn the other route, and to end what it defers. */
  readonly settleMs: number;
  /** What its relays forward when they drop data, for the page. */
  readonly about: string;
  /** Starts it and its traffic. `folder` is for its files; removed by the caller. */
  start(spaces: Spaces, folder: string, ratePerSecond: number): Promise<Running>;
}

export interface Running {
  /** Messages sent and arrived so far. */
  delivery(): Promise<Delivery>;
  /** The relay loses this share of the data that passes, and answers everything else. */
  dropData(relay: RelayName, share: number): Promise<unknown>;
  end(): Promise<void>;
}
