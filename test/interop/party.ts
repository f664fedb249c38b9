/** One end of a case over frames, whatever implementation of Noise is behind it, and the loop that takes orders. */
import type { Socket } from 'node:net';
import { equalBytes, fromUtf8 } from '../../lib/bytes.js';
import type { Order, Outcome, Ready, Role } from './cases.js';
import { Frames } from './frames.js';
import { Inbox, MESSAGES, messageAt, otherRole } from './messages.js';

export interface Transport {
  seal(plaintext: Uint8Array): Uint8Array;
  /** Throws when the ciphertext does not authenticate. */
  open(ciphertext: Uint8Array): Uint8Array;
}

/** A handshake as every implementation has it. */
export interface Handshake {
  readonly action: 'write' | 'read' | 'split';
  write(payload: Uint8Array): Uint8Array;
  /** The payload; throws when the message does not authenticate. */
  read(message: Uint8Array): Uint8Array;
  split(): Transport;
}

/** What the payloads of a handshake carry, by the number of the message. */
export interface Payloads {
  next(index: number): Promise<Uint8Array>;
  /** Throws for a payload that must not be. */
  check(index: number, payload: Uint8Array): Promise<void>;
}

const payloadAt = (index: number): Uint8Array => fromUtf8(`payload of message ${index}`);

/** Where payloads mean nothing. */
export const plainPayloads: Payloads = {
  next: async index => payloadAt(index),
  check: async (index, payload) => {
    if (!equalBytes(payload, payloadAt(index))) throw new Error(`another payload in handshake message ${index}`);
  },
};

/** Handshake, then all messages in both directions at once. Returns how many were received. */
export async function runParty(socket: Socket, role: Role, handshake: Handshake, payloads: Payloads): Promise<number> {
  const frames = new Frames(socket);
  for (let index = 0; handshake.action !== 'split'; index++) {
    if (handshake.action === 'write') await frames.write(handshake.write(await payloads.next(index)));
    else await payloads.check(index, handshake.read(await frames.read()));
  }
  const transport = handshake.split();
  const inbox = new Inbox(otherRole(role));
  const sendAll = async (): Promise<void> => {
    for (let i = 0; i < MESSAGES; i++) await frames.write(transport.seal(messageAt(role, i)));
  };
  const receiveAll = async (): Promise<void> => {
    while (inbox.received < MESSAGES) inbox.take(transport.open(await frames.read()));
  };
  await Promise.all([sendAll(), receiveAll()]);
  return inbox.received;
}

/** Takes orders from the process that started this one until it hangs up. */
export function takeOrders(ready: Ready, carryOut: (order: Order) => Promise<number>): void {
  const say = (message: Ready | Outcome): void => {
    process.send?.(message);
  };
  process.on('message', (order: Order) => {
    carryOut(order).then(
      received => say({ received, error: undefined }),
      (error: unknown) => say({ received: 0, error: error instanceof Error ? error.message : String(error) }),
    );
  });
  process.on('disconnect', () => process.exit(0));
  say(ready);
}
