/** The messages of one priority that wait to leave: a stream of bytes that can be cut anywhere. */
import {
  MESSAGE_HEADER_BYTES,
  MIN_CUT_BYTES,
  readU32,
  SECTION_HEADER_BYTES,
  writeSectionHeader,
  writeU32,
} from './record.js';
import { EMPTY_SLAB, releaseSlab, type Slab, takeSlab } from './slab.js';

/** Messages up to this size are copied into a slab at once; the bytes of larger ones are sealed where they lie. */
const COPY_BYTES = 16_384;

/** A run of stream bytes. It grows while it is the last one, lies at the end of the slab and has no deadline. */
interface Run {
  readonly bytes: Uint8Array;
  /** Undefined where the bytes are the caller's. */
  readonly slab: Slab | undefined;
  start: number;
  end: number;
  /** Beyond it the run, which is one whole message then, is dropped unless it has begun to leave. */
  readonly deadline: number;
  /** There are bytes in front of `start` for a section header: the usual record is then one part. */
  headroom: boolean;
  /** Where a message begins; at or after `start` only once `#begunRuns` has looked. Of no use without a slab. */
  boundary: number;
}

/**
 * Small messages cost a copy into the slab and nothing else: no object, no closure. Sealing copies the bytes, so a slab
 * is used again as soon as nothing in it waits.
 */
export class SendLane {
  readonly #kind: number;
  #slab: Slab = EMPTY_SLAB;
  #slabEnd = 0;
  #runs: Run[] = [];
  #head = 0;
  #bytes = 0;
  #expired = 0;
  #dropped = 0;

  constructor(kind: number) {
    this.#kind = kind;
  }

  /** Bytes that wait, headers of messages included. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Messages that were dropped since they passed their deadline. */
  get expired(): number {
    return this.#expired;
  }

  /** Messages that `dropStalest` removed. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Bytes of messages of which nothing has left yet. */
  get droppableBytes(): number {
    const begun = this.#begunRuns();
    const run = this.#runs[this.#head];
    let bytes = this.#bytes - (begun === 0 && run !== undefined ? run.boundary - run.start : 0);
    for (let i = this.#head; i < this.#head + begun; i++) {
      const { start, end } = this.#runs[i] as Run;
      bytes -= end - start;
    }
    return bytes;
  }

