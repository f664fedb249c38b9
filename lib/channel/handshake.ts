/** The handshake of channels and sessions: Noise, certificates and policy in one synchronous object without I/O. */
import { concat, copyOf, EMPTY, equalBytes, Reader } from '../bytes.js';
import { HopfairError, requireArgument } from '../errors.js';
import { verifyCertificate } from '../identity/index.js';
import { LIMITS } from '../limits.js';
import { HandshakeState } from '../noise/index.js';
import {
  CONTINUES,
  decodePayload,
  decodeProposal,
  encodePayload,
  encodeProposal,
  type Payload,
  type Proposal,
  prologue,
  REFUSED,
} from './handshake-wire.js';
import { isDowngrade, offeredSuites, type PatternName, protocolName, suiteById } from './suites.js';
import type { HandshakeOptions, HandshakeResult, HandshakeStep } from './types.js';

/** With more evidence than this, IK's first message would be larger than a stranger's may be: XX is used instead. */
const MAX_IK_ATTESTATION_BYTES = 1_024;

/** The payload of the peer, its certificate verified. */
type Verified = Pick<HandshakeResult, 'peer' | 'certificate' | 'capabilities' | 'attestation' | 'throttledTimers'>;

/**
 * One side of one handshake. The initiator begins with `start`; then each message of the peer goes to `receive`, which
 * never throws for what a peer sent: a failed step says why to the caller, and its reply looks the same whatever it was.
 *
 * @example
 * const driver = new HandshakeDriver({ crypto, identity, networkId, role: 'initiator', context: 'channel', random, now });
 * send(driver.start());
 * onMessage = message => {
 *   const step = driver.receive(message);
 *   if (step.reply !== undefined) send(step.reply);
 *   if (step.kind === 'done') open(step.result);
 * };
 */
export class HandshakeDriver {
  readonly #options: HandshakeOptions;
  #noise: HandshakeState | undefined;
  #proposal: Proposal | undefined;
  /** The proposal as it stands in messages, prologue and payloads. */
  #encoded: Uint8Array = EMPTY;
  #verified: Verified | undefined;
  #answered = false;
  #ended = false;

  constructor(options: HandshakeOptions) {
    const { psk, capabilities = EMPTY, attestation = EMPTY } = options;
    requireArgument(psk === undefined || psk.length === 32, 'a pre-shared key is 32 bytes');
    requireArgument(capabilities.length <= LIMITS.maxCapabilityBytes, 'the capabilities are too long');
    requireArgument(attestation.length <= LIMITS.maxAttestationBytes, 'the attestation is too long');
    this.#options = options;
  }

  /** XX or IK, once it is known. */
  get pattern(): PatternName | undefined {
    return this.#proposal?.pattern;
  }

