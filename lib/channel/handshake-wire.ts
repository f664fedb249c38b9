/**
 * What handshake messages are made of besides Noise: the header in front of the first, the prologue that both ends feed
 * to Noise, and the payload that it encrypts.
 */
import { EMPTY, fromUtf8, Reader, Writer } from '../bytes.js';
import { HopfairError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { MAX_OFFERED_SUITES, type PatternName } from './suites.js';
import type { HandshakeOptions } from './types.js';

/** "hf" and the version of this protocol. */
const MAGIC = fromUtf8('hf');
const VERSION = 1;
const PATTERN_NUMBERS: Readonly<Record<PatternName, number>> = { XX: 1, IK: 2 };
/** The first byte of every message after the first. */
export const CONTINUES = 1;
/** The whole answer of a responder that does not go on, whatever the cause. */
export const REFUSED: Uint8Array = Uint8Array.of(0);
const MAX_CERTIFICATE_BYTES = 512;
/** Bits of the payload's flags. A peer ignores those that it does not know: they declare, and ask for nothing. */
const FLAG_THROTTLED_TIMERS = 1;

/** What the initiator wants, in the clear: authenticated by the prologue and repeated in the payload. */
export interface Proposal {
  readonly pattern: PatternName;
  /** Suite id. */
  readonly chosen: number;
  readonly offered: readonly number[];
}

const malformed = (why: string): HopfairError => new HopfairError('DECODE_FAILED', why);

export function encodeProposal({ pattern, chosen, offered }: Proposal): Uint8Array {
  const writer = new Writer(32).raw(MAGIC).u8(VERSION).u8(PATTERN_NUMBERS[pattern]).u8(chosen).u8(offered.length);
  for (const id of offered) writer.u8(id);
  return writer.finish();
}

export function decodeProposal(reader: Reader): Proposal {
  const magic = reader.raw(MAGIC.length);
  if (magic[0] !== MAGIC[0] || magic[1] !== MAGIC[1]) throw malformed('not a handshake');
  if (reader.u8() !== VERSION) throw malformed('another version of the protocol');
  const number = reader.u8();
  const pattern = number === PATTERN_NUMBERS.XX ? 'XX' : number === PATTERN_NUMBERS.IK ? 'IK' : undefined;
  if (pattern === undefined) throw malformed('an unknown pattern');
  const chosen = reader.u8();
  const count = reader.u8();
  if (count > MAX_OFFERED_SUITES) throw malformed('too many suites');
  const offered = [...reader.raw(count)];
  if (!offered.includes(chosen)) throw malformed('the proposed suite is not among the offered');
  return { pattern, chosen, offered };
}

/** What both ends must agree on: place, network and proposal. A changed header fails the first message that is encrypted. */
export function prologue(
  { context, networkId, binding = EMPTY }: Pick<HandshakeOptions, 'context' | 'networkId' | 'binding'>,
  proposal: Uint8Array,
): Uint8Array {
  return new Writer(128).text('hopfair/1 handshake').text(context).text(networkId).raw(proposal).raw(binding).finish();
}

export interface Payload {
  /** The proposal as the sender of this payload made or received it. */
  readonly proposal: Uint8Array;
  readonly certificate: Uint8Array;
  readonly capabilities: Uint8Array;
  readonly attestation: Uint8Array;
  /** The sender's timers may be late. */
  readonly throttledTimers: boolean;
}

export function encodePayload(payload: Payload): Uint8Array {
  const { proposal, certificate, capabilities, attestation, throttledTimers } = payload;
  const length = 9 + proposal.length + certificate.length + capabilities.length + attestation.length;
  const writer = new Writer(length).u8(throttledTimers ? FLAG_THROTTLED_TIMERS : 0);
  return writer.bytes16(proposal).bytes16(certificate).bytes16(capabilities).bytes16(attestation).finish();
}

export function decodePayload(bytes: Uint8Array): Payload {
  const reader = new Reader(bytes);
  const flags = reader.u8();
  const payload = {
    throttledTimers: (flags & FLAG_THROTTLED_TIMERS) !== 0,
    proposal: reader.bytes16(MAX_OFFERED_SUITES + 8),
    certificate: reader.bytes16(MAX_CERTIFICATE_BYTES),
    capabilities: reader.bytes16(LIMITS.maxCapabilityBytes),
    attestation: reader.bytes16(LIMITS.maxAttestationBytes),
  };
  reader.end();
  return payload;
}