  /** Appends one message of `length` bytes. `deadline` is an instant, or Infinity. */
  push(parts: readonly Uint8Array[], length: number, deadline: number): void {
    this.#bytes += MESSAGE_HEADER_BYTES + length;
    if (length <= COPY_BYTES || deadline !== Number.POSITIVE_INFINITY) {
      const at = this.#reserve(MESSAGE_HEADER_BYTES + length, deadline);
      writeU32(this.#slab.bytes, at, length);
      let to = at + MESSAGE_HEADER_BYTES;
      for (let i = 0; i < parts.length; i++) {
        const part = parts[i] as Uint8Array;
        this.#slab.bytes.set(part, to);
        to += part.length;
      }
      return;
    }
    const at = this.#reserve(MESSAGE_HEADER_BYTES, deadline);
    writeU32(this.#slab.bytes, at, length);
    for (const bytes of parts) {
      if (bytes.length === 0) continue;
      this.#runs.push({ bytes, slab: undefined, start: 0, end: bytes.length, deadline, headroom: false, boundary: 0 });
    }
  }

  /** As `push` for a message of one part that has no deadline. */
  pushOne(message: Uint8Array): void {
    const length = message.length;
    if (length > COPY_BYTES) {
      this.push([message], length, Number.POSITIVE_INFINITY);
      return;
    }
    this.#bytes += MESSAGE_HEADER_BYTES + length;
    const at = this.#reserve(MESSAGE_HEADER_BYTES + length, Number.POSITIVE_INFINITY);
    writeU32(this.#slab.bytes, at, length);
    this.#slab.bytes.set(message, at + MESSAGE_HEADER_BYTES);
  }

  /**
   * Moves at most `max` bytes of the stream into `parts`, behind a section header, and returns how many; expired
   * messages are dropped on the way. The parts must be sealed before the next `push`.
   */
  take(max: number, now: number, parts: Uint8Array[]): number {
    const first = parts.length;
    let taken = 0;
    let headroom = false;
    while (this.#head < this.#runs.length && taken < max) {
      const run = this.#runs[this.#head] as Run;
      if (run.deadline < now) {
        this.#drop(run);
        continue;
      }
      const waiting = run.end - run.start;
      const length = Math.min(waiting, max - taken);
      // A sliver of the next slab would cost as much as a whole section: it begins the next record instead.
      if (taken > 0 && length < waiting && length < MIN_CUT_BYTES) break;
      const end = run.start + length;
      const last = parts.length > first ? (parts[parts.length - 1] as Uint8Array) : undefined;
      if (taken === 0) {
        headroom = run.headroom;
        parts.push(run.bytes.subarray(headroom ? run.start - SECTION_HEADER_BYTES : run.start, end));
      } else if (last !== undefined && adjoins(last, run)) {
        parts[parts.length - 1] = new Uint8Array(last.buffer, last.byteOffset, last.length + length);
      } else parts.push(run.bytes.subarray(run.start, end));
      taken += length;
      this.#bytes -= length;
      if (end === run.end) this.#shift();
      else this.#runs[this.#head] = { ...run, start: end, deadline: Number.POSITIVE_INFINITY, headroom: false };
    }
    if (taken > 0) this.#writeHeader(parts, first, headroom, taken);
    if (this.#head === this.#runs.length) this.#rewind();
    return taken;
  }

  /** Removes the oldest message of which nothing has left; returns its bytes, 0 when there is none. */
  dropStalest(): number {
    let begun = this.#begunRuns();
    let run = this.#runs[this.#head + begun];
    if (run === undefined) return 0;
    if (run.boundary > run.start) {
      this.#splitHead(run);
      begun = 1;
      run = this.#runs[this.#head + 1] as Run;
    }
    const length = MESSAGE_HEADER_BYTES + readU32(run.bytes, run.boundary);
    this.#bytes -= length;
    this.#dropped++;
    run.boundary += length;
    if (run.boundary < run.end) run.start = run.boundary;
    else this.#removeMessageRuns(begun);
    if (this.#head === this.#runs.length) this.#rewind();
    return length;
  }

  clear(): void {
    this.#runs = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#slab = EMPTY_SLAB;
    this.#slabEnd = 0;
  }

  #writeHeader(parts: Uint8Array[], first: number, headroom: boolean, length: number): void {
    if (headroom) {
      writeSectionHeader(parts[first] as Uint8Array, 0, this.#kind, length);
      return;
    }
    const header = new Uint8Array(SECTION_HEADER_BYTES);
    writeSectionHeader(header, 0, this.#kind, length);
    parts.splice(first, 0, header);
  }

  /** Makes room for `length` stream bytes in the slab; returns where they go. */
  #reserve(length: number, deadline: number): number {
    const slab = this.#slab;
    const at = this.#slabEnd;
    if (at === 0 || at + length > slab.bytes.length) return this.#begin(length, deadline);
    this.#slabEnd = at + length;
    const last = this.#runs[this.#runs.length - 1];
    const isJoined = last?.slab === slab && last.end === at && last.deadline === deadline;
    if (isJoined && deadline === Number.POSITIVE_INFINITY) last.end = this.#slabEnd;
    else this.#pushRun(at, this.#slabEnd, deadline, false);
    return at;
  }

  /** Begins a slab: the present one again when nothing waits in it, else another. */
  #begin(length: number, deadline: number): number {
    const needed = SECTION_HEADER_BYTES + length;
    if (this.#slab.runs > 0 || this.#slab.bytes.length < needed) {
      if (this.#slab.runs === 0) releaseSlab(this.#slab);
      this.#slab = takeSlab(needed, this.#runs.length === 0);
    }
    this.#slabEnd = needed;
    this.#pushRun(SECTION_HEADER_BYTES, needed, deadline, true);
    return SECTION_HEADER_BYTES;
  }

  #pushRun(start: number, end: number, deadline: number, headroom: boolean): void {
    const slab = this.#slab;
    slab.runs++;
    this.#runs.push({ bytes: slab.bytes, slab, start, end, deadline, headroom, boundary: start });
  }

  /** Runs at the front that hold nothing but the rest of a message that has begun to leave. */
  #begunRuns(): number {
    let index = this.#head;
    const first = this.#runs[index];
    if (first?.slab !== undefined) {
      // What has left still lies in the slab: from message to message, by their lengths.
      while (first.boundary < first.start)
        first.boundary += MESSAGE_HEADER_BYTES + readU32(first.bytes, first.boundary);
      if (first.boundary < first.end) return 0;
      index++;
    }
    while (index < this.#runs.length && (this.#runs[index] as Run).slab === undefined) index++;
    return index - this.#head;
  }

  /** The begun message in front of the run becomes a run of its own. */
  #splitHead(run: Run): void {
    if (run.slab !== undefined) run.slab.runs++;
    this.#runs.splice(this.#head, 0, { ...run, end: run.boundary });
    run.start = run.boundary;
  }

  /** Removes the runs of one message that stand behind `begun` others, which move up: no array of runs is copied. */
  #removeMessageRuns(begun: number): void {
    const first = this.#head + begun;
    let next = first + 1;
    while (next < this.#runs.length && (this.#runs[next] as Run).slab === undefined) next++;
    const removed = next - first;
    const { slab } = this.#runs[first] as Run;
    for (let i = begun - 1; i >= 0; i--) {
      const at = this.#head + i;
      this.#runs[at + removed] = this.#runs[at] as Run;
    }
    for (let i = 0; i < removed - 1; i++) this.#skip(undefined);
    this.#skip(slab);
  }

  #drop(run: Run): void {
    this.#bytes -= run.end - run.start;
    this.#expired++;
    this.#shift();
  }

  #shift(): void {
    this.#skip(this.#runs[this.#head]?.slab);
  }

  /** The first run is over; `slab` is what it lay in. */
  #skip(slab: Slab | undefined): void {
    this.#head++;
    if (slab !== undefined && --slab.runs === 0 && slab !== this.#slab) releaseSlab(slab);
    if (this.#head >= 64 && this.#head * 2 >= this.#runs.length) {
      this.#runs.splice(0, this.#head);
      this.#head = 0;
    }
  }

  #rewind(): void {
    this.#runs.length = 0;
    this.#head = 0;
    this.#slabEnd = 0;
    releaseSlab(this.#slab);
    this.#slab = EMPTY_SLAB;
  }
}

/** Messages with deadlines are runs of their own, but they lie side by side: one part holds them all. */
function adjoins(part: Uint8Array, run: Run): boolean {
  return part.buffer === run.bytes.buffer && part.byteOffset + part.length === run.bytes.byteOffset + run.start;
}
