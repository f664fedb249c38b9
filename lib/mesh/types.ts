/** What an application sees of a node. The classes behind these interfaces are in the other files of this folder. */
import type { EventEmitter } from 'eventemitter3';
import type { ErrorCode } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import type { RosterChange } from '../identity/roster-membership.js';
import type { Route, RouteEvent } from '../route/explain.js';
import type { PeerExplanation } from './explanation.js';
import type { Messaging, SendOptions } from './messaging.js';

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

/**
 * What becomes of an address that this node keeps a channel to. `waiting`: it is dialled again at `nextTryAtMs`.
 * `refused`: the same, but somebody has to change something first (admission, network, certificate, suite, key).
 */
export type ConnectionState = 'connecting' | 'connected' | 'waiting' | 'refused';

export interface ConnectionSnapshot {
  readonly address: string;
  readonly state: ConnectionState;
  /** Who is expected there, or was reached last. */
  readonly peer?: PeerId;
  /** Tries in a row that came to nothing; 0 after a channel that lived 30 s. */
  readonly failures: number;
  /** Why the last channel or try ended; `code` is stable. */
  readonly cause?: { readonly code: ErrorCode; readonly message: string };
  /** On the clock of the node, as `atMs` of the events; undefined unless the address waits. */
  readonly nextTryAtMs?: number;
}

/** A change of state of an address. */
export interface ConnectionEvent extends ConnectionSnapshot {
  /** Until `nextTryAtMs`. */
  readonly nextTryInMs?: number;
  readonly atMs: number;
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
  /** What membership says of it: who runs it and where. */
  readonly operator?: string;
  readonly region?: string;
  /** The address of this peer that this node keeps a channel to, if it does: state, cause and next try. */
  readonly connection?: ConnectionSnapshot;
}

export interface PeerEvent {
  readonly peer: PeerId;
  readonly kind: 'connected' | 'disconnected' | 'session-up' | 'session-down';
  readonly cause?: string;
  readonly atMs: number;
}

