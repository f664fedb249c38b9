/**
 * The list of its edges that this node signs: when a new one is due, and under which number (overlay.md point 2). A burst
 * of three, then one per five seconds, whatever happens to its channels.
 */
import { Reader, Writer } from '../bytes.js';
import type { Cancel, Instant } from '../env.js';
import { after } from '../env.js';
import { HopfairError } from '../errors.js';
import type { PeerId } from '../identity/peer-id.js';
import { isMaterial, type VerifiedLinkState, verifiedLinkState } from '../route/index.js';
import { type Edge, encodeLinkState, type LinkState } from '../wire/index.js';
import type { FloodContext } from './context.js';

export interface OwnListHost {
  /** The present edges of this node and their costs. */
  edges(): readonly Edge[];
  /** What a neighbour says about its edge to this node. */
  claimOf(neighbour: PeerId): number | undefined;
  publish(list: VerifiedLinkState): void;
}

/** Waits before the first, second, third list of a burst: the more of them, the more changes go into one. */
const BURST_DELAYS_MS = [20, 100, 500] as const;
const BURST = BURST_DELAYS_MS.length;
const SUSTAINED_MS = 5_000;
/** A refresh comes between 0.8 of this and all of it. */
const REFRESH_MS = 60_000;
const REFRESH_SPREAD = 0.2;
/** The epoch of the last run, as 8 bytes: the next one takes a higher one, though its clock may have gone back. */
const STORE_RECORD = 'link-state-epoch';
/** The first one comes at any time before: nodes that started together do not refresh together. */
const FIRST_REFRESH_SPREAD = 1;

export class OwnList {
  readonly #context: FloodContext;
  readonly #host: OwnListHost;
  #epoch: number;
  #sequence = 0;
  #tokens: number = BURST;
  #filledAt: Instant;
  #refreshAt: Instant | undefined;
  #cancel: Cancel | undefined;
  #advertised: readonly Edge[] = [];

  constructor(context: FloodContext, host: OwnListHost) {
    this.#context = context;
    this.#host = host;
    this.#epoch = Math.max(context.env.clock.unix(), storedEpoch(context) + 1);
    this.#storeEpoch();
    this.#filledAt = context.env.clock.now();
  }

  /** The edges are others than those of the last list. */
  edgesChanged(): void {
    if (this.#cancel !== undefined) return;
    this.#cancel = this.#context.env.clock.schedule(this.#delayMs(), () => {
      this.#cancel = undefined;
      this.#sign();
    });
  }

  /** An earlier run of this node, with a clock ahead of the present one, has signed under this epoch. */
  outbid(epoch: number): void {
    this.#epoch = Math.max(this.#epoch, epoch + 1);
    this.#storeEpoch();
    this.edgesChanged();
  }

  /** Once a second: a cost that drifted is worth a list now, everything else waits for the refresh. */
  poll(now: Instant): void {
    if (this.#cancel !== undefined) return;
    if ((this.#refreshAt !== undefined && now > this.#refreshAt) || this.#hasDrifted()) this.edgesChanged();
  }

  close(): void {
    this.#cancel?.();
  }

  /** Nobody waits for the disk: a node whose epoch was lost hears of its own newer list, and outbids it. */
  #storeEpoch(): void {
    const { store, env } = this.#context;
    store?.set(STORE_RECORD, new Writer(8).u64(this.#epoch).finish(), failure => {
      if (failure !== undefined) env.log.error('link-state-epoch-not-stored', { cause: failure.message });
    });
  }

  #delayMs(): number {
    const now = this.#context.env.clock.now();
    this.#tokens = Math.min(BURST, this.#tokens + (now - this.#filledAt) / SUSTAINED_MS);
    this.#filledAt = now;
    return BURST_DELAYS_MS[BURST - Math.floor(this.#tokens)] ?? Math.max(1, (1 - this.#tokens) * SUSTAINED_MS);
  }

  #sign(): void {
    const { self, identity, env, relay } = this.#context;
    this.#delayMs(); // fills the tokens up to now
    this.#tokens = Math.max(0, this.#tokens - 1);
    const spread = this.#sequence === 0 ? FIRST_REFRESH_SPREAD : REFRESH_SPREAD;
    this.#refreshAt = after(env.clock.now(), REFRESH_MS * (1 - spread * env.rng.float()));
    this.#advertised = this.#host.edges();
    const list: LinkState = {
      origin: self,
      epoch: this.#epoch,
      sequence: ++this.#sequence,
      relay: relay !== undefined,
      edges: this.#advertised,
    };
    const body = encodeLinkState(list);
    this.#host.publish(verifiedLinkState(list, body, identity.sign('link-state', list.epoch, body)));
  }

  /**
   * The larger of both claims is the cost, so one end's list is enough when a link gets slow. When it gets fast again, the
   * end with the larger claim lowers it first.
   */
  #hasDrifted(): boolean {
    const costs = new Map(this.#host.edges().map(edge => [edge.peer, edge.costMs]));
    return this.#advertised.some(({ peer, costMs }) => {
      const measuredMs = costs.get(peer);
      if (measuredMs === undefined) return false;
      const theirsMs = this.#host.claimOf(peer) ?? 0;
      if (measuredMs < costMs) return costMs >= theirsMs && isMaterial(costMs, measuredMs);
      return isMaterial(Math.max(costMs, theirsMs), Math.max(measuredMs, theirsMs));
    });
  }
}

function storedEpoch({ store, env }: FloodContext): number {
  const record = store?.get(STORE_RECORD);
  if (record === undefined) return 0;
  try {
    const reader = new Reader(record);
    const epoch = reader.u64();
    reader.end();
    return epoch;
  } catch (error) {
    if (!(error instanceof HopfairError)) throw error;
    env.log.error('link-state-epoch-unreadable', { cause: error.message });
    return 0;
  }
}
