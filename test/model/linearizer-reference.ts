/**
 * The linearizer of docs/order.md, transcribed rule by rule without any regard for speed: the oracle of lib/order.
 * It shares nothing with it but the two hash functions.
 */
import { compareBytes, fromUtf8, Writer } from '../../lib/bytes.js';
import type { CryptoProvider } from '../../lib/crypto/interface.js';
import { batchSeed } from '../../lib/order/arrangement.js';
import type { PinnedCommittee } from '../../lib/order/committee.js';
import type { FactsOf, FinalCut } from '../../lib/order/linearizer-io.js';
import { taggedHash } from '../../lib/order/tagged-hash.js';
import type { OrderFacts, OrderId } from '../../lib/order/types.js';

interface Listing {
  readonly position: number;
  readonly time: number;
}

export class ReferenceLinearizer {
  readonly #crypto: CryptoProvider;
  readonly #committee: PinnedCommittee;
  readonly #lanes: Map<OrderId, Listing>[];
  readonly #facts = new Map<OrderId, OrderFacts>();
  readonly #emitted = new Set<OrderId>();
  readonly #gone = new Set<OrderId>();
  readonly #last = new Map<string, OrderFacts>();
  readonly #ready = new Map<OrderId, { k: number; T: number }>();
  readonly #window = new Map<OrderId, number>();
  readonly #debited = new Set<OrderId>();
  readonly #debits = new Map<string, number[]>();
  #closedWindow = -1;

  constructor(crypto: CryptoProvider, committee: PinnedCommittee) {
    this.#crypto = crypto;
    this.#committee = committee;
    this.#lanes = committee.publicKeys.map(() => new Map());
  }

