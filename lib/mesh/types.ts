/** What an application sees of a node. The classes behind these interfaces are in the other files of this folder. */
import type { EventEmitter } from 'eventemitter3';
import type { PostQuantumPolicy } from '../channel/types.js';
import type { CryptoProvider } from '../crypto/interface.js';
import type { Env } from '../env.js';
import type { Identity } from '../identity/identity.js';
import type { Membership } from '../identity/membership.js';
import type { PeerId } from '../identity/peer-id.js';
import type { Route, RouteEvent } from '../route/explain.js';
import type { Transport } from '../transport.js';
import type { Messaging, SendOptions } from './messaging.js';

export interface NodeOptions {
  readonly identity: Identity;
  readonly networkId: string;
  readonly transports: readonly Transport[];
  /** Addresses to listen on, e.g. `ws://127.0.0.1:0`. Default: none. */
  readonly listen?: readonly string[];
  /** Neighbours to keep channels with. Default: none, and only those who dial. */
  readonly peers?: readonly PeerAddress[];
  /** Who may open channels and sessions, and be a relay of ours. */
  readonly membership: Membership;
  /** Forward for others. Default: false. */
  readonly relay?: boolean | RelayOptions;
  /** Default `required`: every handshake, of channels and of sessions, is hybrid with ML-KEM. */
  readonly postQuantum?: PostQuantumPolicy;
  /** Publications that are kept for subscribers that missed them, per topic. Default: 1,024. */
  readonly publicationHistory?: number;
  /** Default: the fastest backend of the platform. */
  readonly crypto?: CryptoProvider;
  /** Default: `systemEnv()`, the surroundings of this process, tab or worker. */
  readonly env?: Env;
}

/** A frame as the operator of a relay sees it: whence, whither, how large, when, and its lane; never what it says. */
export interface ForwardedFrame {
  readonly from: PeerId;
  readonly to: PeerId;
  readonly bytes: number;
  readonly lane: 'urgent' | 'normal';
}

export type ForwardVerdict = 'forward' | 'drop' | { readonly delayMs: number };

export interface RelayOptions {
  /**
   * Decides about each data frame that passes: what a hostile operator could do, for tests and chaos scenarios. Path
   * set-up, pings and link state are not shown to it, so a relay that drops everything here still looks healthy.
   */
  readonly onForward?: (frame: ForwardedFrame) => ForwardVerdict;
}

export interface PeerAddress {
  /** Whom to expect there; without it, whoever answers and is admitted. */
  readonly peer?: PeerId;
  readonly address: string;
}

/** One path of a session, as data for pages and the command line. */
export interface RouteSnapshot {
  readonly flow: PeerId;
  readonly route: Route;
  readonly role: 'active' | 'standby' | 'spare';
  readonly rttMs: number;
  readonly ptoMs: number;
  readonly inFlightBytes: number;
  readonly quarantined: boolean;
}

export interface PeerSnapshot {
  readonly peer: PeerId;
  /** A channel to it is open. */
  readonly connected: boolean;
  /** An end-to-end session with it is up. */
  readonly session: boolean;
  readonly relay: boolean;
  /** Round-trip time of the channel in ms, when a channel is open. */
  readonly rttMs?: number;
}

export interface PeerEvent {
  readonly peer: PeerId;
  readonly kind: 'connected' | 'disconnected' | 'session-up' | 'session-down';
  readonly cause?: string;
  readonly atMs: number;
}

/** One publication as a subscriber gets it. */
export type Publication =
  | { readonly kind: 'message'; readonly epoch: number; readonly sequence: number; readonly bytes: Uint8Array }
  | {
      /** Messages `from` .. `to` did not come in turn: they follow late, or, `recovered: false`, never. */
      readonly kind: 'gap';
      readonly epoch: number;
      readonly from: number;
      /** Undefined when the publisher restarted: nobody knows how many there were. */
      readonly to: number | undefined;
      readonly recovered: boolean;
    };

export interface SubscribeOptions {
  /** The first publication wanted; without it, whatever is published from now on. */
  readonly from?: { readonly epoch: number; readonly sequence: number };
  readonly signal?: AbortSignal;
}

export interface SendMessageOptions extends SendOptions {
  readonly signal?: AbortSignal;
}

/** One message of the `session` service. */
export interface SessionMessage {
  readonly from: PeerId;
  readonly bytes: Uint8Array;
}

/** An end-to-end session, over whatever route works. A reroute loses, repeats and reorders nothing that it carries. */
export interface Session {
  readonly peer: PeerId;
  /** Resolves when the message was queued; waits while the queue is full. Rejects with ABORTED, SESSION_CLOSED. */
  send(bytes: Uint8Array, options?: SendMessageOptions): Promise<void>;
  /** Messages of the peer's `session(...).send`, in order, exactly once. One reader at a time. */
  messages(signal?: AbortSignal): AsyncIterableIterator<Uint8Array>;
}

export type NodeEvents = {
  route: (event: RouteEvent) => void;
  peer: (event: PeerEvent) => void;
};

export interface Node extends Messaging, Pick<EventEmitter<NodeEvents>, 'on' | 'once' | 'off'> {
  readonly peerId: PeerId;
  /** The addresses that were bound, with their real ports. */
  readonly addresses: readonly string[];
  /** Resolves when an end-to-end session with the peer is up. Rejects with NO_ROUTE after `timeoutMs` (10 s). */
  session(peer: PeerId, options?: { readonly timeoutMs?: number; readonly signal?: AbortSignal }): Promise<Session>;
  /** Publishes on `${peerId}/${name}`; returns its place in the topic. One signature per turn of the event loop. */
  publish(name: string, bytes: Uint8Array): { readonly epoch: number; readonly sequence: number };
  /** Yields what `publisher` publishes on `publisher/name`, gaps included. */
  subscribe(topic: string, options?: SubscribeOptions): AsyncIterableIterator<Publication>;
  routes(): readonly RouteSnapshot[];
  peers(): readonly PeerSnapshot[];
  /** Explains, in lines for people, the present routes to a peer and the last decisions about them. */
  why(peer: PeerId): string;
  /** Resolves when all that was queued is receipted; takes nothing new meanwhile. */
  drain(): Promise<void>;
  close(): Promise<void>;
}
