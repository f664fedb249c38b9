/** The bytes that attackers put on a wire: framing of both transports by hand, so that it can be broken. */

export type TransportName = 'tcp' | 'ws';

export const TRANSPORTS: readonly TransportName[] = ['tcp', 'ws'];

const UPGRADE_LINES = [
  'GET / HTTP/1.1',
  'Host: victim',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
  '',
  '',
];

/** What must stand before the first message; empty for TCP. */
export function opening(transport: TransportName): Buffer {
  return Buffer.from(transport === 'ws' ? UPGRADE_LINES.join('\r\n') : '');
}

export const FRAME = { binary: 0x82, firstFragment: 0x02, fragment: 0x00, ping: 0x89, text: 0x81 } as const;

/** A WebSocket frame of a client, masked with zero. */
export function frame(flags: number, payload: Uint8Array): Buffer {
  const { length } = payload;
  const header = length < 126 ? [flags, 0x80 | length] : [flags, 0xfe, length >> 8, length & 0xff];
  return Buffer.concat([Uint8Array.from([...header, 0, 0, 0, 0]), payload]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** One whole message, framed as an honest peer would. */
export function framed(transport: TransportName, message: Uint8Array): Buffer {
  return transport === 'ws' ? frame(FRAME.binary, message) : Buffer.concat([u32(message.length), message]);
}

/** The header of a message that is never meant to be completed. */
export function claim(transport: TransportName, bytes: number): Buffer {
  if (transport === 'tcp') return u32(bytes);
  return Buffer.concat([Uint8Array.from([FRAME.binary, 0xff]), Buffer.alloc(4), u32(bytes), Buffer.alloc(4)]);
}

/** A frame of 2^63 bytes. */
export const HUGE_FRAME: Buffer = Buffer.from([FRAME.binary, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