  /** The batch of this cut in its final order. */
  apply(cut: FinalCut, factsOf: FactsOf, secretOf: (id: OrderId) => Uint8Array): OrderId[] {
    const { n, f } = this.#committee.tolerance;
    const { holdCuts: W, holdMs: H, profile, auctionWindowMs } = this.#committee.parameters;
    const { height: k, time: T } = cut;
    cut.lanes.forEach((listings, v) => {
      const lane = this.#lanes[v] as Map<OrderId, Listing>;
      for (const { id, time } of listings) {
        if (!lane.has(id)) lane.set(id, { position: lane.size, time });
        this.#facts.set(id, factsOf(id) as OrderFacts);
      }
    });
    const heads = [...cut.headTimes].sort((a, b) => b - a);
    const end = Math.min(heads[n - f - 1] as number, T - H);
    while ((this.#closedWindow + 2) * auctionWindowMs <= end) this.#closedWindow++;

    this.#findGoneAndReady(k, T);
    const L = [...this.#facts.keys()].filter(id => !this.#emitted.has(id) && !this.#gone.has(id));
    const inWindow = (id: OrderId) =>
      profile === 'continuous' || (this.#window.get(id) as number) <= this.#closedWindow;
    const R = L.filter(id => this.#ready.has(id));
    const eligible = R.filter(inWindow);
    const holds = (a: OrderId) => this.#ready.has(a) || this.#hasCredit(a, T);

    const C = new Set(eligible);
    for (let stable = false; !stable; ) {
      const dropped = [...C].filter(b => L.some(a => !C.has(a) && this.#pre(a, b) && holds(a)));
      for (const b of dropped) C.delete(b);
      stable = dropped.length === 0;
    }
    const late = eligible.filter(b => {
      const since = this.#ready.get(b) as { k: number; T: number };
      return !C.has(b) && k - since.k >= W && T - since.T >= H;
    });
    for (const a of L) {
      if (this.#ready.has(a) || this.#debited.has(a) || !late.some(b => this.#pre(a, b))) continue;
      this.#debited.add(a);
      const { sender } = this.#factsOf(a);
      this.#debits.set(sender, [...(this.#debits.get(sender) ?? []), T].slice(-8));
    }
    for (const b of late) C.add(b);
    if (late.length > 0)
      for (let stable = false; !stable; ) {
        const added = R.filter(a => !C.has(a) && [...C].some(b => this.#pre(a, b)));
        for (const a of added) C.add(a);
        stable = added.length === 0;
      }

    const batch = this.#withoutDoubles([...C]);
    const ordered = this.#order(batch, cut, secretOf);
    for (const id of batch) {
      this.#emitted.add(id);
      const facts = this.#factsOf(id);
      const last = this.#last.get(this.#stream(id));
      if (last === undefined || last.sequence < facts.sequence) this.#last.set(this.#stream(id), facts);
    }
    return ordered;
  }

  #factsOf(id: OrderId): OrderFacts {
    return this.#facts.get(id) as OrderFacts;
  }

  #stream(id: OrderId): string {
    const { sender, stream } = this.#factsOf(id);
    return `${sender}\n${stream}`;
  }

  #positionOf(id: OrderId, v: number): number {
    return this.#lanes[v]?.get(id)?.position ?? Infinity;
  }

  #times(id: OrderId): number[] {
    return this.#lanes.flatMap(lane => lane.get(id)?.time ?? []).sort((a, b) => a - b);
  }

  /** n(x, y) */
  #lanesBefore(x: OrderId, y: OrderId): number {
    return this.#lanes.filter((_, v) => this.#positionOf(x, v) < this.#positionOf(y, v)).length;
  }

  #pre(a: OrderId, b: OrderId): boolean {
    return this.#factsOf(b).prev === a || this.#lanesBefore(b, a) <= this.#committee.tolerance.f;
  }

  #hasCredit(a: OrderId, T: number): boolean {
    const times = this.#debits.get(this.#factsOf(a).sender) ?? [];
    if (times.length < 8) return true;
    return (times[7] as number) - (times[0] as number) >= 60_000 || T - (times[7] as number) >= 60_000;
  }

  #findGoneAndReady(k: number, T: number): void {
    const { n, f } = this.#committee.tolerance;
    const open = [...this.#facts.keys()].filter(id => !this.#emitted.has(id) && !this.#gone.has(id));
    for (const id of open.sort((a, b) => this.#factsOf(a).sequence - this.#factsOf(b).sequence)) {
      if (this.#times(id).length <= f) continue; // nobody need know yet what it is
      const { prev, sequence, expiry } = this.#factsOf(id);
      const last = this.#last.get(this.#stream(id));
      const before = prev === undefined ? undefined : this.#facts.get(prev);
      const complete =
        prev === undefined ||
        (last?.id === prev && last.sequence + 1 === sequence) ||
        (before !== undefined &&
          this.#ready.has(prev) &&
          !this.#emitted.has(prev) &&
          this.#stream(prev) === this.#stream(id) &&
          before.sequence + 1 === sequence);
      if (last !== undefined && sequence <= last.sequence) this.#gone.add(id);
      else if (prev !== undefined && this.#gone.has(prev)) this.#gone.add(id);
      else if (this.#ready.has(id)) continue;
      else if (this.#times(id).length >= n - f && complete) {
        this.#ready.set(id, { k, T });
        this.#window.set(id, this.#windowOf(id, prev));
      } else if (T > expiry) this.#gone.add(id);
    }
  }

  #windowOf(id: OrderId, prev: OrderId | undefined): number {
    const times = this.#times(id);
    const own = Math.floor((times[(times.length - 1) >> 1] as number) / this.#committee.parameters.auctionWindowMs);
    const before = prev === undefined || this.#emitted.has(prev) ? 0 : (this.#window.get(prev) ?? 0);
    return Math.max(own, this.#closedWindow + 1, before);
  }

  #withoutDoubles(chosen: readonly OrderId[]): OrderId[] {
    const median = (id: OrderId) => this.#times(id)[(this.#times(id).length - 1) >> 1] as number;
    const key = (id: OrderId) => [this.#ready.get(id)?.k as number, median(id)] as const;
    const first = (a: OrderId, b: OrderId) => key(a)[0] - key(b)[0] || key(a)[1] - key(b)[1] || (a < b ? -1 : 1);
    const batch: OrderId[] = [];
    const sequences = [...new Set(chosen.map(id => this.#factsOf(id).sequence))].sort((a, b) => a - b);
    for (const sequence of sequences) {
      const rivals = new Map<string, OrderId[]>();
      for (const id of chosen.filter(other => this.#factsOf(other).sequence === sequence)) {
        const { prev } = this.#factsOf(id);
        if (prev !== undefined && this.#gone.has(prev)) this.#gone.add(id);
        else rivals.set(this.#stream(id), [...(rivals.get(this.#stream(id)) ?? []), id]);
      }
      for (const ids of rivals.values()) {
        const [taken, ...doubles] = ids.sort(first);
        batch.push(taken as OrderId);
        for (const id of doubles) this.#gone.add(id);
      }
    }
    return batch;
  }

  #order(batch: readonly OrderId[], cut: FinalCut, secretOf: (id: OrderId) => Uint8Array): OrderId[] {
    const { networkId, epoch } = this.#committee.descriptor;
    const { profile } = this.#committee.parameters;
    const context = { networkId, epoch, cutHash: cut.hash };
    const seed = batchSeed(
      this.#crypto,
      context,
      batch.map(id => ({ id, secret: secretOf(id) })),
    );
    const edge = (a: OrderId, b: OrderId): boolean => {
      if (this.#factsOf(b).prev === a) return true;
      if (this.#factsOf(a).prev === b) return false;
      return this.#lanesBefore(a, b) > this.#lanesBefore(b, a);
    };
    const linked = (a: OrderId, b: OrderId): boolean =>
      edge(a, b) || (profile === 'auction' && a !== b && this.#window.get(a) === this.#window.get(b));
    const reach = new Map(batch.map(a => [a, new Set([a, ...batch.filter(b => b !== a && linked(a, b))])]));
    for (const via of batch)
      for (const from of reach.values()) if (from.has(via)) for (const to of reach.get(via) ?? []) from.add(to);
    const reaches = (a: OrderId, b: OrderId) => reach.get(a)?.has(b) === true;
    const componentOf = (a: OrderId) => batch.filter(b => reaches(a, b) && reaches(b, a));
    const components = [...new Map(batch.map(a => [componentOf(a).sort().join(), componentOf(a)])).values()];
    const keyed = components.map(component => this.#keyed(component, seed));
    const out: OrderId[] = [];
    while (keyed.length > 0) {
      const ready = keyed.filter(b => !keyed.some(a => a !== b && reaches(a[0]?.id as OrderId, b[0]?.id as OrderId)));
      const next = ready.reduce((a, b) => (compare(a[0] as Keyed, b[0] as Keyed) < 0 ? a : b));
      keyed.splice(keyed.indexOf(next), 1);
      out.push(...next.map(({ id }) => id));
    }
    return out;
  }

  #keyed(component: readonly OrderId[], seed: Uint8Array): Keyed[] {
    const { profile, epsilonMs } = this.#committee.parameters;
    const bucket = (id: OrderId): number => {
      const { prev } = this.#factsOf(id);
      const times = this.#times(id);
      const median = times[(times.length - 1) >> 1] as number;
      const own = profile === 'auction' ? (this.#window.get(id) as number) : Math.floor(median / epsilonMs);
      return prev !== undefined && component.includes(prev) ? Math.max(own, bucket(prev)) : own;
    };
    return component
      .map((id): Keyed => {
        const { sender, sequence } = this.#factsOf(id);
        const rank = component.filter(other => {
          const facts = this.#factsOf(other);
          return facts.sender === sender && (facts.sequence < sequence || (facts.sequence === sequence && other < id));
        }).length;
        const draw = new Writer().u32(rank).raw(fromUtf8(sender)).finish();
        return { id, bucket: bucket(id), rank, drawn: taggedHash(this.#crypto, 'tie-key', seed, draw) };
      })
      .sort(compare);
  }
}

interface Keyed {
  readonly id: OrderId;
  readonly bucket: number;
  readonly rank: number;
  readonly drawn: Uint8Array;
}

const compare = (a: Keyed, b: Keyed): number =>
  a.bucket - b.bucket || a.rank - b.rank || compareBytes(a.drawn, b.drawn) || (a.id < b.id ? -1 : 1);
