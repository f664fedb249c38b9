/** What happens when: a binary heap of events, in the order of time and then of insertion. */
interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

const precedes = (a: Event, b: Event): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

export class EventHeap {
  readonly #events: Event[] = [];
  #order = 0;

  push(atMs: number, run: () => void): void {
    const events = this.#events;
    const event = { atMs, order: this.#order++, run };
    let at = events.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = events[parent] as Event;
      if (!precedes(event, above)) break;
      events[at] = above;
      at = parent;
    }
    events[at] = event;
  }

  get nextAtMs(): number {
    return this.#events[0]?.atMs ?? Number.POSITIVE_INFINITY;
  }

  pop(): Event | undefined {
    const events = this.#events;
    const first = events[0];
    const last = events.pop();
    if (first === undefined || last === undefined || events.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= events.length) break;
      const right = events[child + 1];
      if (right !== undefined && precedes(right, events[child] as Event)) child += 1;
      const below = events[child] as Event;
      if (!precedes(below, last)) break;
      events[at] = below;
      at = child;
    }
    events[at] = last;
    return first;
  }
}
