/**
 * Asks for what a subscription missed: one who may hold it after the other, until it came or nobody has it. It sends
 * nothing by itself and has no timer: the subscription does what it says (overlay.md point 19).
 */
import { after, type Instant } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';

export interface FillHost {
  /** Who may hold it, the best first; the publisher is the first of them. */
  sources(): readonly PeerId[];
  rttMs(peer: PeerId): number | undefined;
  ask(source: PeerId, from: number, to: number): void;
}

/** How long an answer takes beyond what the way takes; and where nothing was measured, a handshake included. */
const ANSWER_MS = 50;
const UNMEASURED_ANSWER_MS = 1_000;
const MAX_ANSWER_MS = 5_000;
/** Who let so many requests go unanswered counts as not having it. */
const SILENT_AFTER = 2;

export class GapFill {
  readonly #host: FillHost;
  /** By source: up to where it says that it holds nothing. */
  readonly #gone = new Map<PeerId, number>();
  readonly #unanswered = new Map<PeerId, number>();
  #to = 0;
  #source: PeerId | undefined;
  #deadline: Instant | undefined;

  constructor(host: FillHost) {
    this.#host = host;
  }

  /** Whether anything is missing. */
  get active(): boolean {
    return this.#to > 0;
  }

  get deadline(): Instant | undefined {
    return this.#deadline;
  }

  /** From `next` up to `to` is missing. */
  want(next: number, to: number, now: Instant): void {
    if (to <= this.#to) return;
    const isAsking = this.#source !== undefined;
    const from = isAsking ? Math.max(next, this.#to + 1) : next;
    this.#to = to;
    if (this.#source !== undefined) this.#host.ask(this.#source, from, to);
    else this.#ask(next, now);
  }

  /** What comes next is `next` now. */
  onProgress(next: number, now: Instant): void {
    if (!this.active) return;
    this.#unanswered.clear();
    if (next > this.#to) this.reset();
    else if (this.#source !== undefined) this.#wait(this.#source, now);
    else this.#ask(next, now);
  }

  /** A source does not hold `next` to `to`. Returns up to where nobody does; undefined while somebody may. */
  onUnavailable(source: PeerId, next: number, to: number, now: Instant): number | undefined {
    if (!this.active) return undefined;
    this.#gone.set(source, Math.max(to, this.#gone.get(source) ?? 0));
    if (source === this.#source) this.#ask(next, now);
    return this.#lostUpTo(next);
  }

  /** Time passed. Returns up to where nobody has it; undefined while somebody may. */
  tick(next: number, now: Instant): number | undefined {
    if (this.#deadline === undefined || now < this.#deadline) return undefined;
    if (this.#source !== undefined) {
      this.#unanswered.set(this.#source, (this.#unanswered.get(this.#source) ?? 0) + 1);
    }
    this.#ask(next, now);
    return this.#lostUpTo(next);
  }

  reset(): void {
    this.#to = 0;
    this.#source = undefined;
    this.#deadline = undefined;
    this.#gone.clear();
    this.#unanswered.clear();
  }

  #isGone(source: PeerId, next: number): boolean {
    return (this.#gone.get(source) ?? 0) >= next;
  }

  #ask(next: number, now: Instant): void {
    let best: PeerId | undefined;
    for (const source of this.#host.sources()) {
      if (this.#isGone(source, next)) continue;
      if (best === undefined || this.#silence(source) < this.#silence(best)) best = source;
    }
    this.#source = best;
    this.#deadline = undefined;
    if (best === undefined) return;
    this.#wait(best, now);
    this.#host.ask(best, next, this.#to);
  }

  #silence(source: PeerId): number {
    return this.#unanswered.get(source) ?? 0;
  }

  #wait(source: PeerId, now: Instant): void {
    const rttMs = this.#host.rttMs(source);
    const answerMs = rttMs === undefined ? UNMEASURED_ANSWER_MS : 3 * rttMs + ANSWER_MS;
    this.#deadline = after(now, Math.min(answerMs * 2 ** this.#silence(source), MAX_ANSWER_MS));
  }

  /** Nothing is lost while the publisher may hold it: it comes back, or says that it does not. */
  #lostUpTo(next: number): number | undefined {
    const [publisher, ...others] = this.#host.sources();
    if (publisher === undefined || !this.#isGone(publisher, next)) return undefined;
    let upTo = Math.min(this.#to, this.#gone.get(publisher) ?? 0);
    for (const source of others) {
      if (this.#isGone(source, next)) upTo = Math.min(upTo, this.#gone.get(source) ?? 0);
      else if (this.#silence(source) < SILENT_AFTER) return undefined;
    }
    return upTo;
  }
}
