/** What goes into a flow and what comes out of it. */
import type { Instant } from '../env.js';
import type { Route, RouteEvent } from './explain.js';
import type { PacketRange } from './ranges.js';

/** `critical` is always copied over two paths, `normal` is hedged, `bulk` only retransmitted. */
export type TrafficClass = 'critical' | 'normal' | 'bulk';

/** Paths of one session are numbered 0 .. 15; a number is used again only after its path is down. */
export const MAX_PATHS = 16;

export interface FlowPathInfo {
  readonly id: number;
  readonly route: Route;
  /** Operators of the relays, where the roster tells; empty strings tell nothing. */
  readonly operators: readonly string[];
  /** How long the set-up took: stands in for the RTT until it is measured. */
  readonly rttHintMs: number;
}

export type FlowInput<T> =
  | { readonly kind: 'path-up'; readonly path: FlowPathInfo }
  | { readonly kind: 'path-down'; readonly path: number }
  /** Call only while `hasRoom` says so. */
  | {
      readonly kind: 'submit';
      readonly payload: T;
      readonly bytes: number;
      readonly class: TrafficClass;
      readonly expiresAt?: Instant | undefined;
      /**
       * Send it at once over so many paths which mutually share no relay and no operator (k-path mode, overlay.md point
       * 18); all relays of unknown operator count as one operator. With fewer such paths it goes over what there is, and
       * an event `paths-short` says so. More than `MAX_PATHS` is the same as `MAX_PATHS`.
       */
      readonly paths?: number | undefined;
    }
  | {
      readonly kind: 'receipt';
      readonly path: number;
      readonly ranges: readonly PacketRange[];
      readonly delayMs: number;
    }
  /**
   * These packets of `path` came, but the receipt did not travel over it: their payloads are settled and they are not
   * lost, while RTT and silence of the path are judged by its own receipts only.
   */
  | { readonly kind: 'arrived'; readonly path: number; readonly ranges: readonly PacketRange[] }
  /** Sends the payload once over this path, to learn whether it still works. */
  | { readonly kind: 'probe'; readonly path: number; readonly payload: T; readonly bytes: number }
  | { readonly kind: 'tick' };

export type FlowEffect<T> =
  /** Seal the payload under this packet number of this path and send it. */
  | {
      readonly kind: 'transmit';
      readonly path: number;
      readonly packet: number;
      readonly payload: T;
      readonly copy: 'first' | 'duplicate' | 'hedge' | 'retransmission';
      /** Ask for the receipt at once: a race is being judged by it, or the class demands it. */
      readonly receiptAtOnce: boolean;
    }
  /** The payload needs nothing more. */
  | { readonly kind: 'settled'; readonly payload: T; readonly outcome: 'receipted' | 'expired' }
  | { readonly kind: 'explain'; readonly event: RouteEvent }
  /** The path has been silent for too long: close it, and set up another. */
  | { readonly kind: 'abandon'; readonly path: number };
