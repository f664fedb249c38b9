/**
 * The labels of one node. The upstream end of a link names a path on that link, so a label means something only together
 * with the neighbour and the direction: what a neighbour named is `incoming`, what this node named is `outgoing`. Each
 * leads to an end of the path here, or to the link on its other side.
 */
import type { Instant } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';

/** A path that passes through this node. */
export interface Transit {
  readonly source: PeerId;
  readonly upstream: PeerId;
  readonly upstreamLabel: number;
  readonly downstream: PeerId;
  readonly downstreamLabel: number;
  lastUsedAt: Instant;
}

export type Hop<End> = { readonly end: End } | { readonly transit: Transit };

class Labels<End> {
  readonly #byNeighbour = new Map<PeerId, Map<number, Hop<End>>>();

  get(neighbour: PeerId, label: number): Hop<End> | undefined {
    return this.#byNeighbour.get(neighbour)?.get(label);
  }

  set(neighbour: PeerId, label: number, hop: Hop<End>): void {
    let labels = this.#byNeighbour.get(neighbour);
    if (labels === undefined) {
      labels = new Map();
      this.#byNeighbour.set(neighbour, labels);
    }
    labels.set(label, hop);
  }

  delete(neighbour: PeerId, label: number): void {
    const labels = this.#byNeighbour.get(neighbour);
    labels?.delete(label);
    if (labels?.size === 0) this.#byNeighbour.delete(neighbour);
  }

  count(neighbour: PeerId): number {
    return this.#byNeighbour.get(neighbour)?.size ?? 0;
  }

  of(neighbour: PeerId): readonly Hop<End>[] {
    return [...(this.#byNeighbour.get(neighbour)?.values() ?? [])];
  }

  *all(): IterableIterator<Hop<End>> {
    for (const labels of this.#byNeighbour.values()) yield* labels.values();
  }
}

export class LabelTable<End> {
  readonly incoming: Labels<End> = new Labels<End>();
  readonly outgoing: Labels<End> = new Labels<End>();
  readonly #perSource = new Map<PeerId, number>();
  #nextLabel = 1;

  /** Labels that this node names are never used twice in its life, so a late frame cannot reach a newer path. */
  allot(): number {
    const label = this.#nextLabel;
    this.#nextLabel = label >= 0xffff_ffff ? 1 : label + 1;
    return label;
  }

  hasRoomFor(source: PeerId, ingress: PeerId): boolean {
    return (
      this.incoming.count(ingress) < LIMITS.maxLabelsPerIngress &&
      (this.#perSource.get(source) ?? 0) < LIMITS.maxLabelsPerSource
    );
  }

  addTransit(transit: Transit): void {
    this.incoming.set(transit.upstream, transit.upstreamLabel, { transit });
    this.outgoing.set(transit.downstream, transit.downstreamLabel, { transit });
    this.#perSource.set(transit.source, (this.#perSource.get(transit.source) ?? 0) + 1);
  }

  removeTransit(transit: Transit): void {
    this.incoming.delete(transit.upstream, transit.upstreamLabel);
    this.outgoing.delete(transit.downstream, transit.downstreamLabel);
    const left = (this.#perSource.get(transit.source) ?? 1) - 1;
    if (left > 0) this.#perSource.set(transit.source, left);
    else this.#perSource.delete(transit.source);
  }

  idleTransits(now: Instant): readonly Transit[] {
    const idle: Transit[] = [];
    for (const hop of this.incoming.all()) {
      if ('transit' in hop && now - hop.transit.lastUsedAt > LIMITS.labelIdleMs) idle.push(hop.transit);
    }
    return idle;
  }
}