  /** The first message. Initiator only, once. */
  start(): Uint8Array {
    const { role, remoteStatic, attestation = EMPTY, suiteId } = this.#options;
    requireArgument(role === 'initiator' && this.#proposal === undefined, 'only an initiator starts, and once');
    const only = suiteId === undefined ? undefined : suiteById(suiteId);
    const suites = only === undefined ? offeredSuites(this.#options) : [only];
    const [preferred] = suites;
    requireArgument(preferred !== undefined, 'the policy leaves no suite');
    const known = remoteStatic !== undefined && attestation.length <= MAX_IK_ATTESTATION_BYTES;
    const proposal: Proposal = {
      pattern: known ? 'IK' : 'XX',
      chosen: preferred.id,
      offered: suites.map(suite => suite.id),
    };
    const noise = this.#begin(proposal);
    // XX's first message is not encrypted yet: it carries nothing.
    const payload = proposal.pattern === 'IK' ? this.#payload() : EMPTY;
    return concat(this.#encoded, noise.writeMessage(payload));
  }

  /** Takes the peer's next message. The bytes need to be valid during the call only. */
  receive(message: Uint8Array): HandshakeStep {
    if (this.#ended) throw new HopfairError('INVALID_STATE', 'the handshake has ended');
    try {
      const step = this.#receive(copyOf(message));
      if (step.kind === 'done') this.#ended = true;
      return step;
    } catch (error) {
      return this.#fail(error);
    }
  }

  /** Ends the handshake without a look at the message that came. To the peer it is a failure like any other. */
  refuse(error: HopfairError): HandshakeStep {
    return this.#fail(error);
  }

  /** Zeroes the secrets of a handshake that has not ended. Safe to call at any time. */
  destroy(): void {
    this.#ended = true;
    this.#noise?.destroy();
    this.#noise = undefined;
  }

  #receive(message: Uint8Array): HandshakeStep {
    const { limits = {}, role } = this.#options;
    const first = this.#noise === undefined;
    const max = first
      ? (limits.maxFirstHandshakeBytes ?? LIMITS.maxFirstHandshakeBytes)
      : (limits.maxHandshakeBytes ?? LIMITS.maxHandshakeBytes);
    if (message.length > max)
      throw new HopfairError('LIMIT_EXCEEDED', `a handshake message of ${message.length} bytes`);
    const reader = new Reader(message);
    if (first) {
      requireArgument(role === 'responder', 'an initiator starts before it receives');
      this.#accept(decodeProposal(reader));
    } else if (reader.u8() !== CONTINUES) {
      const retryable = this.pattern === 'IK';
      throw new HopfairError('HANDSHAKE_FAILED', 'the peer refused the handshake', { retryable });
    }
    const noise = this.#running();
    const payload = noise.readMessage(reader.rest());
    // All messages but XX's first carry one: whoever has sent its static key proves at once whose it is.
    if (noise.remoteStatic !== undefined && this.#verified === undefined) {
      this.#verified = this.#verify(decodePayload(payload), noise.remoteStatic);
    } else if (payload.length > 0) throw new HopfairError('DECODE_FAILED', 'a payload where none belongs');
    const reply = noise.isFinished ? undefined : concat(Uint8Array.of(CONTINUES), noise.writeMessage(this.#payload()));
    this.#answered = reply !== undefined;
    if (noise.isFinished) return { kind: 'done', reply, result: this.#finish(noise) };
    return { kind: 'continue', reply: reply ?? EMPTY };
  }

  /** Responder: takes the proposal, or refuses it before any DH. */
  #accept(proposal: Proposal): void {
    const suite = suiteById(proposal.chosen);
    if (suite === undefined) throw new HopfairError('DECODE_FAILED', 'an unknown suite');
    const { suiteId } = this.#options;
    if (suiteId !== undefined && suite.id !== suiteId) {
      throw new HopfairError('SUITE_DOWNGRADED', 'the peer proposed another suite than was agreed on');
    }
    if (isDowngrade(suite, proposal.offered, this.#options)) {
      throw new HopfairError('SUITE_DOWNGRADED', `the peer proposed ${suite.cipher} without ML-KEM`);
    }
    this.#begin(proposal);
  }

  #begin(proposal: Proposal): HandshakeState {
    const { crypto, identity, random, remoteStatic, psk, role } = this.#options;
    const suite = suiteById(proposal.chosen);
    requireArgument(suite !== undefined, 'a suite that was just looked up');
    this.#proposal = proposal;
    this.#encoded = encodeProposal(proposal);
    this.#noise = new HandshakeState({
      crypto,
      rng: random,
      protocolName: protocolName(proposal.pattern, suite, psk !== undefined),
      initiator: role === 'initiator',
      prologue: prologue(this.#options, this.#encoded),
      staticKey: identity.staticKey,
      ...(role === 'initiator' && proposal.pattern === 'IK' && remoteStatic !== undefined && { remoteStatic }),
      ...(psk !== undefined && { psks: [psk] }),
    });
    return this.#noise;
  }

  #payload(): Uint8Array {
    const { identity, capabilities = EMPTY, attestation = EMPTY, throttledTimers = false } = this.#options;
    const certificate = identity.certificate.bytes;
    return encodePayload({ proposal: this.#encoded, certificate, capabilities, attestation, throttledTimers });
  }

  #verify(payload: Payload, remoteStatic: Uint8Array): Verified {
    const { crypto, networkId, now, expectedPeer, identity } = this.#options;
    if (!equalBytes(payload.proposal, this.#encoded)) {
      throw new HopfairError('SUITE_DOWNGRADED', 'the ends saw different proposals');
    }
    const certificate = verifyCertificate(crypto, payload.certificate, { networkId, now, staticKey: remoteStatic });
    const { peer } = certificate;
    if (expectedPeer !== undefined && peer !== expectedPeer) {
      throw new HopfairError('HANDSHAKE_FAILED', `${peer} answered in the place of ${expectedPeer}`);
    }
    if (peer === identity.peer) throw new HopfairError('HANDSHAKE_FAILED', 'the peer is this peer itself');
    const { capabilities, attestation, throttledTimers } = payload;
    return { peer, certificate, capabilities: kept(capabilities), attestation: kept(attestation), throttledTimers };
  }

  #finish(noise: HandshakeState): HandshakeResult {
    const suite = noise.protocolName;
    const verified = this.#verified;
    const { initiatorToResponder, responderToInitiator, exporter, handshakeHash, remoteStatic } = noise.split();
    if (verified === undefined || remoteStatic === undefined) {
      throw new HopfairError('INTERNAL', 'a finished handshake knows its peer');
    }
    const isInitiator = this.#options.role === 'initiator';
    const tx = isInitiator ? initiatorToResponder : responderToInitiator;
    const rx = isInitiator ? responderToInitiator : initiatorToResponder;
    return {
      ...verified,
      remoteStatic,
      suite,
      suiteId: this.#agreed().chosen,
      handshakeHash,
      tx,
      rx,
      confirmed: isInitiator || this.pattern === 'XX',
      exportSecret: (label, length) => exporter.export(label, length),
      destroyExporter: () => exporter.destroy(),
      destroy: () => {
        tx.destroy();
        rx.destroy();
        exporter.destroy();
      },
    };
  }

  #fail(error: unknown): HandshakeStep {
    // Only an initiator that still waits for an answer is told; after XX's last message it takes records alone.
    const isAwaited = this.#options.role === 'responder' && !this.#answered;
    this.destroy();
    return { kind: 'failed', reply: isAwaited ? REFUSED : undefined, error: named(error) };
  }

  #running(): HandshakeState {
    if (this.#noise === undefined) throw new HopfairError('INVALID_STATE', 'the handshake has ended');
    return this.#noise;
  }

  #agreed(): Proposal {
    if (this.#proposal === undefined) throw new HopfairError('INVALID_STATE', 'the handshake has not begun');
    return this.#proposal;
  }
}

/** A copy, unless there is nothing to keep. */
const kept = (bytes: Uint8Array): Uint8Array => (bytes.length === 0 ? EMPTY : copyOf(bytes));

/** Whatever is malformed has failed; what nobody foresaw is a bug of ours, and is reported as such instead of thrown. */
function named(error: unknown): HopfairError {
  if (!(error instanceof HopfairError))
    return new HopfairError('INTERNAL', 'the handshake broke down', { cause: error });
  if (error.code !== 'DECODE_FAILED') return error;
  return new HopfairError('HANDSHAKE_FAILED', error.message, { cause: error });
}
