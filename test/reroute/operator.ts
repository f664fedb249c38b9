/** The operator of a relay, honest or not, with nothing but the `onForward` that every relay has. */
import type { PeerId } from '../../lib/index.js';
import type { ForwardedFrame, ForwardVerdict } from '../../lib/mesh/index.js';
import { monotonicMs } from './clock.js';

type Direction = 'both' | 'to-destination' | 'to-source';

export type Behaviour =
  | { readonly kind: 'honest' }
  | { readonly kind: 'drop'; readonly share: number; readonly direction: Direction }
  /** Of frames of one lane, or of all. */
  | { readonly kind: 'delay'; readonly delayMs: number; readonly lane?: ForwardedFrame['lane'] }
  /** Drops everything for half of each period, and is honest for the other. */
  | { readonly kind: 'on-off'; readonly periodMs: number };

/** Frames and bytes that came to be forwarded since the start, dropped ones included. */
export interface Forwarded {
  readonly toDestination: { readonly frames: number; readonly bytes: number };
  readonly toSource: { readonly frames: number; readonly bytes: number };
  readonly dropped: number;
}

export class Operator {
  destination: PeerId | undefined;
  #behaviour: Behaviour = { kind: 'honest' };
  #sinceMs = 0;
  readonly #toDestination = { frames: 0, bytes: 0 };
  readonly #toSource = { frames: 0, bytes: 0 };
  #dropped = 0;

  get forwarded(): Forwarded {
    return { toDestination: this.#toDestination, toSource: this.#toSource, dropped: this.#dropped };
  }

  behave(behaviour: Behaviour): { readonly atMs: number } {
    this.#behaviour = behaviour;
    this.#sinceMs = monotonicMs();
    return { atMs: this.#sinceMs };
  }

  onForward({ to, bytes, lane }: ForwardedFrame): ForwardVerdict {
    const direction = to === this.destination ? 'to-destination' : 'to-source';
    const count = direction === 'to-destination' ? this.#toDestination : this.#toSource;
    count.frames += 1;
    count.bytes += bytes;
    const verdict = this.#judge(direction, lane);
    if (verdict === 'drop') this.#dropped += 1;
    return verdict;
  }

  #judge(direction: Direction, lane: ForwardedFrame['lane']): ForwardVerdict {
    const behaviour = this.#behaviour;
    switch (behaviour.kind) {
      case 'honest':
        return 'forward';
      case 'drop': {
        const concerns = behaviour.direction === 'both' || behaviour.direction === direction;
        return concerns && Math.random() < behaviour.share ? 'drop' : 'forward';
      }
      case 'delay':
        return (behaviour.lane ?? lane) === lane ? { delayMs: behaviour.delayMs } : 'forward';
      case 'on-off': {
        const isBad = (monotonicMs() - this.#sinceMs) % behaviour.periodMs < behaviour.periodMs / 2;
        return isBad ? 'drop' : 'forward';
      }
    }
  }
}
