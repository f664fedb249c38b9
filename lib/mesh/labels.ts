/**
 * The labels of one node. The upstream end of a link names a path on that link, so a label means something only together
 * with the neighbour and the direction: what a neighbour named is `incoming`, what this node named is `outgoing`. Each
 * leads to an end of the path here, or to the link on its other side.
 */
import type { Instant } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import type { Egress } from './egress.js';

/** A path that passes through this node. */
export interface Transit<End> {
  readonly source: PeerId;
  readonly upstream: Port<End>;
  readonly upstreamLabel: number;
  readonly downstream: Port<End>;
  readonly downstreamLabel: number;
  lastUsedAt: Instant;
}

/** Where a label leads: one of the two. */
export interface Hop<End> {
  readonly end: End | undefined;
  readonly transit: Transit<End> | undefined;
}

/** The link to one neighbour: the labels on it, and what waits for it. */
export interface Port<End> {
  readonly peer: PeerId;
  readonly egress: Egress;
  readonly incoming: Map<number, Hop<End>>;
  readonly outgoing: Map<number, Hop<End>>;
  /** Paths that pass through from here, by their source. */
  readonly transits: Map<PeerId, Set<Transit<End>>>;
  controlReceivedBytes: number;
}

/** Why there is no label: what is full, and how full. */
export interface LabelRefusal {
  readonly reason:
    | 'a neighbour is gone'
    | 'label taken'
    | 'too many labels of the source'
    | 'too many labels of the ingress';
  readonly value: number;
  readonly limit: number;
}

export class LabelTable<End> {
  readonly #ports = new Map<PeerId, Port<End>>();
  readonly #makeEgress: (peer: PeerId) => Egress;
  readonly #perSource = new Map<PeerId, number>();
  #nextLabel = 1;

  constructor(makeEgress: (peer: PeerId) => Egress) {
    this.#makeEgress = makeEgress;
  }

  get ports(): IterableIterator<Port<End>> {
    return this.#ports.values();
  }

  find(peer: PeerId): Port<End> | undefined {
    return this.#ports.get(peer);
  }

  add(peer: PeerId): void {
    const egress = this.#makeEgress(peer);
    const port = { peer, egress, incoming: new Map(), outgoing: new Map(), transits: new Map() };
    this.#ports.set(peer, { ...port, controlReceivedBytes: 0 });
  }

  remove(port: Port<End>): void {
    this.#ports.delete(port.peer);
  }

  /** Labels that this node names are never used twice in its life, so a late frame cannot reach a newer path. */
  allot(): number {
    const label = this.#nextLabel;
    this.#nextLabel = label >= 0xffff_ffff ? 1 : label + 1;
    return label;
  }

  /**
   * Whether this ingress may name one more path of this source: undefined, or why not. On a full ingress the sources share
   * the labels: `evict` is called with the path that was idle for longest of the source that has most, when that has more
   * than this one would have. So no number of sources fills an ingress for others.
   */
  refuses(
    source: PeerId,
    ingress: Port<End>,
    label: number,
    evict: (transit: Transit<End>) => void,
  ): LabelRefusal | undefined {
    if (ingress.incoming.has(label)) return { reason: 'label taken', value: 1, limit: 1 };
    const ofSource = this.#perSource.get(source) ?? 0;
    if (ofSource >= LIMITS.maxLabelsPerSource)
      return { reason: 'too many labels of the source', value: ofSource, limit: LIMITS.maxLabelsPerSource };
    const value = ingress.incoming.size;
    if (value < LIMITS.maxLabelsPerIngress) return undefined;
    const victim = leastUsedOfLargest(ingress, source);
    if (victim === undefined)
      return { reason: 'too many labels of the ingress', value, limit: LIMITS.maxLabelsPerIngress };
    evict(victim);
    return undefined;
  }

  addTransit(transit: Transit<End>): void {
    const { source, upstream, downstream } = transit;
    const hop = { end: undefined, transit };
    upstream.incoming.set(transit.upstreamLabel, hop);
    downstream.outgoing.set(transit.downstreamLabel, hop);
    const ofSource = upstream.transits.get(source);
    if (ofSource === undefined) upstream.transits.set(source, new Set([transit]));
    else ofSource.add(transit);
    this.#perSource.set(source, (this.#perSource.get(source) ?? 0) + 1);
  }

  removeTransit(transit: Transit<End>): void {
    const { source, upstream, downstream } = transit;
    upstream.incoming.delete(transit.upstreamLabel);
    downstream.outgoing.delete(transit.downstreamLabel);
    const ofSource = upstream.transits.get(source);
    ofSource?.delete(transit);
    if (ofSource?.size === 0) upstream.transits.delete(source);
    const left = (this.#perSource.get(source) ?? 1) - 1;
    if (left > 0) this.#perSource.set(source, left);
    else this.#perSource.delete(source);
  }

  idleTransits(now: Instant): readonly Transit<End>[] {
    const idle: Transit<End>[] = [];
    for (const port of this.#ports.values())
      for (const transits of port.transits.values())
        for (const transit of transits) if (now - transit.lastUsedAt > LIMITS.labelIdleMs) idle.push(transit);
    return idle;
  }
}

/** Undefined unless another source keeps as many as this one would have. */
function leastUsedOfLargest<End>({ transits }: Port<End>, source: PeerId): Transit<End> | undefined {
  let most: Set<Transit<End>> | undefined;
  for (const ofSource of transits.values()) if (ofSource.size > (most?.size ?? 0)) most = ofSource;
  if (most === undefined || most.size <= (transits.get(source)?.size ?? 0) + 1) return undefined;
  let least: Transit<End> | undefined;
  for (const transit of most) if (least === undefined || transit.lastUsedAt < least.lastUsedAt) least = transit;
  return least;
}
