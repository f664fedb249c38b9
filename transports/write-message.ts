/** How a message leaves on a stream socket: the small ones joined, the parts of large ones uncopied. */
import type { Socket } from 'node:net';

/** Up to this size one copy is cheaper than a system call with several buffers. */
const JOIN_BYTES = 4_096;

/** One write of the header and the parts, which have `length` bytes together and must not change afterwards. */
export function writeMessage(socket: Socket, header: Buffer, parts: readonly Uint8Array[], length: number): void {
  if (length > JOIN_BYTES) {
    socket.cork();
    socket.write(header);
    for (let i = 0; i < parts.length; i++) socket.write(parts[i] as Uint8Array);
    socket.uncork();
    return;
  }
  const joined = Buffer.allocUnsafe(header.length + length);
  joined.set(header, 0);
  let at = header.length;
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as Uint8Array;
    joined.set(part, at);
    at += part.length;
  }
  socket.write(joined);
}
