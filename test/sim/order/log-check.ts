/**
 * The log as it must be, checked at every entry that anyone is handed: the same for all, without gaps or repetitions,
 * nothing in it that nobody submitted, streams in their order.
 */
import { equalBytes, toHex } from '../../../lib/bytes.js';
import type { Entry, StreamPosition } from '../../../lib/order/types.js';
import { Violation } from '../../../lib/sim/index.js';

const positionKey = ({ sender, stream, sequence }: StreamPosition): string => `${sender}/${stream}/${sequence}`;

function describe(entry: Entry): string {
  const { opening } = entry;
  const outcome = opening.kind === 'opened' ? toHex(opening.payload) : `void, ${opening.reason}`;
  const place = `${entry.height}/${entry.index} ${entry.id} ${positionKey(entry)}`;
  return `${place} ${outcome} [${entry.laneTimes.map(time => time ?? '-').join(' ')}]`;
}

export class LogCheck {
  readonly #submitted = new Map<string, Uint8Array>();
  /** What the first reader of each index was handed. */
  readonly #log: Entry[] = [];
  readonly #described: string[] = [];
  readonly #indexOf = new Map<string, number>();
  readonly #lastSequence = new Map<string, number>();

  get log(): readonly Entry[] {
    return this.#log;
  }

  /** A client gave this payload to the broadcast. */
  submitted(position: StreamPosition, payload: Uint8Array): void {
    this.#submitted.set(positionKey(position), payload);
  }

  indexOf(position: StreamPosition): number | undefined {
    return this.#indexOf.get(positionKey(position));
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
    const key = positionKey(entry);
    if (this.#indexOf.has(key)) throw new Violation('duplicate', `${reader} got ${key} twice`);
    const payload = this.#submitted.get(key);
    if (payload === undefined) throw new Violation('validity', `${reader} got ${key}, which nobody submitted`);
    if (entry.opening.kind !== 'opened') throw new Violation('validity', `${key} of an honest client is void`);
    if (!equalBytes(entry.opening.payload, payload)) throw new Violation('validity', `${key} has another payload`);
    const stream = `${entry.sender}/${entry.stream}`;
    const last = this.#lastSequence.get(stream) ?? 0;
    if (entry.sequence <= last) throw new Violation('stream order', `${reader} got ${key} after sequence ${last}`);
    this.#lastSequence.set(stream, entry.sequence);
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
