/** Fills one packet: whole messages as runs, what is larger than the packet in pieces. */
import type { Instant } from '../env.js';
import {
  chunkOverheadBytes,
  MAX_DATA_PAYLOAD_BYTES,
  MIN_PIECE_BYTES,
  RUN_MESSAGE_OVERHEAD_BYTES,
  type Run,
  runOverheadBytes,
} from '../wire/index.js';
import type { Lane, OutMessage, Parcel, Piece } from './out-message.js';

/** Room for hello, receipts, credit and the flag byte beside the messages. */
const PACKET_RESERVE_BYTES = 1_200;
const MAX_PIECES = 128;

interface OpenRun extends Run {
  readonly messages: Uint8Array[];
}

export class ParcelMaker {
  readonly #lane: Lane;
  readonly #runs: OpenRun[] = [];
  readonly #whole: OutMessage[] = [];
  readonly #pieces: Piece[] = [];
  #room = MAX_DATA_PAYLOAD_BYTES - PACKET_RESERVE_BYTES;
  #run: OpenRun | undefined;
  #reliable = false;
  #expiresAt: Instant | undefined;

  constructor(lane: Lane) {
    this.#lane = lane;
  }

  /** A piece that was cut before. False when it does not fit. */
  addPiece(piece: Piece): boolean {
    const bytes = piece.length + chunkOverheadBytes(piece.message.stream.service);
    if (this.#room < bytes || this.#pieces.length >= MAX_PIECES) return false;
    this.#room -= bytes;
    this.#pieces.push(piece);
    this.#noteExpiry(piece.message.expiresAt);
    return true;
  }

  /** As much of the message as fits. False when something of it is left, and the packet is full. */
  add(message: OutMessage): boolean {
    if (message.numbering !== 'expiring' && message.cut === 0 && this.#addWhole(message)) return true;
    const left = message.bytes.length - message.cut;
    const overhead = chunkOverheadBytes(message.stream.service);
    const length = Math.min(left, this.#room - overhead);
    // The receiver bounds the number of pieces of a message by their size.
    if (length < left && length < MIN_PIECE_BYTES) return false;
    if (!this.addPiece({ message, offset: message.cut, length })) return false;
    message.cut += length;
    return length === left;
  }

  #addWhole(message: OutMessage): boolean {
    const { stream, bytes, sequence } = message;
    const ordered = message.numbering === 'ordered';
    const run = this.#run;
    const cost = RUN_MESSAGE_OVERHEAD_BYTES + bytes.length;
    if (
      run !== undefined &&
      run.service === stream.service &&
      run.ordered === ordered &&
      run.first + run.messages.length === sequence
    ) {
      if (this.#room < cost) return false;
      this.#room -= cost;
      run.messages.push(bytes);
    } else {
      const overhead = runOverheadBytes(stream.service);
      if (this.#room < cost + overhead) return false;
      this.#room -= cost + overhead;
      this.#run = { service: stream.service, ordered, first: sequence, messages: [bytes] };
      this.#runs.push(this.#run);
    }
    this.#reliable = true;
    this.#whole.push(message);
    return true;
  }

  #noteExpiry(expiresAt: Instant | undefined): void {
    if (expiresAt === undefined) this.#reliable = true;
    else if (this.#expiresAt === undefined || expiresAt > this.#expiresAt) this.#expiresAt = expiresAt;
  }

  finish(): Parcel | undefined {
    if (this.#whole.length === 0 && this.#pieces.length === 0) return undefined;
    return {
      class: this.#lane.class,
      paths: this.#lane.paths,
      runs: this.#runs,
      whole: this.#whole,
      pieces: this.#pieces,
      credits: [],
      bytes: MAX_DATA_PAYLOAD_BYTES - PACKET_RESERVE_BYTES - this.#room,
      expiresAt: this.#reliable ? undefined : this.#expiresAt,
    };
  }
}
