/** Noise messages over a socket, each behind its length in two bytes, as libp2p has it and the specification suggests. */
import { once } from 'node:events';
import type { Socket } from 'node:net';

const HEADER_BYTES = 2;

export class Frames {
  readonly #socket: Socket;
  readonly #reading: AsyncIterator<Uint8Array>;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#reading = framesOf(socket);
  }

  /** The next message; throws when the stream ends before it. */
  async read(): Promise<Uint8Array> {
    const next = await this.#reading.next();
    if (next.done === true) throw new Error('the other end hung up');
    return next.value;
  }

  async write(message: Uint8Array): Promise<void> {
    const frame = Buffer.alloc(HEADER_BYTES + message.length);
    frame.writeUInt16BE(message.length);
    frame.set(message, HEADER_BYTES);
    if (!this.#socket.write(frame)) await once(this.#socket, 'drain');
  }
}

async function* framesOf(socket: Socket): AsyncGenerator<Uint8Array, void> {
  let held: Buffer = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    while (held.length >= HEADER_BYTES) {
      const end = HEADER_BYTES + held.readUInt16BE();
      if (held.length < end) break;
      yield new Uint8Array(held.subarray(HEADER_BYTES, end));
      held = held.subarray(end);
    }
  }
}
