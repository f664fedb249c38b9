/**
 * Virtual time: a heap of events, equal times in the order of their scheduling. Nothing here waits for anything, so an
 * hour of a thousand quiet nodes is as long as its events take to compute.
 */
import type { Cancel } from '../env.js';
import { HopfairError } from '../errors.js';

interface Event {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | undefined;
}

/** More than this many deferred calls in one event is a loop in the code under test. */
const MAX_DEFERRED_PER_EVENT = 100_000;

/** Continuations that wait for continuations: as many as this in a row run before the next event. */
const SETTLING_TURNS = 32;

async function settle(): Promise<void> {
  for (let turn = 0; turn < SETTLING_TURNS; turn++) await undefined;
}

const earlier = (a: Event, b: Event): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

export class Scheduler {
  #nowMs = 0;
  #order = 0;
  #executed = 0;
  readonly #heap: Event[] = [];
  readonly #deferred: (() => void)[] = [];

  /** True time in ms since the start of the run; every node sees it through its own clock. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Events that ran so far. */
  get executed(): number {
    return this.#executed;
  }

  /** Runs `fn` at that time, or now if it is past. */
  at(atMs: number, fn: () => void): Cancel {
    const event: Event = { atMs: Math.max(atMs, this.#nowMs), order: this.#order++, run: fn };
    this.#push(event);
    return () => {
      event.run = undefined;
    };
  }

  after(delayMs: number, fn: () => void): Cancel {
    return this.at(this.#nowMs + delayMs, fn);
  }

  /** Runs `fn` when the present event ends, before any other. */
  defer(fn: () => void): void {
    this.#deferred.push(fn);
  }

  /** Runs the next event; false when there is none up to `limitMs`. */
  step(limitMs: number = Number.POSITIVE_INFINITY): boolean {
    this.#drain(); // what was deferred outside any event, by the code that set the simulation up
    for (;;) {
      const event = this.#heap[0];
      if (event === undefined || event.atMs > limitMs) return false;
      this.#pop();
      if (event.run === undefined) continue;
      this.#nowMs = event.atMs;
      this.#executed += 1;
      event.run();
      this.#drain();
      return true;
    }
  }

  /** Runs everything up to that time, and leaves the clock there. */
  runUntil(atMs: number): void {
    while (this.step(atMs));
    this.#nowMs = Math.max(this.#nowMs, atMs);
  }

  runFor(durationMs: number): void {
    this.runUntil(this.#nowMs + durationMs);
  }

  /** Runs until `done()`, looked at every `everyMs`; false when that took longer than `limitMs`. */
  runUntilTrue(done: () => boolean, limitMs: number, everyMs = 10): boolean {
    const end = this.#nowMs + limitMs;
    while (!done()) {
      if (this.#nowMs >= end) return false;
      this.runUntil(Math.min(end, this.#nowMs + everyMs));
    }
    return true;
  }

  /**
   * As `runFor`, for programs that await promises: after each event, or each slice of time where one is given, their
   * continuations run before time goes on. Machines and engines need none of this; the public faces over them do.
   */
  async runForAsync(durationMs: number, sliceMs = 0): Promise<void> {
    const end = this.#nowMs + durationMs;
    await settle();
    while (this.#nowMs < end) {
      if (sliceMs > 0) this.runUntil(Math.min(end, this.#nowMs + sliceMs));
      else if (!this.step(end)) this.#nowMs = end;
      await settle();
    }
  }

  #drain(): void {
    for (let i = 0; i < this.#deferred.length; i++) {
      if (i > MAX_DEFERRED_PER_EVENT) throw new HopfairError('INTERNAL', 'deferred calls defer for ever');
      (this.#deferred[i] as () => void)();
    }
    this.#deferred.length = 0;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!earlier(event, heap[parent] as Event)) break;
      heap[at] = heap[parent] as Event;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Event;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && earlier(heap[child + 1] as Event, heap[child] as Event)) child += 1;
      if (!earlier(heap[child] as Event, last)) break;
      heap[at] = heap[child] as Event;
      at = child;
    }
    heap[at] = last;
  }
}
