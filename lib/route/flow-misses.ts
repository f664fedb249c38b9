/** What a tick finds: copies past their PTO, losses, what is to be sent again, and paths that are silent for too long. */
import type { Instant } from '../env.js';
import type { FlowCore } from './flow-core.js';
import type { FlowJudge } from './flow-judge.js';
import type { Copy } from './flow-lane.js';
import type { FlowPath } from './flow-path.js';
import type { FlowSending } from './flow-sending.js';

export class FlowMisses<T> {
  readonly #core: FlowCore<T>;
  readonly #sending: FlowSending<T>;
  readonly #judge: FlowJudge<T>;

  constructor(core: FlowCore<T>, sending: FlowSending<T>, judge: FlowJudge<T>) {
    this.#core = core;
    this.#sending = sending;
    this.#judge = judge;
  }

  /** Judges what fell due up to `until`, which is not after now. */
  tick(until: Instant): void {
    const { paths, late } = this.#core;
    const missed: Copy<T>[] = [];
    for (const path of paths) this.#collectMisses(path, until, missed);
    // First all are counted, then they are judged: whether every path is silent must be known before one is blamed.
    for (const copy of missed) {
      this.#judge.missed(copy);
      const over = this.#sending.hedge(copy.item, copy.path);
      if (over !== undefined) this.#judge.hedged(over);
    }
    this.#countLosses(until);
    this.#judge.expire(until);
    for (const [item, at] of late) if (until >= at) this.#sending.retransmit(item);
    this.#abandonSilent(until);
  }

  #collectMisses(path: FlowPath<T>, until: Instant, missed: Copy<T>[]): void {
    for (const lane of [path.lanes.urgent, path.lanes.normal]) {
      if (lane.waiting.size === 0) continue;
      const ptoMs = path.ptoMs(lane);
      for (const copy of lane.waiting.values()) {
        if (until < copy.sentAt + ptoMs) break;
        path.noteMiss(copy, this.#core.now);
        missed.push(copy);
      }
    }
  }

  #countLosses(until: Instant): void {
    const { paths, arrivals } = this.#core;
    for (const path of paths) {
      const lost = path.takeLost(until, arrivals);
      if (lost.length === 0) continue;
      for (const copy of lost) this.#judge.lost(copy);
      this.#core.noteSuspicions(path);
      if (path === paths.active) this.#judge.judgeLoss();
    }
  }

  #abandonSilent(until: Instant): void {
    const core = this.#core;
    const { paths, effects } = core;
    for (const path of paths) {
      const abandonAt = paths.abandonAt(path);
      if (abandonAt === undefined || until < abandonAt) continue;
      // While another path works, this one is to blame, and it must not come back as if nothing had been.
      if (paths.isToBlame(path)) {
        const numbers = [path.silentMs(core.now), abandonAt - core.now + path.silentMs(core.now), 'ms'] as const;
        core.quarantinePath(path, paths.active?.route, 'silence', numbers, core.now);
      }
      effects.push({ kind: 'abandon', path: path.id });
    }
  }
}
