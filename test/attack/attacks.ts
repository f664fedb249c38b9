/** What strangers do to a listener, one connection at a time. Whoever runs these in numbers is in strangers.ts. */
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { claim, FRAME, frame, framed, HUGE_FRAME, opening, TRANSPORTS, type TransportName } from './wire.js';

/** What an attacker has recorded of honest connections, all of the initiator's side. */
export interface Recordings {
  /** The messages of one XX handshake and the records after it. */
  readonly xx: readonly Uint8Array[];
  /** The same of IK. */
  readonly ik: readonly Uint8Array[];
}

/** One connection of an attacker, open. */
export interface Stranger {
  readonly socket: Socket;
  readonly transport: TransportName;
  /** Counts the connections of this attack. */
  readonly index: number;
  readonly recordings: Recordings;
  /** Calls back until the connection is closed. */
  every(ms: number, fn: () => void): void;
  /** Calls back once the victim has sent something besides an HTTP answer. */
  onAnswer(fn: () => void): void;
}

export interface Attack {
  readonly name: string;
  readonly transports: readonly TransportName[];
  /** Connections in all, at most; how many are opened each second; and how many are open at once. */
  readonly count: number;
  readonly perSecond: number;
  readonly atOnce: number;
  /** It goes on until all connections were made. */
  readonly isWhole: boolean;
  readonly behave: (stranger: Stranger) => void;
}

/** Magic, version, pattern, suite, and the list of suites, as recorded. */
function proposalLength(first: Uint8Array): number {
  return 6 + (first[5] as number);
}

function badFirstMessage({ index, recordings }: Stranger): Uint8Array {
  const first = recordings.xx[0] as Uint8Array;
  const header = first.subarray(0, proposalLength(first));
  switch (index % 4) {
    case 0:
      return randomBytes(1 + (index % 3_000));
    case 1:
      return Buffer.concat([header, randomBytes(first.length - header.length)]);
    case 2:
      return first; // and nothing after it
    default: {
      const lowOrder = Buffer.from(first);
      lowOrder.fill(0, header.length, header.length + 32);
      return lowOrder;
    }
  }
}

function begin({ socket, transport }: Stranger, ...messages: readonly Uint8Array[]): void {
  socket.write(Buffer.concat([opening(transport), ...messages.map(message => framed(transport, message))]));
}

function sayByteByByte({ socket, transport, recordings, every }: Stranger): void {
  const bytes = Buffer.concat([opening(transport), framed(transport, recordings.xx[0] as Uint8Array)]);
  let at = 0;
  every(20, () => {
    socket.write(bytes.subarray(at, ++at));
  });
}

function claimTooMuch({ socket, transport, index, every }: Stranger): void {
  const claims = [transport === 'ws' ? HUGE_FRAME : claim('tcp', 0xffff_ffff), claim(transport, 4_097)];
  socket.write(Buffer.concat([opening(transport), claims[index % 3] ?? claim(transport, 4_096)]));
  const piece = Buffer.alloc(1_000);
  if (index % 3 === 2) every(5, () => socket.write(piece));
}

function sendFragments({ socket, index, every }: Stranger): void {
  socket.write(Buffer.concat([opening('ws'), frame(FRAME.firstFragment, Buffer.alloc(1))]));
  const one = [
    frame(FRAME.fragment, Buffer.alloc(0)),
    frame(FRAME.fragment, Buffer.alloc(1)),
    frame(FRAME.ping, Buffer.alloc(125)),
    Buffer.from([FRAME.text, 0x80, 0, 0, 0, 0]),
  ][index % 4] as Buffer;
  const burst = Buffer.concat(Array.from({ length: 20 }, () => one));
  every(5, () => socket.write(burst));
}

/** What was honest once, again: handshakes with the records that followed them, at once or in answer. */
function replay(stranger: Stranger): void {
  const { socket, transport, index, recordings, onAnswer } = stranger;
  const [first, ...rest] = (index % 2 === 0 ? recordings.xx : recordings.ik) as [Uint8Array, ...Uint8Array[]];
  if (index % 4 < 2) {
    begin(stranger, first, ...rest);
    return;
  }
  begin(stranger, first);
  onAnswer(() => {
    for (const message of rest) socket.write(framed(transport, message));
  });
}

export const ATTACKS: readonly Attack[] = [
  {
    name: 'bad-first-messages',
    transports: TRANSPORTS,
    count: 10_000,
    perSecond: 1_250,
    atOnce: 4_000,
    isWhole: true,
    behave: stranger => begin(stranger, badFirstMessage(stranger)),
  },
  {
    name: 'connection-flood',
    transports: TRANSPORTS,
    count: 10_000,
    perSecond: 1_250,
    atOnce: 500,
    isWhole: true,
    behave: ({ socket }) => socket.destroy(),
  },
  {
    name: 'half-open',
    transports: TRANSPORTS,
    count: 10_000,
    perSecond: 1_250,
    atOnce: 2_000,
    isWhole: false,
    behave: () => undefined,
  },
  {
    name: 'slow-loris',
    transports: TRANSPORTS,
    count: 5_000,
    perSecond: 500,
    atOnce: 500,
    isWhole: false,
    behave: sayByteByByte,
  },
  {
    name: 'oversized-claims',
    transports: TRANSPORTS,
    count: 5_000,
    perSecond: 1_000,
    atOnce: 500,
    isWhole: false,
    behave: claimTooMuch,
  },
  {
    name: 'fragments',
    transports: ['ws'],
    count: 5_000,
    perSecond: 1_000,
    atOnce: 200,
    isWhole: false,
    behave: sendFragments,
  },
  {
    name: 'replayed-handshakes',
    transports: TRANSPORTS,
    count: 5_000,
    perSecond: 1_000,
    atOnce: 1_000,
    isWhole: false,
    behave: replay,
  },
];
