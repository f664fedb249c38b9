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
import { EgressMemory } from './egress-memory.js';
import { type LabelRefusal, LabelTable, type Transit } from './labels.js';
import { PathEnd, type PathHandler, type PathOutlet } from './path-end.js';
import type { NeighbourCounters, SwitchCounters } from './types.js';

type PathFrame = Extract<NeighbourFrame, { kind: 'path-reply' | 'path-continue' | 'path-close' }>;

const GONE: LabelRefusal = { reason: 'a neighbour is gone', value: 0, limit: 0 };

export class PathSwitch implements PathOutlet {
  readonly #context: MeshContext;
  readonly #memory = new EgressMemory();
  readonly #labels: LabelTable<PathEnd>;
  #forwarded = 0;
  #unknownLabel = 0;
  /** Of neighbours that are gone. */
  #dropped = 0;
  #expired = 0;

  constructor(context: MeshContext, channelTo: (peer: PeerId) => Channel | undefined) {
    this.#context = context;
    this.#labels = new LabelTable(peer => new Egress(() => channelTo(peer), context.env.clock, this.#memory));
  }

  get counters(): SwitchCounters {
    let [dropped, expired] = [this.#dropped, this.#expired];
    for (const { egress } of this.#labels.ports) {
      dropped += egress.counters.dropped;
      expired += egress.counters.expired;
    }
    return {
      forwarded: this.#forwarded,
      unknownLabel: this.#unknownLabel,
      dropped,
      expired,
      queuedBytes: this.#memory.bytes,
    };
  }

  get neighbours(): ReadonlyMap<PeerId, NeighbourCounters> {
    const counters = new Map<PeerId, NeighbourCounters>();
    for (const { peer, egress, incoming, controlReceivedBytes } of this.#labels.ports) {
      const { controlSentBytes, dropped, expired } = egress.counters;
      const queuedBytes = egress.heldBytes;
      const labels = incoming.size;
      counters.set(peer, { controlSentBytes, controlReceivedBytes, queuedBytes, dropped, expired, labels });
    }
    return counters;
  }

  // ---------------------------------------------------------------- making and unmaking

  /** A new path from here: a label for its first link. */
  addSource(peer: PeerId, route: readonly PeerId[], handler: PathHandler): PathEnd {
    const neighbour = route[0] ?? peer;
    const end = new PathEnd(this, { role: 'source', peer, route, neighbour, label: this.#labels.allot() }, handler);
    this.#labels.find(neighbour)?.outgoing.set(end.label, { end, transit: undefined });
    return end;
  }

  /** A path that ends here, or why there is no room for it. */
  addDestination(
    source: PeerId,
    route: readonly PeerId[],
    neighbour: PeerId,
    label: number,
  ): { readonly end: PathEnd } | LabelRefusal {
    const port = this.#labels.find(neighbour);
    if (port === undefined) return GONE;
    const refusal = this.#labels.refuses(source, port, label, this.#evict);
    if (refusal !== undefined) return refusal;
    const end = new PathEnd(this, { role: 'destination', peer: source, route, neighbour, label });
    port.incoming.set(label, { end, transit: undefined });
    return { end };
  }

  /** A path that passes through: the label of its next link, or why there is no room for it. */
  addTransit(
    source: PeerId,
    from: PeerId,
    upstreamLabel: number,
    to: PeerId,
  ): { readonly downstreamLabel: number } | LabelRefusal {
    const upstream = this.#labels.find(from);
    const downstream = this.#labels.find(to);
    if (upstream === undefined || downstream === undefined) return GONE;
    const refusal = this.#labels.refuses(source, upstream, upstreamLabel, this.#evict);
    if (refusal !== undefined) return refusal;
    const downstreamLabel = this.#labels.allot();
    const lastUsedAt = this.#context.env.clock.now();
    this.#labels.addTransit({ source, upstream, upstreamLabel, downstream, downstreamLabel, lastUsedAt });
    return { downstreamLabel };
  }

  forget(end: PathEnd): void {
    const port = this.#labels.find(end.neighbour);
    (end.role === 'source' ? port?.outgoing : port?.incoming)?.delete(end.label);
  }

  neighbourUp(peer: PeerId): void {
    this.#labels.add(peer);
  }

  /** The channel to a neighbour died: so did every path over it. */
  neighbourLost(peer: PeerId): void {
    const port = this.#labels.find(peer);
    if (port === undefined) return;
    port.egress.close();
    this.#dropped += port.egress.counters.dropped;
    this.#expired += port.egress.counters.expired;
    this.#labels.remove(port);
    for (const { end, transit } of [...port.incoming.values(), ...port.outgoing.values()]) {
      end?.deliverClose('next-hop-lost');
      if (transit !== undefined) this.#closeTransit(transit, 'next-hop-lost');
    }
  }

  /** Ends the paths of, and over, those who are no longer admitted. Their ends find others, or are told. */
  membershipChanged(): void {
    const { membership, env } = this.#context;
    const unix = env.clock.unix();
    const isGone = (peer: PeerId): boolean => !membership.isAdmitted(peer, unix);
    for (const { incoming, outgoing, transits } of this.#labels.ports) {
      for (const { end } of [...incoming.values(), ...outgoing.values()]) {
        if (end?.route.some(isGone) === true) end.abandon('next-hop-lost');
      }
      for (const [source, ofSource] of [...transits]) {
        if (isGone(source)) for (const transit of [...ofSource]) this.#closeTransit(transit, 'next-hop-lost');
      }
    }
  }

  expireIdle(): void {
    for (const transit of this.#labels.idleTransits(this.#context.env.clock.now())) this.#closeTransit(transit, 'idle');
  }

  readonly #evict = (transit: Transit<PathEnd>): void => this.#closeTransit(transit, 'limit');

  #closeTransit(transit: Transit<PathEnd>, reason: PathCloseReason): void {
    this.#labels.removeTransit(transit);
    const { upstream, upstreamLabel, downstream, downstreamLabel } = transit;
    this.sendControl(upstream.peer, { kind: 'path-close', label: upstreamLabel, forward: false, reason });
    this.sendControl(downstream.peer, { kind: 'path-close', label: downstreamLabel, forward: true, reason });
  }

  // ---------------------------------------------------------------- sending

  /** On behalf of a source behind an ingress, or of this node. */
  sendControl(
    neighbour: PeerId,
    frame: NeighbourFrame,
    from: PeerId = this.#context.self,
    source: PeerId = from,
  ): void {
    this.#labels.find(neighbour)?.egress.sendControl(from, source, encodeNeighbourFrame(frame));
  }

  sendData(neighbour: PeerId, header: Uint8Array, sealed: Uint8Array, priority: Priority): void {
    const { self } = this.#context;
    this.#labels.find(neighbour)?.egress.sendData(self, self, header, sealed, priority);
  }

  // ---------------------------------------------------------------- receiving

  /** A data frame, whose header was checked to be whole. Only its label is rewritten. */
  onData(from: PeerId, frame: Uint8Array): void {
    const forward = frame[0] === DATA_FORWARD;
    const port = this.#labels.find(from);
    const hop = (forward ? port?.incoming : port?.outgoing)?.get(dataLabel(frame));
    if (hop === undefined) {
      this.#unknownLabel += 1;
      return;
    }
    const { transit } = hop;
    if (transit === undefined) {
      hop.end?.deliverData(frame);
      return;
    }
    transit.lastUsedAt = this.#context.env.clock.now();
    setDataLabel(frame, forward ? transit.downstreamLabel : transit.upstreamLabel);
    if (this.#context.relay?.onForward === undefined) this.#forward(transit, forward, frame);
    else this.#askOperator(transit, forward, frame);
  }

  #askOperator(transit: Transit<PathEnd>, forward: boolean, frame: Uint8Array): void {
    const { upstream, downstream } = transit;
    const [from, to] = forward ? [upstream.peer, downstream.peer] : [downstream.peer, upstream.peer];
    const lane = dataUrgent(frame) ? 'urgent' : 'normal';
    const verdict = this.#context.relay?.onForward?.({ from, to, bytes: frame.length, lane }) ?? 'forward';
    if (verdict === 'forward') this.#forward(transit, forward, frame);
    else if (verdict !== 'drop') {
      this.#context.env.clock.schedule(verdict.delayMs, () => this.#forward(transit, forward, frame));
    }
  }

  #forward({ source, upstream, downstream }: Transit<PathEnd>, forward: boolean, frame: Uint8Array): void {
    const [from, to] = forward ? [upstream, downstream] : [downstream, upstream];
    this.#forwarded += 1;
    to.egress.sendData(from.peer, source, frame, undefined, dataUrgent(frame) ? 'urgent' : 'normal');
  }

  onDrain(peer: PeerId): void {
    this.#labels.find(peer)?.egress.pump();
  }

  /** Any control frame came, of so many bytes. */
  onControlBytes(from: PeerId, bytes: number): void {
    const port = this.#labels.find(from);
    if (port !== undefined) port.controlReceivedBytes += bytes;
  }

  onControl(from: PeerId, frame: PathFrame): void {
    const forward = frame.kind === 'path-continue' || (frame.kind === 'path-close' && frame.forward);
    const port = this.#labels.find(from);
    const hop = (forward ? port?.incoming : port?.outgoing)?.get(frame.label);
    if (hop === undefined) {
      this.#unknownLabel += 1;
      return;
    }
    const { end, transit } = hop;
    if (end !== undefined) {
      if (frame.kind === 'path-close') end.deliverClose(frame.reason);
      else end.deliverMessage(frame.message);
    }
    if (transit === undefined) return;
    const to = forward ? transit.downstream : transit.upstream;
    const label = forward ? transit.downstreamLabel : transit.upstreamLabel;
    if (frame.kind === 'path-close') this.#labels.removeTransit(transit);
    else transit.lastUsedAt = this.#context.env.clock.now();
    this.sendControl(to.peer, { ...frame, label }, from, transit.source);
  }
}
