/**
 * Frames that wait for one neighbour, and whose turn it is: deficit round robin over the ingress channels, and inside each
 * over the sources behind it (Shreedhar and Varghese, 1995; overlay.md point 15). Whoever sends much waits for itself:
 * neither many frames, nor many sources behind one ingress, nor the urgent lane give a larger share. A priority orders the
 * frames of one source, and nothing else.
 */
import type { Priority } from '../channel/types.js';
import type { Instant } from '../env.js';
import type { PeerId } from '../identity/peer-id.js';
import { LIMITS } from '../limits.js';
import { Fifo } from './fifo.js';

export interface WaitingFrame {
  /** The frame, or its header alone. */
  readonly head: Uint8Array;
  /** What follows the header, where it lies apart. */
  readonly body: Uint8Array | undefined;
  readonly priority: Priority;
  readonly since: Instant;
  /** Its length on the wire. */
  readonly bytes: number;
}

/** What a waiting frame costs besides its bytes, its place and its view of memory: as measured, for the smallest ones. */
export const FRAME_OVERHEAD_BYTES = 320;
/** One turn: no frame is larger, so each visit lets one go. */
const QUANTUM_BYTES = LIMITS.maxFrameBytes;

/** Takes its turn in a round. */
interface Turn {
  bytes: number;
  deficit: number;
}

interface Source extends Turn {
  readonly source: PeerId;
  readonly urgent: Fifo<WaitingFrame>;
  readonly normal: Fifo<WaitingFrame>;
}

interface Ingress extends Turn {
  readonly from: PeerId;
  readonly sources: Map<PeerId, Source>;
  readonly round: Fifo<Source>;
}

const costOf = (frame: WaitingFrame): number => frame.bytes + FRAME_OVERHEAD_BYTES;
const nextOf = ({ urgent, normal }: Source): WaitingFrame => (urgent.first ?? normal.first) as WaitingFrame;

export class FairQueue {
  readonly #ingresses = new Map<PeerId, Ingress>();
  readonly #round = new Fifo<Ingress>();
  #bytes = 0;

  /** What all that waits costs: its bytes, and FRAME_OVERHEAD_BYTES for each frame. */
  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#bytes === 0;
  }

  push(from: PeerId, source: PeerId, frame: WaitingFrame): void {
    let ingress = this.#ingresses.get(from);
    if (ingress === undefined) {
      ingress = { from, sources: new Map(), round: new Fifo(), bytes: 0, deficit: 0 };
      this.#ingresses.set(from, ingress);
      this.#round.push(ingress);
    }
    let of = ingress.sources.get(source);
    if (of === undefined) {
      of = { source, urgent: new Fifo(), normal: new Fifo(), bytes: 0, deficit: 0 };
      ingress.sources.set(source, of);
      ingress.round.push(of);
    }
    (frame.priority === 'urgent' ? of.urgent : of.normal).push(frame);
    const cost = costOf(frame);
    of.bytes += cost;
    ingress.bytes += cost;
    this.#bytes += cost;
  }

  /** The frame whose turn it is, without taking it. */
  peek(): WaitingFrame | undefined {
    if (this.#bytes === 0) return undefined;
    for (;;) {
      const ingress = this.#ingressInTurn();
      const frame = nextOf(sourceInTurn(ingress));
      if (affords(this.#round, ingress, frame.bytes)) return frame;
    }
  }

  /** Takes what `peek` showed. */
  take(): WaitingFrame | undefined {
    const frame = this.peek();
    if (frame === undefined) return undefined;
    const ingress = this.#round.first as Ingress;
    const source = ingress.round.first as Source;
    ingress.deficit -= frame.bytes;
    source.deficit -= frame.bytes;
    return this.#remove(ingress, source, source.urgent.length > 0 ? source.urgent : source.normal);
  }

  /**
   * Of the ingress that holds most, and there of the source that holds most: the oldest frame, urgent ones last. So a
   * source that calls all of its frames urgent still pays for itself. Returns what it cost.
   */
  dropFromLargest(): number {
    const ingress = largestOf(this.#ingresses.values());
    const source = ingress && largestOf(ingress.sources.values());
    if (ingress === undefined || source === undefined) return 0;
    const lane = source.normal.length > 0 ? source.normal : source.urgent;
    return costOf(this.#remove(ingress, source, lane));
  }

  clear(): void {
    this.#ingresses.clear();
    while (this.#round.shift() !== undefined);
    this.#bytes = 0;
  }

  #remove(ingress: Ingress, source: Source, lane: Fifo<WaitingFrame>): WaitingFrame {
    const frame = lane.shift() as WaitingFrame;
    const cost = costOf(frame);
    source.bytes -= cost;
    ingress.bytes -= cost;
    this.#bytes -= cost;
    // Who holds nothing keeps its place until its turn comes, and saves up nothing there.
    if (source.bytes === 0) source.deficit = 0;
    if (ingress.bytes === 0) ingress.deficit = 0;
    return frame;
  }

  #ingressInTurn(): Ingress {
    for (;;) {
      const ingress = this.#round.first as Ingress;
      if (ingress.bytes > 0) return ingress;
      this.#round.shift();
      this.#ingresses.delete(ingress.from);
    }
  }
}

function sourceInTurn({ round, sources }: Ingress): Source {
  for (;;) {
    const source = round.first as Source;
    if (source.bytes === 0) {
      round.shift();
      sources.delete(source.source);
    } else if (affords(round, source, nextOf(source).bytes)) return source;
  }
}

/** Whether this one, the first of its round, may send so much. If not, its turn is over, and it has more in the next. */
function affords<T extends Turn>(round: Fifo<T>, turn: T, bytes: number): boolean {
  if (turn.deficit >= bytes) return true;
  turn.deficit += QUANTUM_BYTES;
  round.shift();
  round.push(turn);
  return false;
}

function largestOf<T extends Turn>(turns: Iterable<T>): T | undefined {
  let largest: T | undefined;
  for (const turn of turns) if (turn.bytes > (largest?.bytes ?? 0)) largest = turn;
  return largest;
}