/** Another roster counts from now on; the channels and sessions of whoever was removed are ending. */
export interface RosterEvent extends RosterChange {
  /** The neighbour that handed it over; undefined when the application did. */
  readonly from?: PeerId;
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

/** Whether a peer may have a topic of this node. A throw, a rejection or an answer after 5 s (`admitTimeoutMs`) refuses. */
export type AdmitSubscriber = (peer: PeerId, name: string) => boolean | Promise<boolean>;

export interface SubscribeOptions {
  /**
   * The first publication wanted; without it, whatever is published from now on. An application that keeps epoch and
   * sequence of what it took goes on behind it after a restart.
   */
  readonly from?: { readonly epoch: number; readonly sequence: number };
  /** Peers that may hold what is missed, asked after those that the publisher names; 8 at most. */
  readonly fillFrom?: readonly PeerId[];
  readonly signal?: AbortSignal;
}

export interface DrainOptions {
  readonly timeoutMs?: number;
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
  /**
   * Resolves when the message was queued; waits while the queue is full, as it is when the other end does not read its
   * `messages`: 3 MiB may be on their way to a reader. Rejects with ABORTED, SESSION_CLOSED, INVALID_ARGUMENT.
   */
  send(bytes: Uint8Array, options?: SendMessageOptions): Promise<void>;
  /**
   * Messages of the peer's `session(...).send`, exactly once, in order but for those sent with `ordered: false`; those with
   * `ttlMs` at most once. One reader at a time. What is not read is held, and the sender waits.
   */
  messages(signal?: AbortSignal): AsyncIterableIterator<Uint8Array>;
}

/**
 * Set-ups of paths that this node refused, as a relay or as their destination: at most one event per second, neighbour and
 * reason.
 */
export interface RefusedEvent {
  /** The neighbour that the set-up came from. */
  readonly from: PeerId;
  /** Who signed it, or is said to have; undefined where it could not be read. */
  readonly source?: PeerId;
  readonly reason: string;
  /** Where a limit was met: what stood against it. */
  readonly value?: number;
  readonly limit?: number;
  /** Refusals of this neighbour for this reason since the last event, this one included. */
  readonly count: number;
  readonly atMs: number;
}

/** What a node forwarded and dropped, its own frames included, since it began. */
export interface SwitchCounters {
  readonly forwarded: number;
  /** Frames on labels that nobody set up, or that are closed. */
  readonly unknownLabel: number;
  /** For want of room. */
  readonly dropped: number;
  /** Their ttl ran out here. */
  readonly expired: number;
  /** What waits for all neighbours together at present. */
  readonly queuedBytes: number;
}

/** One neighbour, since its channel is up. */
export interface NeighbourCounters {
  /** Link state, set-ups and closes: frames on the channel, without its own overhead. */
  readonly controlSentBytes: number;
  readonly controlReceivedBytes: number;
  /** What waits for it: frames, 320 bytes for each, and what waits in its channel. */
  readonly queuedBytes: number;
  readonly dropped: number;
  readonly expired: number;
  /** Labels that it named here. */
  readonly labels: number;
}

export type NodeEvents = {
  route: (event: RouteEvent) => void;
  peer: (event: PeerEvent) => void;
  /** A `send` to this peer was refused, and would be taken now. */
  room: (peer: PeerId) => void;
  roster: (event: RosterEvent) => void;
  /** An address of `peers` was dialled, connected, lost or refused: with the cause and the time of the next try. */
  connection: (event: ConnectionEvent) => void;
  refused: (event: RefusedEvent) => void;
};

export interface Node extends Messaging, Pick<EventEmitter<NodeEvents>, 'on' | 'once' | 'off'> {
  readonly peerId: PeerId;
  /** The addresses that were bound, with their real ports. */
  readonly addresses: readonly string[];
  /** Resolves when an end-to-end session with the peer is up. Rejects with NO_ROUTE after `timeoutMs` (10 s). */
  session(peer: PeerId, options?: { readonly timeoutMs?: number; readonly signal?: AbortSignal }): Promise<Session>;
  /** Publishes on `${peerId}/${name}`; returns its place in the topic. One signature per turn of the event loop. */
  publish(name: string, bytes: Uint8Array): { readonly epoch: number; readonly sequence: number };
  /**
   * Lets others subscribe before anything is published: topics that were neither opened nor published on do not exist for
   * them, and their subscriptions wait. INVALID_ARGUMENT for a name above 128 bytes and for more than 1,024 topics.
   */
  openTopic(name: string): void;
  /**
   * Ends the subscription of a peer to a topic of this node. The topic gets another key, so it reads nothing that is
   * published from now on; `admitSubscriber` decides whether it may come back. False when it was not subscribed.
   */
  removeSubscriber(name: string, peer: PeerId): boolean;
  /**
   * Yields what `publisher` publishes on `publisher/name`, or on what an alias of the roster stands for, in order, each
   * once, gaps included. The subscription begins at once and ends with the iterator or the signal. The iterator rejects
   * with SUBSCRIPTION_REFUSED when the publisher does not admit this node, removes it, or (retryable) has no room.
   * Throws INVALID_ARGUMENT for a malformed topic, one that is subscribed already, and an unknown alias.
   *
   * @example
   * for await (const event of node.subscribe(`${publisher}/book.BTC-PERP`, { from: position })) {
   *   if (event.kind === 'message') position = { epoch: event.epoch, sequence: event.sequence + 1 };
   * }
   */
  subscribe(topic: string, options?: SubscribeOptions): AsyncIterableIterator<Publication>;
  routes(): readonly RouteSnapshot[];
  peers(): readonly PeerSnapshot[];
  /** The addresses that this node keeps channels to, those included where nobody was reached yet. */
  connections(): readonly ConnectionSnapshot[];
  /** The present routes to a peer, those that could be taken and why they are not, and the last decisions, as data. */
  explain(peer: PeerId): PeerExplanation;
  /** `explain`, in lines for people: the present routes to a peer and the last decisions about them. */
  why(peer: PeerId): string;
  /**
   * Takes nothing new from the application from now on: `send`, `publish`, `session` and `subscribe` throw INVALID_STATE.
   * Resolves when all that was queued is receipted; what passes its ttl, and what was for a peer that is gone for good
   * (`session-down`), is not waited for. May be called again. Rejects with TIMEOUT after `timeoutMs` (default: never),
   * ABORTED by the signal, INVALID_STATE when the node is closed meanwhile; the node goes on draining until `close`.
   *
   * @example
   * await node.drain({ timeoutMs: 5_000 }).finally(() => node.close());
   */
  drain(options?: DrainOptions): Promise<void>;
  /** Ends sessions and channels with authenticated ends; resolves when those have left, after 5 s at most. */
  close(): Promise<void>;
}
