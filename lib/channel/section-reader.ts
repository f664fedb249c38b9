/** Takes the plaintext of a record apart: stream bytes to their lanes, control to whoever answers for it. */
import type { ReceiveCredit } from './receive-credit.js';
import { ReceiveLane } from './receive-lane.js';
import { ACK_BYTES, KIND, LANES, MORE_FOLLOWS, PRIORITIES, readU24, readU64, SECTION_HEADER_BYTES } from './record.js';
import { KeyUse } from './rekey-schedule.js';

/** What sections mean is decided here. */
export interface SectionSink {
  /** A handler closed the channel in between: what is left of the record is nobody's. */
  isClosed(): boolean;
  onMessage(message: Uint8Array, rank: number): void;
  /** False when the ack claims what cannot be. */
  onAck(received: number, credit: number): boolean;
  /** An ack is asked for, or credit is worth telling. */
  onAckDue(): void;
  /** The records after this one are sealed with the next key. */
  onRekey(): void;
  /** A piece of a message of a key refresh; valid during the call only. */
  onRefresh(number: number, isLast: boolean, piece: Uint8Array): void;
  /** The records after this one are sealed with the key of the refresh. False when there is none. */
  onSwitch(): boolean;
  /** Returns what is wrong with it, if anything. */
  onEnd(reason: number): string | undefined;
}

export class SectionReader {
  readonly #sink: SectionSink;
  readonly #credit: ReceiveCredit;
  readonly #lanes: readonly ReceiveLane[];
  readonly #keyUse = new KeyUse();
  #ended = false;

  constructor(sink: SectionSink, credit: ReceiveCredit, maxMessageBytes: number) {
    this.#sink = sink;
    this.#credit = credit;
    this.#lanes = PRIORITIES.map((_, rank) => new ReceiveLane(rank, maxMessageBytes, sink));
  }

  /** The peer has ended: no more stream bytes may come. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Returns what is wrong with the record, if anything. */
  read(plaintext: Uint8Array): string | undefined {
    if (!this.#keyUse.onOpened(plaintext.length)) return 'one key for too many records';
    let at = 0;
    while (at < plaintext.length) {
      if (plaintext.length - at < SECTION_HEADER_BYTES) return 'a section header is cut off';
      const kind = plaintext[at] as number;
      const start = at + SECTION_HEADER_BYTES;
      at = start + readU24(plaintext, at + 1);
      if (at > plaintext.length) return 'a section is cut off';
      const broken =
        kind < LANES ? this.#onLaneSection(kind, plaintext, start, at) : this.#onControl(kind, plaintext, start, at);
      if (broken !== undefined) return broken;
      if (this.#sink.isClosed()) return undefined;
    }
    return undefined;
  }

  #onLaneSection(rank: number, plaintext: Uint8Array, start: number, end: number): string | undefined {
    if (this.#ended) return 'a message follows the end';
    if (!this.#credit.onReceived(end - start)) return 'more was sent than was granted';
    if (!(this.#lanes[rank] as ReceiveLane).push(plaintext, start, end)) return 'a message is too large';
    if (!this.#sink.isClosed() && this.#credit.isWorthTelling()) this.#sink.onAckDue();
    return undefined;
  }

  #onControl(kind: number, plaintext: Uint8Array, start: number, end: number): string | undefined {
    const length = end - start;
    const sink = this.#sink;
    switch (kind) {
      case KIND.ack:
        if (length !== ACK_BYTES) return 'an ack of a wrong length';
        return sink.onAck(readU64(plaintext, start), readU64(plaintext, start + 8))
          ? undefined
          : 'an ack that cannot be';
      case KIND.ask:
        if (length !== 0) return 'an ask of a wrong length';
        sink.onAckDue();
        return undefined;
      case KIND.rekey:
      case KIND.switch:
        if (length !== 0) return 'a change of keys of a wrong length';
        if (end !== plaintext.length) return 'something follows a change of keys in its record';
        if (kind === KIND.rekey) sink.onRekey();
        else if (this.#ended || !sink.onSwitch()) return 'a change to keys that are not there';
        this.#keyUse.onRekeyed();
        return undefined;
      case KIND.padding:
        return undefined;
      case KIND.refresh: {
        if (length < 2 || this.#ended) return 'a piece of a refresh that is empty, or follows the end';
        const number = plaintext[start] as number;
        const isLast = (number & MORE_FOLLOWS) === 0;
        sink.onRefresh(number & ~MORE_FOLLOWS, isLast, plaintext.subarray(start + 1, end));
        return undefined;
      }
      case KIND.end:
        if (length !== 1 || this.#ended) return 'an end of a wrong length, or a second one';
        this.#ended = true;
        return sink.onEnd(plaintext[start] as number);
      default:
        return 'an unknown kind of section';
    }
  }
}
