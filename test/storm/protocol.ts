/** What the processes of a storm agree on. */
import type { PeerId } from '../../lib/identity/index.js';

export const NETWORK_ID = 'storm';
/** Answers each message with the same bytes. */
export const ECHO = 'echo';

export interface Place {
  readonly peer: PeerId;
  readonly address: string;
}

export type ClientsOrder =
  /** Makes so many clients of the place, and again what it answers. */
  | { readonly kind: 'start'; readonly place: Place; readonly clients: number }
  /** Cuts all connections without a word, and starts the same clients anew, all at once. */
  | { readonly kind: 'restart' };

/** For each client the ms from the order until an echo came back through a session. */
export interface ClientsBack {
  readonly backMs: readonly number[];
}
