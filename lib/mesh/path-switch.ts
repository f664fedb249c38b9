/**
 * Labels at work: where each frame of a path goes. At a relay, data frames get the next label and leave, unread; at an end
 * they are handed over. Control frames of a path follow the same labels (overlay.md point 4).
 */
import type { Channel, Priority } from '../channel/types.js';
import type { PeerId } from '../identity/peer-id.js';
import {
  DATA_FORWARD,
  dataLabel,
  dataUrgent,
  encodeNeighbourFrame,
  type NeighbourFrame,
  type PathCloseReason,
  setDataLabel,
} from '../wire/index.js';
import type { MeshContext } from './context.js';
import { Egress } from './egress.js';
import { LabelTable, type Transit } from './labels.js';
import { PathEnd, type PathHandler, type PathOutlet } from './path-end.js';

type PathFrame = Extract<NeighbourFrame, { kind: 'path-reply' | 'path-continue' | 'path-close' }>;

export interface SwitchCounters {
  forwarded: number;
  unknownLabel: number;
  dropped: number;
}

export class PathSwitch implements PathOutlet {
  readonly #context: MeshContext;
  readonly #channelTo: (peer: PeerId) => Channel | undefined;
  readonly #labels = new LabelTable<PathEnd>();
  readonly #egress = new Map<PeerId, Egress>();
  readonly counters: SwitchCounters = { forwarded: 0, unknownLabel: 0, dropped: 0 };

  constructor(context: MeshContext, channelTo: (peer: PeerId) => Channel | undefined) {
    this.#context = context;
    this.#channelTo = channelTo;
  }

  // ---------------------------------------------------------------- making and unmaking

  /** A new path from here: a label for its first link. */
  addSource(peer: PeerId, route: readonly PeerId[], handler: PathHandler): PathEnd {
    const neighbour = route[0] ?? peer;
    const end = new PathEnd(this, { role: 'source', peer, route, neighbour, label: this.#labels.allot() }, handler);
    this.#labels.outgoing.set(neighbour, end.label, { end });
    return end;
  }

  /** A path that ends here. Undefined when the label is taken or the limits are reached. */
  addDestination(source: PeerId, route: readonly PeerId[], neighbour: PeerId, label: number): PathEnd | undefined {
    if (this.#labels.incoming.get(neighbour, label) !== undefined) return undefined;
    if (!this.#labels.hasRoomFor(source, neighbour)) return undefined;
    const end = new PathEnd(this, { role: 'destination', peer: source, route, neighbour, label });
    this.#labels.incoming.set(neighbour, label, { end });
    return end;
  }

  /** A path that passes through. Returns the label of the next link; undefined as above. */
  addTransit(source: PeerId, upstream: PeerId, upstreamLabel: number, downstream: PeerId): number | undefined {
    if (this.#labels.incoming.get(upstream, upstreamLabel) !== undefined) return undefined;
    if (!this.#labels.hasRoomFor(source, upstream)) return undefined;
    const downstreamLabel = this.#labels.allot();
    const lastUsedAt = this.#context.env.clock.now();
    this.#labels.addTransit({ source, upstream, upstreamLabel, downstream, downstreamLabel, lastUsedAt });
    return downstreamLabel;
  }

  forget(end: PathEnd): void {
    const labels = end.role === 'source' ? this.#labels.outgoing : this.#labels.incoming;
    labels.delete(end.neighbour, end.label);
  }

  /** The channel to a neighbour died: so did every path over it. */
  neighbourLost(peer: PeerId): void {
    this.#egress.get(peer)?.clear();
    this.#egress.delete(peer);
    for (const hop of [...this.#labels.incoming.of(peer), ...this.#labels.outgoing.of(peer)]) {
      if ('end' in hop) hop.end.deliverClose('next-hop-lost');
      else this.#closeTransit(hop.transit, 'next-hop-lost');
    }
  }

  expireIdle(): void {
    for (const transit of this.#labels.idleTransits(this.#context.env.clock.now())) this.#closeTransit(transit, 'idle');
  }

  #closeTransit(transit: Transit, reason: PathCloseReason): void {
    this.#labels.removeTransit(transit);
    const { upstream, upstreamLabel, downstream, downstreamLabel } = transit;
    this.sendControl(upstream, { kind: 'path-close', label: upstreamLabel, forward: false, reason });
    this.sendControl(downstream, { kind: 'path-close', label: downstreamLabel, forward: true, reason });
  }

  // ---------------------------------------------------------------- sending

  sendControl(neighbour: PeerId, frame: NeighbourFrame): void {
    this.#channelTo(neighbour)?.send(encodeNeighbourFrame(frame), { priority: 'urgent' });
  }

  sendData(neighbour: PeerId, header: Uint8Array, sealed: Uint8Array, priority: Priority): void {
    const channel = this.#channelTo(neighbour);
    if (channel !== undefined && !channel.send([header, sealed], { priority })) this.counters.dropped += 1;
  }

  // ---------------------------------------------------------------- receiving

  /** A data frame, whose header was checked to be whole. Only its label is rewritten. */
  onData(from: PeerId, frame: Uint8Array): void {
    const forward = frame[0] === DATA_FORWARD;
    const labels = forward ? this.#labels.incoming : this.#labels.outgoing;
    const hop = labels.get(from, dataLabel(frame));
    if (hop === undefined) {
      this.counters.unknownLabel += 1;
      return;
    }
    if ('end' in hop) {
      hop.end.deliverData(frame);
      return;
    }
    const { transit } = hop;
    transit.lastUsedAt = this.#context.env.clock.now();
    const to = forward ? transit.downstream : transit.upstream;
    setDataLabel(frame, forward ? transit.downstreamLabel : transit.upstreamLabel);
    const onForward = this.#context.relay?.onForward;
    if (onForward === undefined) {
      this.#forward(from, to, frame);
      return;
    }
    const lane = dataUrgent(frame) ? 'urgent' : 'normal';
    const verdict = onForward({ from, to, bytes: frame.length, lane });
    if (verdict === 'forward') this.#forward(from, to, frame);
    else if (verdict !== 'drop') {
      this.#context.env.clock.schedule(verdict.delayMs, () => this.#forward(from, to, frame));
    }
  }

  #forward(from: PeerId, to: PeerId, frame: Uint8Array): void {
    let egress = this.#egress.get(to);
    if (egress === undefined) {
      if (this.#channelTo(to) === undefined) return;
      egress = new Egress(() => this.#channelTo(to), this.#context.env.clock);
      this.#egress.set(to, egress);
    }
    this.counters.forwarded += 1;
    egress.push(from, frame, dataUrgent(frame));
  }

  onDrain(peer: PeerId): void {
    this.#egress.get(peer)?.pump();
  }

  onControl(from: PeerId, frame: PathFrame): void {
    const forward = frame.kind === 'path-continue' || (frame.kind === 'path-close' && frame.forward);
    const labels = forward ? this.#labels.incoming : this.#labels.outgoing;
    const hop = labels.get(from, frame.label);
    if (hop === undefined) {
      this.counters.unknownLabel += 1;
      return;
    }
    if ('end' in hop) {
      if (frame.kind === 'path-close') hop.end.deliverClose(frame.reason);
      else hop.end.deliverMessage(frame.message);
      return;
    }
    const { transit } = hop;
    const to = forward ? transit.downstream : transit.upstream;
    const label = forward ? transit.downstreamLabel : transit.upstreamLabel;
    if (frame.kind === 'path-close') this.#labels.removeTransit(transit);
    else transit.lastUsedAt = this.#context.env.clock.now();
    this.sendControl(to, { ...frame, label });
  }
}
