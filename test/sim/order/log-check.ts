/**
 * The log as it must be, checked at every entry that anyone is handed: the same for all, without gaps or repetitions,
 * nothing in it that nobody submitted, streams in their order.
 */
import { toHex } from '../../../lib/bytes.js';
import type { PeerId } from '../../../lib/identity/peer-id.js';
import type { Entry, StreamPosition } from '../../../lib/order/types.js';
import { Violation } from '../../../lib/sim/index.js';

const positionKey = ({ sender, stream, sequence }: StreamPosition): string => `${sender}/${stream}/${sequence}`;

function describe(entry: Entry): string {
  const { opening } = entry;
  const outcome = opening.kind === 'opened' ? toHex(opening.payload) : `void, ${opening.reason}`;
  const place = `${entry.height}/${entry.index} ${entry.id} ${positionKey(entry)}`;
  return `${place} ${outcome} [${entry.laneTimes.map(time => time ?? '-').join(' ')}]`;
}

/** An order as its client submitted it. Payloads are unique: by them the log is compared with what was submitted. */
interface SubmittedOrder {
  readonly sender: PeerId;
  readonly stream: string;
  /** Its place among all that the client submitted in this stream. */
  readonly ordinal: number;
}

export class LogCheck {
  readonly #submitted = new Map<string, SubmittedOrder>();
  /** What the first reader of each index was handed. */
  readonly #log: Entry[] = [];
  readonly #described: string[] = [];
  readonly #indexOf = new Map<string, number>();
  readonly #streams = new Map<string, { sequence: number; ordinal: number }>();

  get log(): readonly Entry[] {
    return this.#log;
  }

  /** A client gave this payload to the broadcast. */
  submitted(order: SubmittedOrder, payload: Uint8Array): void {
    this.#submitted.set(toHex(payload), order);
  }

  /** Where in the log the order with this payload stands. */
  indexOf(payload: Uint8Array): number | undefined {
    return this.#indexOf.get(toHex(payload));
  }

  /** Someone who reads from the beginning; one for each process. */
  reader(name: string): LogReader {
    return new LogReader(this, name);
  }

  /** `reader` was handed its entry number `index`. */
  handed(reader: string, index: number, entry: Entry): void {
    if (entry.index !== index)
      throw new Violation('gap', `${reader} got entry ${entry.index} in the place of ${index}`);
    const known = this.#described[index];
    if (known === undefined) this.#extend(reader, entry);
    else if (known !== describe(entry)) {
      throw new Violation('agreement', `${reader} has ${describe(entry)}, others have ${known}`);
    }
  }

  #extend(reader: string, entry: Entry): void {
    const previous = this.#log.at(-1);
    if (previous !== undefined && entry.height < previous.height) {
      throw new Violation('height', `${reader} got height ${entry.height} after ${previous.height}`);
    }
    const name = `${reader} got ${positionKey(entry)}`;
    if (entry.opening.kind !== 'opened') throw new Violation('validity', `${name}, void though its client is honest`);
    const key = toHex(entry.opening.payload);
    const order = this.#submitted.get(key);
    if (order?.sender !== entry.sender || order.stream !== entry.stream) {
      throw new Violation('validity', `${name}, which its sender did not submit`);
    }
    if (this.#indexOf.has(key)) throw new Violation('duplicate', `${name}, entry ${this.#indexOf.get(key)} again`);
    // A sequence is used again when the order that had it can never be emitted; never for two entries.
    const streamKey = `${entry.sender}/${entry.stream}`;
    const last = this.#streams.get(streamKey) ?? { sequence: 0, ordinal: 0 };
    if (entry.sequence !== last.sequence + 1 || order.ordinal <= last.ordinal) {
      throw new Violation('stream order', `${name} after sequence ${last.sequence}`);
    }
    this.#streams.set(streamKey, { sequence: entry.sequence, ordinal: order.ordinal });
    this.#indexOf.set(key, entry.index);
    this.#log.push(entry);
    this.#described.push(describe(entry));
  }
}

export class LogReader {
  readonly name: string;
  readonly #check: LogCheck;
  #next = 0;

  constructor(check: LogCheck, name: string) {
    this.#check = check;
    this.name = name;
  }

  /** Entries that this reader was handed. */
  get length(): number {
    return this.#next;
  }

  hand(entry: Entry): void {
    this.#check.handed(this.name, this.#next, entry);
    this.#next += 1;
  }
}
