/** How a message leaves on a stream socket: the small ones in one piece with their header, the parts of large ones uncopied. */
import type { Socket } from 'node:net';

/** The header that stands in front of a message of this length. */
export interface Framing {
  headerBytes(length: number): number;
  /** Writes the header at the beginning of `target`, all of whose bytes it sets. */
  writeHeader(target: Buffer, length: number): void;
}

/** Up to this size one copy is cheaper than a system call with several buffers. */
const JOIN_BYTES = 4_096;

/** One write of a header and the parts, which have `length` bytes together and must not change afterwards. */
export function writeMessage(socket: Socket, framing: Framing, parts: readonly Uint8Array[], length: number): void {
  const headerBytes = framing.headerBytes(length);
  if (length > JOIN_BYTES) {
    const header = Buffer.allocUnsafe(headerBytes);
    framing.writeHeader(header, length);
    socket.cork();
    socket.write(header);
    for (let i = 0; i < parts.length; i++) socket.write(parts[i] as Uint8Array);
    socket.uncork();
    return;
  }
  const joined = Buffer.allocUnsafe(headerBytes + length);
  framing.writeHeader(joined, length);
  let at = headerBytes;
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as Uint8Array;
    joined.set(part, at);
    at += part.length;
  }
  socket.write(joined);
}
