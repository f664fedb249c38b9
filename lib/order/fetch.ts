/** Which orders and chunks are missing here, whom to ask for them, and when to ask again. */
import { after, type Instant } from '../env.js';
import { LIMITS } from '../limits.js';
import { earliest } from '../machine.js';
import type { OrderId, ValidatorIndex } from './types.js';

interface Want {
  readonly sources: ValidatorIndex[];
  asked: number;
  askAt: Instant;
  readonly until: Instant | undefined;
  /** The lane against whose bound it counts. */
  readonly lane: ValidatorIndex;
}

/** Bodies of listed orders: first from whoever listed them first, then from the next lister. */
export class BodyFetcher {
  readonly #wants = new Map<OrderId, Want>();
  readonly #outstanding = new Map<ValidatorIndex, number>();
  readonly #n: number;
  readonly #self: ValidatorIndex;
  readonly #graceMs: number;
  readonly #retryMs: number;
  readonly #forgetMs: number;

  /** `graceMs`: an order usually comes from its sender just after somebody listed it. */
  constructor(
    n: number,
    self: ValidatorIndex,
    times: { readonly graceMs: number; readonly retryMs: number; readonly forgetMs: number },
  ) {
    this.#n = n;
    this.#self = self;
    this.#graceMs = times.graceMs;
    this.#retryMs = times.retryMs;
    this.#forgetMs = times.forgetMs;
  }

  isWanted(id: OrderId): boolean {
    return this.#wants.has(id);
  }

  /** A lane lists an order that is not held. Above the lane's bound it is not asked for, unless it is required later. */
  listed(id: OrderId, lane: ValidatorIndex, now: Instant): void {
    const want = this.#wants.get(id);
    if (want !== undefined) {
      if (!want.sources.includes(lane)) want.sources.push(lane);
      return;
    }
    const outstanding = this.#outstanding.get(lane) ?? 0;
    if (outstanding >= LIMITS.maxLaneFetches) return;
    this.#outstanding.set(lane, outstanding + 1);
    const until = after(now, this.#forgetMs);
    this.#wants.set(id, { sources: [lane], asked: 0, askAt: after(now, this.#graceMs), until, lane });
  }

  /** The order stands in more than f lanes of a final cut: nothing goes on without it, and an honest member has it. */
  require(id: OrderId, now: Instant): void {
    if (this.#wants.get(id)?.until === undefined && this.#wants.has(id)) return;
    const known = this.#wants.get(id)?.sources ?? [];
    const others = Array.from({ length: this.#n }, (_, i) => (this.#self + 1 + i) % this.#n);
    const sources = [...new Set([...known, ...others])].filter(index => index !== this.#self);
    this.done(id);
    this.#wants.set(id, { sources, asked: 0, askAt: now, until: undefined, lane: this.#self });
  }

  done(id: OrderId): void {
    const want = this.#wants.get(id);
    if (want === undefined) return;
    this.#wants.delete(id);
    if (want.until !== undefined) this.#outstanding.set(want.lane, (this.#outstanding.get(want.lane) ?? 1) - 1);
  }

  /** What to ask now, and whom. */
  due(now: Instant): ReadonlyMap<ValidatorIndex, readonly OrderId[]> {
    const asks = new Map<ValidatorIndex, OrderId[]>();
    for (const [id, want] of this.#wants) {
      if (want.until !== undefined && now >= want.until) this.done(id);
      else if (now >= want.askAt) {
        const source = want.sources[want.asked % want.sources.length];
        const ids = source === undefined ? undefined : (asks.get(source) ?? []);
        if (source === undefined || ids === undefined || ids.length >= LIMITS.maxBatchOrders) continue;
        want.asked++;
        want.askAt = after(now, this.#retryMs);
        ids.push(id);
        asks.set(source, ids);
      }
    }
    return asks;
  }

  nextDeadline(): Instant | undefined {
    return earliest(...[...this.#wants.values()].map(({ askAt }) => askAt));
  }
}

/** Remembers when something was last asked for, so that it is not asked for again before `retryMs` are over. */
export class AskedRecently {
  readonly #retryMs: number;
  readonly #asked = new Map<string, { readonly until: Instant; times: number }>();

  constructor(retryMs: number) {
    this.#retryMs = retryMs;
  }

  /** How often it was asked for before, or undefined when it is too early to ask again. */
  ask(what: string, now: Instant): number | undefined {
    const last = this.#asked.get(what);
    if (last !== undefined && now < last.until) return undefined;
    if (this.#asked.size > LIMITS.maxMessageParts) this.#asked.clear();
    const times = last === undefined ? 0 : last.times + 1;
    this.#asked.set(what, { until: after(now, this.#retryMs), times });
    return times;
  }
}
