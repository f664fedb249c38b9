/**
 * Loss of one lane of one route (overlay.md point 8, bar R2): the sequential test, and beside it windows of 10 s, 60 s and
 * 10 min, which say what share was lost. Each window is a ring of ten slots. It outlives the set-up of a path, so that a
 * relay cannot clear its record by closing the path.
 */
import { LossTest } from './loss-test.js';

const SLOTS = 10;
const MAX_ROUTES = 64;

export interface LossVerdict {
  readonly share: number;
  readonly threshold: number;
  readonly windowMs: number;
}

export interface LossWindow {
  readonly windowMs: number;
  readonly sent: number;
  readonly lost: number;
}

/** Share of loss that is tolerated and the least number of losses that prove anything, for each window. */
const WINDOWS = [
  { windowMs: 10_000, share: 0.1, minLost: 5 },
  { windowMs: 60_000, share: 0.03, minLost: 8 },
  { windowMs: 600_000, share: 0.007, minLost: 20 },
] as const;

class Window {
  readonly #slotMs: number;
  readonly #sent = new Float64Array(SLOTS);
  readonly #lost = new Float64Array(SLOTS);
  #slot = 0;

  constructor(windowMs: number) {
    this.#slotMs = windowMs / SLOTS;
  }

  count(nowMs: number, sent: number, lost: number): void {
    const slot = Math.floor(nowMs / this.#slotMs);
    if (slot - this.#slot >= SLOTS) {
      this.#sent.fill(0);
      this.#lost.fill(0);
    } else {
      for (let s = this.#slot + 1; s <= slot; s++) {
        this.#sent[s % SLOTS] = 0;
        this.#lost[s % SLOTS] = 0;
      }
    }
    this.#slot = slot;
    const at = slot % SLOTS;
    this.#sent[at] = (this.#sent[at] ?? 0) + sent;
    this.#lost[at] = (this.#lost[at] ?? 0) + lost;
  }

  get sent(): number {
    return this.#sent.reduce((sum, n) => sum + n, 0);
  }

  get lost(): number {
    return this.#lost.reduce((sum, n) => sum + n, 0);
  }
}

export class LossMeter {
  readonly test: LossTest = new LossTest();
  readonly #windows = WINDOWS.map(limit => ({ limit, counts: new Window(limit.windowMs) }));

  sent(nowMs: number): void {
    for (const { counts } of this.#windows) counts.count(nowMs, 1, 0);
  }

  arrived(): void {
    this.test.arrived();
  }

  /** A packet that was counted as sent turned out lost; those sent within `togetherMs` are one event for the test. */
  lost(sentAtMs: number, nowMs: number, togetherMs: number): void {
    this.test.lost(sentAtMs, togetherMs);
    for (const { counts } of this.#windows) counts.count(nowMs, 0, 1);
  }

  /** What was sent and lost in each window, for explanations. */
  get windows(): readonly LossWindow[] {
    return this.#windows.map(({ limit, counts }) => ({
      windowMs: limit.windowMs,
      sent: counts.sent,
      lost: counts.lost,
    }));
  }

  /** The first window whose loss is above what it tolerates. */
  verdict(): LossVerdict | undefined {
    for (const { limit, counts } of this.#windows) {
      const { lost } = counts;
      if (lost < limit.minLost) continue;
      const share = lost / Math.max(counts.sent, 1);
      if (share > limit.share) return { share, threshold: limit.share, windowMs: limit.windowMs };
    }
    return undefined;
  }
}

export interface RouteLosses {
  readonly urgent: LossMeter;
  readonly normal: LossMeter;
}

/** What routes lost, those of closed paths included; the one that was set up longest ago is forgotten first. */
export class LossHistory {
  readonly #routes = new Map<string, RouteLosses>();

  of(route: string): RouteLosses {
    const losses = this.#routes.get(route) ?? { urgent: new LossMeter(), normal: new LossMeter() };
    this.#routes.delete(route);
    this.#routes.set(route, losses);
    if (this.#routes.size > MAX_ROUTES) {
      for (const oldest of this.#routes.keys()) {
        this.#routes.delete(oldest);
        break;
      }
    }
    return losses;
  }
}
