/** One end of a path, at its source or at its destination: what a session sends through and hears from. */
import type { Priority } from '../channel/types.js';
import type { PeerId } from '../identity/peer-id.js';
import type { Route } from '../route/index.js';
import {
  DATA_BACKWARD,
  DATA_FORWARD,
  dataHeader,
  type NeighbourFrame,
  type PathCloseReason,
  type PhaseBit,
} from '../wire/index.js';

export interface PathHandler {
  /** A data frame, header included. */
  onData(frame: Uint8Array): void;
  /** The other end's answer to the set-up, or its continuation of the handshake. */
  onMessage(message: Uint8Array): void;
  /** The path is gone. Called at most once, and not after `close`. */
  onClose(reason: PathCloseReason): void;
}

/** What an end needs of the node. */
export interface PathOutlet {
  sendControl(neighbour: PeerId, frame: NeighbourFrame): void;
  sendData(neighbour: PeerId, header: Uint8Array, sealed: Uint8Array, priority: Priority): void;
  forget(end: PathEnd): void;
}

export class PathEnd {
  readonly role: 'source' | 'destination';
  /** The peer at the other end. */
  readonly peer: PeerId;
  /** Relays, from this end to the other. */
  readonly route: Route;
  readonly neighbour: PeerId;
  readonly label: number;
  readonly #outlet: PathOutlet;
  #handler: PathHandler | undefined;
  #open = true;

  constructor(
    outlet: PathOutlet,
    fields: Pick<PathEnd, 'role' | 'peer' | 'route' | 'neighbour' | 'label'>,
    handler?: PathHandler,
  ) {
    this.#outlet = outlet;
    this.role = fields.role;
    this.peer = fields.peer;
    this.route = fields.route;
    this.neighbour = fields.neighbour;
    this.label = fields.label;
    this.#handler = handler;
  }

  get open(): boolean {
    return this.#open;
  }

  attach(handler: PathHandler): void {
    this.#handler = handler;
  }

  /** The header of a frame on this path; the session seals under its AAD. */
  header(path: number, packet: number, urgent: boolean, phase: PhaseBit, ttlMs: number): Uint8Array {
    const kind = this.role === 'source' ? DATA_FORWARD : DATA_BACKWARD;
    return dataHeader({ kind, label: this.label, ttlMs, urgent, phase, path, packet });
  }

  send(header: Uint8Array, sealed: Uint8Array, priority: Priority): void {
    if (this.#open) this.#outlet.sendData(this.neighbour, header, sealed, priority);
  }

  /** The next message of the set-up: an answer from the destination, a continuation from the source. */
  sendMessage(message: Uint8Array): void {
    if (!this.#open) return;
    const kind = this.role === 'source' ? 'path-continue' : 'path-reply';
    this.#outlet.sendControl(this.neighbour, { kind, label: this.label, message });
  }

  close(reason: PathCloseReason): void {
    if (!this.#open) return;
    this.#open = false;
    this.#outlet.forget(this);
    const forward = this.role === 'source';
    this.#outlet.sendControl(this.neighbour, { kind: 'path-close', label: this.label, forward, reason });
  }

  /** Closes it from here, and tells the handler, as if it had been closed elsewhere. */
  abandon(reason: PathCloseReason): void {
    if (!this.#open) return;
    this.close(reason);
    this.#handler?.onClose(reason);
  }

  /** For the node alone: what arrived on the label. */
  deliverData(frame: Uint8Array): void {
    this.#handler?.onData(frame);
  }

  deliverMessage(message: Uint8Array): void {
    this.#handler?.onMessage(message);
  }

  deliverClose(reason: PathCloseReason): void {
    if (!this.#open) return;
    this.#open = false;
    this.#outlet.forget(this);
    this.#handler?.onClose(reason);
  }
}
