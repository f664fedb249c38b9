/**
 * What a node says of itself in the handshake of each channel, in front of the capabilities of its application: which run
 * of the node it is, so that a channel of a dead run is replaced at once, and how many channels this run has lost, so that
 * both ends agree which of two channels is the newer one.
 */
import { copyOf, Reader, Writer } from '../bytes.js';
import { HopfairError } from '../errors.js';
import { LIMITS } from '../limits.js';

export interface ChannelHello {
  /** Wall time in ms at which the run began; of two runs of one peer the later is the newer. */
  readonly startedAtUnixMs: number;
  /** Eight random bytes. */
  readonly runId: Uint8Array;
  /** Channels, with whomever, that this run had lost when it made or took this connection. */
  readonly losses: number;
  /** Of the application; at most `maxNodeCapabilityBytes`. */
  readonly capabilities: Uint8Array;
}

const VERSION = 1;
export const RUN_ID_BYTES = 8;

export function encodeChannelHello({ startedAtUnixMs, runId, losses, capabilities }: ChannelHello): Uint8Array {
  return new Writer().u8(VERSION).u64(startedAtUnixMs).raw(runId).u32(losses).raw(capabilities).finish();
}

export function decodeChannelHello(bytes: Uint8Array): ChannelHello {
  const reader = new Reader(bytes);
  if (reader.u8() !== VERSION) throw new HopfairError('DECODE_FAILED', 'a hello of another version');
  const startedAtUnixMs = reader.u64();
  const runId = copyOf(reader.raw(RUN_ID_BYTES));
  const losses = reader.u32();
  const capabilities = copyOf(reader.rest());
  if (capabilities.length > LIMITS.maxNodeCapabilityBytes) {
    throw new HopfairError('DECODE_FAILED', 'capabilities are too long');
  }
  return { startedAtUnixMs, runId, losses, capabilities };
}
